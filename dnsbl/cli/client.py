"""A client of Vedette's own HTTP API: one connection, kept open, opened again when it broke."""

import contextlib
import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from dnsbl.config import Config
from dnsbl.errors import DnsblError

TIMEOUT_SECONDS = 60.0
URL_FILE = "server.url"
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class UnreachableError(DnsblError):
    """No server answers at a URL."""


class BadUrlError(DnsblError):
    """A URL is not of the form that can be asked."""


class Answer(NamedTuple):
    """A server's answer; ``retry_after`` in seconds where the server says it."""

    status: int
    body: bytes
    retry_after: float | None


class Api:
    """The API below ``url``, asked with ``token``. Not for two threads at once."""

    def __init__(self, url: str, token: str = "", *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _CONNECTIONS or not parts.hostname:
            raise BadUrlError(f"{url!r} is not a URL of a server: write it like http://127.0.0.1:8053")
        self.url = url
        self._path = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=timeout_seconds)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask once.

        Raises:
            UnreachableError: nobody answers, or the connection broke.
        """
        try:
            self._connection.request(method, self._path + path, body or None, {**self._headers, **(headers or {})})
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(f"{self.url}: no answer ({reason}): is `vedette up` running there?") from None
        return Answer(response.status, text, _seconds(response.getheader("Retry-After")))


def url_of(config: Config) -> str:
    """Return where the server of this data directory listens: as it said when it started, else as configured."""
    with contextlib.suppress(OSError):
        return (config.data_path / URL_FILE).read_text("utf-8").strip()
    host = _WILDCARDS.get(config.http.host, config.http.host)
    return f"http://[{host}]:{config.http.port}" if ":" in host else f"http://{host}:{config.http.port}"


def _seconds(header: str | None) -> float | None:
    # The date form of RFC 9110 section 10.2.3 is nothing that Vedette sends.
    return float(header) if header and header.isdigit() else None
