"""What ``vedette up`` prints when it is ready: where everything is, and two lines to try at once. Pure."""

from collections.abc import Sequence
from typing import Protocol

from dnsbl import __version__
from dnsbl.config import Config

#: An address like any other: a single connection says nothing against it.
SAMPLE_IP = "185.44.9.21"


class Where(Protocol):
    """Where a server listens: (host, port) each; the base URL of its HTTP listener."""

    @property
    def dns(self) -> tuple[str, int]:
        """Host and port of DNS."""
        ...

    @property
    def flow(self) -> tuple[str, int] | None:
        """Host and port of the flow collector, None if it is off."""
        ...

    @property
    def url(self) -> str:
        """Base URL of HTTP."""
        ...


class Named(Protocol):
    """A zone, as far as the banner names it."""

    @property
    def origin(self) -> str:
        """Its name, with everything that it lies under."""
        ...


def banner(config: Config, zones: Sequence[Named], where: Where, token: str | None) -> str:
    """Return the text; ``token`` is that of the feed ``default``, None if it is not to be shown."""
    host, port = where.dns
    names = [zone.origin.rstrip(".") for zone in zones]
    lines = [
        f"Vedette {__version__} is running; data in {config.data}; Ctrl-C ends it.",
        f"  DNS    {host} port {port}, UDP and TCP: {' '.join(names)}",
        f"  HTTP   {where.url}   description: {where.url}/v1/openapi.json",
        f"  pages  {where.url}/",
    ]
    if where.flow:
        lines.append(f"  flows  {where.flow[0]} port {where.flow[1]}, NetFlow and IPFIX over UDP")
    if token:
        lines.append(f"  feed   default, token {token}")
    lines += ["Try at once:", f"  dig @{host} -p {port} +short 2.0.0.127.{_blocking(names)} TXT"]
    if token:
        record = f'{{"time": "\'$(date -u +%FT%TZ)\'", "ip": "{SAMPLE_IP}", "event": "connect"}}'
        lines += [
            f"  curl -H 'Authorization: Bearer {token}' --data '{record}' {where.url}/v1/feeds/default/batches",
            f"  curl {where.url}/v1/ip/{SAMPLE_IP}",
        ]
    else:
        lines.append(f"  curl {where.url}/v1/ip/{SAMPLE_IP}")
    return "\n".join(lines)


def _blocking(names: Sequence[str]) -> str:
    return next((name for name in names if name.startswith("bl.")), names[0] if names else "")
