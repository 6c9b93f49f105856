"""What two lists of records differ in, name by name, whatever they were read from. Pure.

A side is a mapping from names to records, each record a text. TTLs belong to a record only where the reader puts
them there; the reader also leaves out what differs without meaning, as the serial of a SOA does.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dnsbl.export.wording import code_text
from dnsbl.listing.codes import LAYER_NAMES
from dnsbl.zone.zone import Zone

Records = Mapping[str, Sequence[str]]


@dataclass(frozen=True, order=True)
class Change:
    """What one name loses and gets; a name that comes loses nothing, one that goes gets nothing."""

    name: str
    removed: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """How to come from one side to the other: whole names, and names whose records change; by name."""

    added: tuple[Change, ...]
    removed: tuple[Change, ...]
    changed: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(old: Records, new: Records) -> Difference:
    """Return what has to come, to go and to change for ``old`` to become ``new``."""
    both = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    return Difference(
        tuple(Change(name, (), tuple(sorted({*new[name]}))) for name in sorted(new.keys() - old.keys())),
        tuple(Change(name, tuple(sorted({*old[name]})), ()) for name in sorted(old.keys() - new.keys())),
        tuple(
            Change(name, tuple(sorted(gone)), tuple(sorted(come)))
            for name, gone, come in (
                (name, {*old[name]} - {*new[name]}, {*new[name]} - {*old[name]}) for name in both
            )
            if gone or come
        ),
    )


def of_zone(zone: Zone) -> dict[str, list[str]]:
    """Return what a zone file says, a key with its value a record; answers and name servers as one each."""
    facts = {
        f"kind = {zone.kind}", f"ttl = {zone.ttl}", f"negative_ttl = {zone.negative_ttl}",
        f"dry_run = {zone.dry_run}", f"refused_with_code = {zone.access.refused_with_code}",
        *(f"soa.{key} = {value}" for key, value in vars(zone.soa).items()),
        *(f"nameserver {server.name} {' '.join(server.addresses)}" for server in zone.nameservers),
        *(f"answer {LAYER_NAMES[one.layer]} {code_text(one.code)} {one.ttl} {one.text}" for one in zone.answers),
        *(f"transfer {one}" for one in zone.transfer),
        *(f"notify {address}@{port}" for address, port in zone.notify),
        *(f"allow {prefix}" for prefix in zone.access.allow),
    }  # fmt: skip
    if zone.access.keys:
        # Keys are secrets: what they are is not for a terminal.
        digest = hashlib.sha256("\n".join(zone.access.keys).encode()).hexdigest()
        facts.add(f"keys: {len(zone.access.keys)}, SHA-256 {digest[:16]}")
    return {zone.origin: sorted(facts)}
