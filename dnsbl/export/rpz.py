"""A zone as a response policy zone (draft-vixie-dnsop-dns-rpz) for resolvers: Unbound, BIND, Knot Resolver. Pure.

All names are relative, so that the zone has the name that the resolver's configuration gives it.
"""

from collections.abc import Iterator

from dnsbl.export.bind import head
from dnsbl.export.plain import listed
from dnsbl.export.wording import reversed_addresses, reversed_words
from dnsbl.listing.columns import Columns
from dnsbl.zone.zone import Zone

#: What a listed address is looked for in: the answers' addresses, or the client that asks.
TRIGGERS = {"answer": "rpz-ip", "client": "rpz-client-ip"}
#: What becomes of a match, by the kind of the zone: NXDOMAIN, or no further policy.
_ACTIONS = {"block": ".", "allow": "rpz-passthru."}


def lines(zone: Zone, columns: Columns, *, trigger: str) -> Iterator[str]:
    """Yield the lines of the file, each with its end; ``trigger`` is a key of :data:`TRIGGERS`.

    Raises:
        ExportError: the zone holds good and bad alike.
    """
    families = {is_v4: listed(zone, columns, is_v4) for is_v4 in (True, False)}
    yield f"; {zone.origin} as a response policy zone\n"
    yield from head(zone, columns.now)
    end = f".{TRIGGERS[trigger]}\tCNAME\t{_ACTIONS[zone.kind]}\n"
    names = reversed_addresses(families[True].values)
    for name, length in zip(names, families[True].lengths.tolist(), strict=True):
        yield f"{length}.{name}{end}"
    values, lengths = families[False]
    for value, length in zip(values.tolist(), lengths.tolist(), strict=True):
        yield f"{length}.zz.{reversed_words(value)}{end}"
