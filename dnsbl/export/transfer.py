"""A zone as records in wire format, for the secondaries that take it by transfer (RFC 5936).

The names are those of the master file in :mod:`dnsbl.export.bind`. Every owner ends in a pointer to octet 12, where
each message of a transfer has the zone's name: so a record's bytes are the same wherever it stands.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from dnsbl.export.bind import STRING_BYTES, TEST_NAMES, Expansion, expanded
from dnsbl.export.wording import ADDRESS, code_text, own_servers
from dnsbl.listing.columns import Columns
from dnsbl.wire.answer import TEST_TEXT, wire_name
from dnsbl.wire.transfer import (
    APEX,
    TYPE_A,
    TYPE_AAAA,
    TYPE_NS,
    TYPE_TXT,
    Records,
    address_bytes,
    record,
    soa_record,
)
from dnsbl.zone.zone import Zone

_OWNER, _ADDRESS = b"owner", b"address"


def records(zone: Zone, columns: Columns, serial: int, public_url: str) -> Iterator[Records]:
    """Yield the zone from its SOA to its SOA, the records of one name together.

    Raises:
        ExportError: a prefix with many exclusions would take too many names.
    """
    soa = soa_record(zone, serial)
    yield 1, soa
    for server in zone.nameservers:
        yield 1, record(APEX, TYPE_NS, zone.ttl, wire_name(server.name))
    for name, server in own_servers(zone):
        for address in server.addresses:
            type_ = TYPE_AAAA if ":" in address else TYPE_A
            yield 1, record(wire_name(name)[:-1] + APEX, type_, zone.ttl, address_bytes(address))
    test = _Told([(code_text(zone.test_code), TEST_TEXT)], zone.ttl)
    for name in TEST_NAMES:
        yield test.count, test[0] % {_OWNER: wire_name(name)[:-1] + APEX, _ADDRESS: b""}
    for is_v4 in (True, False):
        yield from map(_filled, expanded(zone, columns, public_url, is_v4, _Told))
    yield 1, soa


def changes(zone: Zone, old: tuple[int, Columns], new: tuple[int, Columns], public_url: str) -> Iterator[Records]:
    """Yield what leads from one serial with its listings to another (RFC 1995 §4), each name taken out whole.

    Raises:
        ExportError: a prefix with many exclusions would take too many names.
    """
    was, now = (soa_record(zone, serial) for serial, _ in (old, new))
    gone, come = [], []
    for is_v4 in (True, False):
        less, more = _difference(*(Expansion(zone, columns, public_url, is_v4, _Told) for _, columns in (old, new)))
        gone.append(less)
        come.append(more)
    yield 1, now
    yield 1, was
    yield from map(_filled, itertools.chain(*gone))
    yield 1, now
    yield from map(_filled, itertools.chain(*come))
    yield 1, now


_Name = tuple[str, str, "_Told"]


def _difference(old: "Expansion[_Told]", new: "Expansion[_Told]") -> tuple[Iterable[_Name], Iterable[_Name]]:
    """Return the names of the old expansion that are not so in the new one, and the reverse."""
    kept_old, kept_new = _kept(old, new)
    before, after = ({name[0]: name for name in one.others()} for one in (old, new))
    return (
        itertools.chain(old.of_hosts(np.flatnonzero(~kept_old)), _missing(before, after)),
        itertools.chain(new.of_hosts(np.flatnonzero(~kept_new)), _missing(after, before)),
    )


def _missing(names: dict[str, _Name], others: dict[str, _Name]) -> Iterator[_Name]:
    nothing = ("", "", _Told([], 0))
    for owner, name in names.items():
        other = others.get(owner, nothing)
        if other[1] != name[1] or other[2].says != name[2].says:
            yield name


def _kept(old: "Expansion[_Told]", new: "Expansion[_Told]") -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Say which hosts of the two are said the same of."""
    numbers: dict[object, int] = {}
    by_told: dict[int, int] = {}

    def number(told: _Told) -> int:
        # Many hosts share one, so that what it says is compared once only.
        found = by_told.get(id(told))
        if found is None:
            found = by_told[id(told)] = numbers.setdefault(told.says, len(numbers))
        return found

    said_old, said_new = (
        np.fromiter(map(number, one.said_of_hosts()), np.int64, len(one.hosts)) for one in (old, new)
    )
    kept_old, kept_new = np.zeros(len(old.hosts), bool), np.zeros(len(new.hosts), bool)
    _, of_old, of_new = np.intersect1d(old.hosts, new.hosts, assume_unique=True, return_indices=True)
    alike = said_old[of_old] == said_new[of_new]
    kept_old[of_old[alike]] = True
    kept_new[of_new[alike]] = True
    return kept_old, kept_new


def _filled(name: _Name) -> Records:
    owner, address, told = name
    labels = b"".join(map(_LABELS.__getitem__, owner.split("."))) + APEX
    return told.count, told[len(address)] % {_OWNER: labels, _ADDRESS: address.encode()}


class _Told(dict[int, bytes]):
    """The records of a name, to be filled in with its owner and address: one form for each length of an address."""

    def __init__(self, pairs: list[tuple[str, str]], ttl: int) -> None:
        super().__init__()
        self._pairs = pairs
        self._ttl = ttl
        self.count = 2 * len(pairs)
        self.says = ttl, tuple(pairs)

    def __missing__(self, length: int) -> bytes:
        owner = b"%%(%s)b" % _OWNER
        forms = [
            owner + record(b"", TYPE_A, self._ttl, address_bytes(code)).replace(b"%", b"%%")
            for code, _ in self._pairs
        ]
        for _, text in self._pairs:
            data = _strings(text, length)
            # The address stands in the data as so many zero octets, which no text has.
            head = record(b"", TYPE_TXT, self._ttl, data)[: -len(data)]
            forms.append(owner + head.replace(b"%", b"%%") + _with_address(data.replace(b"%", b"%%"), length))
        self[length] = made = b"".join(forms)
        return made


def _with_address(data: bytes, length: int) -> bytes:
    return data.replace(bytes(length), b"%%(%s)b" % _ADDRESS) if length else data


def _strings(text: str, length: int) -> bytes:
    """Return TXT data in strings that each hold an address of ``length`` octets, written as zeros, whole."""
    if len(whole := text.replace(ADDRESS, ADDRESS * length)) <= STRING_BYTES:
        return bytes([len(whole)]) + whole.encode("ascii", "replace")
    strings, string = [], b""
    for letter in text:
        piece = bytes(length) if letter == ADDRESS else letter.encode("ascii", "replace")
        if len(string) + len(piece) > STRING_BYTES:
            strings.append(string)
            string = b""
        string += piece
    return b"".join(bytes([len(one)]) + one for one in [*strings, string])


_LABELS = {
    label: bytes([len(label)]) + label.encode() for label in ("*", *"abcdef", *(str(octet) for octet in range(256)))
}
