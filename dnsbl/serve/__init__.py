"""Sockets and threads for DNS, and nothing else: what arrives goes to :mod:`dnsbl.wire.answer` and back."""
