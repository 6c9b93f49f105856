"""How this server behaves towards all who ask, whatever the zone: what it says of itself.

Frozen values; knows nothing of wire format or of the configuration that they come from.
"""

from dataclasses import dataclass

COOKIE_SECRET_BYTES = 16


@dataclass(frozen=True)
class Manners:
    """What holds for every query."""

    #: Which of several servers this is, for NSID (RFC 5001) and id.server (RFC 4892); empty: not said.
    nsid: bytes = b""
    #: What version.bind says; empty: REFUSED.
    version: bytes = b"vedette"
    #: Makes DNS cookies (RFC 9018): ``COOKIE_SECRET_BYTES``; empty: cookies are ignored.
    cookie_secret: bytes = b""
    #: Cookies are made under a key of their day, which follows from the secret.
    cookie_rotates: bool = False


DEFAULT_MANNERS = Manners()
