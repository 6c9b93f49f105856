"""Sockets and threads for DNS, and nothing else: what arrives goes to :mod:`dnsbl.wire.answer` and back."""

try:
    from dnsbl.serve import udp as _udp  # noqa: F401
except ImportError as error:
    raise ImportError(f"the compiled DNS server is missing: build with `make build` ({error})") from error
