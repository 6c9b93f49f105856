"""Forward-confirmed reverse DNS (RFC 8499: FCrDNS) as signs: names in, signs out; the asking is done elsewhere."""

from collections.abc import Iterable

from profiler.address import Key
from profiler.name import name_signs
from profiler.observation import Sign

#: How many of an address's names are confirmed: more only serve to waste our time.
MAX_NAMES = 4


def signs_of(key: Key, confirmed: Iterable[str], unconfirmed: Iterable[str]) -> Sign:
    """Return the RDNS signs of an address with these reverse names; none at all is RDNS_NONE."""
    for names, verdict in ((confirmed, Sign.RDNS_VERIFIED), (unconfirmed, Sign.RDNS_UNVERIFIED)):
        for name in names:
            return verdict | Sign(name_signs(name.rstrip(".").lower().encode("ascii", "replace"), key.hi, key.lo))
    return Sign.RDNS_NONE
