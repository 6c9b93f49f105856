"""A zone as a list of addresses and prefixes, one a line, as few and wide as possible. Pure.

For firewalls and whatever else knows listed from not listed only: codes and reasons are left out, and so are
the test points, which would cut a machine off from its own loopback.
"""

from collections.abc import Iterator

from dnsbl.errors import ExportError
from dnsbl.export.published import Prefixes, blocks
from dnsbl.export.wording import prefix_texts
from dnsbl.listing.columns import Columns
from dnsbl.zone.zone import Zone


def lines(zone: Zone, columns: Columns) -> Iterator[str]:
    """Yield the lines of the list, each with its end. ExportError: the zone holds good and bad alike."""
    for is_v4 in (True, False):
        for text in prefix_texts(listed(zone, columns, is_v4), is_v4):
            yield f"{text}\n"


def listed(zone: Zone, columns: Columns, is_v4: bool) -> Prefixes:
    """Return what a zone lists of a family. ExportError: the zone holds good and bad alike."""
    if zone.kind == "class":
        raise ExportError(
            f"{zone.origin} holds good and bad addresses alike, told apart by codes, which this form has not: "
            'export a zone of kind "block" or "allow"'
        )
    return blocks(zone, columns, is_v4)
