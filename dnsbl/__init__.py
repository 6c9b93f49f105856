"""Verdicts to listings to answers: zones, the DNS server, the HTTP service and the command line."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vedette")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
