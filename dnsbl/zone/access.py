"""Who may ask a zone: prefixes of clients, and keys that stand in the name asked for (4.3.2.1.KEY.<origin>).

The texts of a zone file and a file of keys in, frozen values or :class:`~dnsbl.errors.ZoneError` out.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dnsbl.errors import ZoneError

REFUSALS = ("refused", "code")
MAX_PREFIXES = 256
MAX_KEYS = 100_000
#: Shorter ones could be taken for a part of an address, and be guessed.
_KEY = re.compile(r"[a-z0-9][a-z0-9-]{6,61}[a-z0-9]")


@dataclass(frozen=True)
class Access:
    """Who may ask: anybody, or else clients in ``allow`` and with one of ``keys``, where these are given."""

    #: Prefixes of clients; empty: all.
    allow: tuple[str, ...] = ()
    #: Keys in lower case, one of which the name must hold; empty: none is needed.
    keys: tuple[str, ...] = ()
    #: Clients outside ``allow`` get 127.255.255.254 for an address, instead of REFUSED.
    refused_with_code: bool = False


OPEN = Access()


def read_access(path: Path, allow: Sequence[str], keys: str, refused: str) -> Access:
    """Return the access that the zone file at ``path`` gives; ``keys`` is a file's name, from there.

    Raises:
        ZoneError: a prefix, a key or the file of keys cannot be used; says what would be right.
    """
    if refused not in REFUSALS:
        raise ZoneError(f"{path}: refused = {refused!r}: one of {', '.join(REFUSALS)}")
    if len(allow) > MAX_PREFIXES:
        raise ZoneError(f"{path}: allow: at most {MAX_PREFIXES} prefixes: use keys for more clients")
    return Access(
        tuple(_prefix(path, text) for text in allow), _keys(path.parent / keys) if keys else (), refused == "code"
    )


def _prefix(path: Path, text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ZoneError(f"{path}: allow: {text!r} is not a prefix like 192.0.2.0/24: {error}") from None


def _keys(path: Path) -> tuple[str, ...]:
    """Read a key a line; what follows a # is a comment."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ZoneError(f"{path}: the keys cannot be read: {error}") from None
    found = set()
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip().lower()
        if key and not _KEY.fullmatch(key):
            raise ZoneError(f"{path}: line {number}: a key is 8 to 63 letters, digits and hyphens")
        if key:
            found.add(key)
    if not 0 < len(found) <= MAX_KEYS:
        raise ZoneError(f"{path}: {len(found)} keys: between 1 and {MAX_KEYS}; without `keys` none is needed")
    return tuple(sorted(found))
