"""A zone as two sets of nftables, which rules of the reader's own then name. Pure.

`nft -f FILE` takes the file as one transaction: the sets are made if they are missing, and their elements replaced
whole while rules go on using them.
"""

import re
from collections.abc import Iterator

from dnsbl.export.plain import listed
from dnsbl.export.wording import prefix_texts
from dnsbl.listing.columns import Columns
from dnsbl.zone.zone import Zone

TABLE = "inet vedette"
#: nft reads a statement whole: many elements in each are quick, all in one would be a line of megabytes.
ELEMENTS_OF_A_STATEMENT = 1000
_TYPES = {True: ("4", "ipv4_addr"), False: ("6", "ipv6_addr")}


def lines(zone: Zone, columns: Columns) -> Iterator[str]:
    """Yield the lines of the file, each with its end. ExportError: the zone holds good and bad alike."""
    elements = {is_v4: prefix_texts(listed(zone, columns, is_v4), is_v4) for is_v4 in _TYPES}
    yield f"# {zone.origin} for nftables: `nft -f FILE`, as often as it changes\nadd table {TABLE}\n"
    for is_v4, (number, type_) in _TYPES.items():
        name = f"{set_name(zone)}_v{number}"
        yield f"add set {TABLE} {name} {{ type {type_}; flags interval; }}\nflush set {TABLE} {name}\n"
        for start in range(0, len(elements[is_v4]), ELEMENTS_OF_A_STATEMENT):
            some = elements[is_v4][start : start + ELEMENTS_OF_A_STATEMENT]
            yield f"add element {TABLE} {name} {{ {', '.join(some)} }}\n"


def set_name(zone: Zone) -> str:
    """Return what the sets' names begin with: the zone's name, as nft allows it."""
    name = re.sub(r"[^a-z0-9_]", "_", zone.name)
    return name if name[0].isalpha() else f"z{name}"
