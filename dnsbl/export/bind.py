"""A zone as a master file (RFC 1035 §5), for NSD, Knot, BIND and all that read one.

Prefixes become wildcards at the borders of octets and nibbles (RFC 4592). A wildcard answers only where no name is
nearer, so each name that exists below a wider prefix brings that prefix's wildcard along; and where an address is
excluded there is no wildcard, but its neighbours by name. What a master file cannot say stands in docs/export.md.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dnsbl.errors import ExportError
from dnsbl.export.published import NOTHING, Prefixes, Segments, Trie, bits_of, segments, tries
from dnsbl.export.wording import (
    ADDRESS,
    Said,
    addresses,
    code_text,
    own_servers,
    prefix_texts,
    reversed_addresses,
    said,
)
from dnsbl.listing.columns import U64, Columns, Numbers
from dnsbl.wire.answer import TEST_TEXT
from dnsbl.zone.zone import Zone

#: More names than these for one listed prefix is more than a name server should be given.
NAMES_OF_A_PREFIX = 1 << 20
STRING_BYTES = 255
_LONGEST_ADDRESS_BYTES = 39
TEST_NAMES = ("2.0.0.127", "2.0.0.0.0.0.f.7.f.f.f.f." + ".".join("0" * 20))
#: Bits of a label: an octet, a nibble.
_LABEL_BITS = {True: 8, False: 4}

Made = TypeVar("Made")


class Name(NamedTuple):
    """A name to be written: the block of addresses it stands for, and which segment says what of it."""

    value: int
    labels: int
    is_wildcard: bool
    segment: int


def lines(zone: Zone, columns: Columns, *, public_url: str) -> Iterator[str]:
    """Yield the lines of the file, each with its end.

    Raises:
        ExportError: a prefix with many exclusions would take more than NAMES_OF_A_PREFIX names.
    """
    yield from head(zone, columns.now, f"$ORIGIN {zone.origin}.\n")
    for name, server in own_servers(zone):
        for address in server.addresses:
            yield f"{name}\t{zone.ttl}\t{'AAAA' if ':' in address else 'A'}\t{address}\n"
    test = _records([(code_text(zone.test_code), TEST_TEXT)], zone.ttl)
    for name in TEST_NAMES:
        yield f"{name}{test}"
    for is_v4 in (True, False):
        yield from _family(zone, columns, public_url, is_v4)


def head(zone: Zone, serial: int, origin: str = "") -> Iterator[str]:
    """Yield SOA and NS of a zone."""
    soa = zone.soa
    yield f"{origin}$TTL {zone.ttl}\n"
    times = f"{serial} {soa.refresh} {soa.retry} {soa.expire} {min(zone.ttl, zone.negative_ttl)}"
    yield f"@\tSOA\t{soa.mname}. {soa.rname}. {times}\n"
    yield from (f"@\tNS\t{server.name}.\n" for server in zone.nameservers)


def _family(zone: Zone, columns: Columns, public_url: str, is_v4: bool) -> Iterator[str]:
    for owner, address, parts in expanded(zone, columns, public_url, is_v4, _parts):
        yield owner + address.join(parts)


def expanded(
    zone: Zone, columns: Columns, public_url: str, is_v4: bool, make: Callable[[list[tuple[str, str]], int], Made]
) -> Iterator[tuple[str, str, Made]]:
    """Yield each name below the zone, the address that stands for it, and its records.

    Args:
        zone: what it publishes is expanded, without the test points.
        columns: what is listed.
        public_url: the base of the texts' ``$url``.
        is_v4: the family.
        make: makes records of (code, text with ADDRESS) pairs and a TTL; called once for all that say the same.

    Raises:
        ExportError: a prefix with many exclusions would take more than NAMES_OF_A_PREFIX names.
    """
    expansion = Expansion(zone, columns, public_url, is_v4, make)
    everything = np.arange(len(expansion.hosts))
    yield from expansion.of_hosts(everything)
    yield from expansion.others()


class Expansion(Generic[Made]):
    """The names of one family: hosts that no wildcard comes near, in columns, and all others."""

    def __init__(
        self,
        zone: Zone,
        columns: Columns,
        public_url: str,
        is_v4: bool,
        make: Callable[[list[tuple[str, str]], int], Made],
    ) -> None:
        self._is_v4 = is_v4
        self._found = tries(zone, columns, is_v4)
        nothing = np.empty(0, np.uint64)
        parts = Segments(nothing, nothing, np.empty((0, 0), np.int64))
        if self._found:
            parts = segments(self._found, is_v4)
        words = [said(trie, columns, public_url) for trie in self._found]
        self._parts = parts
        self._spoken = _Spoken(self._found, words, parts.hits, columns.now, make)
        alone = _alone(parts, is_v4)
        self._host_segments = np.flatnonzero(alone)
        self._other_segments = np.flatnonzero(~alone)
        #: Ascending: IPv4 addresses, or upper halves of IPv6 addresses.
        self.hosts: U64 = parts.firsts[alone]

    def said_of_hosts(self) -> Iterator[Made]:
        """Yield the records of each of :attr:`hosts`."""
        return map(self._spoken.of, self._host_segments.tolist())

    def of_hosts(self, rows: npt.NDArray[np.intp]) -> Iterator[tuple[str, str, Made]]:
        """Yield name, address and records of some of :attr:`hosts`."""
        hosts = self.hosts[rows]
        owners = (
            reversed_addresses(hosts)
            if self._is_v4
            else [".".join(["*", *_nibbles(value, 16)]) for value in hosts.tolist()]
        )
        segments_of = self._host_segments[rows].tolist()
        for owner, address, segment in zip(owners, addresses(hosts, self._is_v4), segments_of, strict=True):
            yield owner, address, self._spoken.of(segment)

    def others(self) -> Iterator[tuple[str, str, Made]]:
        """Yield name, address and records of all other names."""
        others, parts, is_v4 = self._other_segments, self._parts, self._is_v4
        rest = Segments(parts.firsts[others], parts.lasts[others], parts.hits[others])
        to_text = _octets if is_v4 else _nibbles
        for name in _names(rest, is_v4, lambda segment: _widest(self._found, rest.hits[segment], is_v4)):
            owner = ".".join(["*"] * name.is_wildcard + to_text(name.value, name.labels))
            (address,) = addresses(np.array([name.value], np.uint64), is_v4)
            yield owner, address, self._spoken.of(int(others[name.segment]))


class _Spoken(Generic[Made]):
    """The records of each segment, made once for all segments that say the same."""

    def __init__(
        self,
        found: list[Trie],
        words: list[Said],
        hits: Numbers,
        now: int,
        make: Callable[[list[tuple[str, str]], int], Made],
    ) -> None:
        self._words = words
        self._make = make
        columns, ttls = [], np.full(len(hits), 1 << 31)
        for number, (trie, said_of) in enumerate(zip(found, words, strict=True)):
            row = hits[:, number]
            is_hit = row != NOTHING
            which = np.full(len(row), NOTHING, np.int64)
            which[is_hit] = said_of.which[row[is_hit]]
            columns.append(which)
            left = trie.column.expires[row[is_hit]]
            ttl = np.where(left == 0, trie.answer.ttl, np.minimum(left - now, trie.answer.ttl))
            ttls[is_hit] = np.minimum(ttls[is_hit], ttl)
        # All records of a name share one TTL (RFC 2181 §5.2), the shortest.
        self._keys: list[tuple[int, ...]] = list(
            zip(ttls.tolist(), *(one.tolist() for one in columns), strict=True)
        )
        self._made: dict[tuple[int, ...], Made] = {}

    def of(self, segment: int) -> Made:
        """Return the records."""
        key = self._keys[segment]
        made = self._made.get(key)
        if made is None:
            ttl, *which = key
            pairs = [
                (words.codes[one], words.texts[one])
                for words, one in zip(self._words, which, strict=True)
                if one != NOTHING
            ]
            made = self._made[key] = self._make(pairs, ttl)
        return made


def _parts(pairs: list[tuple[str, str]], ttl: int) -> list[str]:
    """Return what follows the name, in the parts between which the address goes."""
    return _records(pairs, ttl).split(ADDRESS)


def _records(pairs: list[tuple[str, str]], ttl: int) -> str:
    """Return the A and TXT records of a name, from after the name to the last line's end."""
    return "".join(f"\t{ttl}\tA\t{code}\n" for code, _ in pairs) + "".join(
        f"\t{ttl}\tTXT\t{_strings(text)}\n" for _, text in pairs
    )


def _strings(text: str) -> str:
    """Return a text as the quoted strings of a TXT record, each short enough with any address in it."""
    if len(text) + text.count(ADDRESS) * _LONGEST_ADDRESS_BYTES <= STRING_BYTES:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    strings, length = [""], 0
    for letter in text:
        width = _LONGEST_ADDRESS_BYTES if letter == ADDRESS else 1
        if length + width > STRING_BYTES:
            strings.append("")
            length = 0
        strings[-1] += f"\\{letter}" if letter in '"\\' else letter
        length += width
    return " ".join(f'"{string}"' for string in strings)


def _alone(parts: Segments, is_v4: bool) -> npt.NDArray[np.bool_]:
    """Say which segments are hosts that no wildcard comes near: their last label stands among hosts only."""
    shift = np.uint64(_LABEL_BITS[is_v4])
    is_host: npt.NDArray[np.bool_] = parts.firsts == parts.lasts
    firsts, lasts = parts.firsts[~is_host] >> shift, parts.lasts[~is_host] >> shift
    if not len(firsts):
        return is_host
    block = parts.firsts >> shift
    at = np.searchsorted(firsts, block, "right") - 1
    # Segments ascend, so that of those that begin before a block the last one ends last.
    is_near = (at >= 0) & (lasts[at] >= block)
    return np.logical_and(is_host, ~is_near)


def _names(parts: Segments, is_v4: bool, widest: Callable[[int], str]) -> Iterator[Name]:
    """Yield the names that say of every address what its segment does, and of all others nothing."""
    bits, step = bits_of(is_v4), _LABEL_BITS[is_v4]
    firsts, lasts = parts.firsts.tolist(), parts.lasts.tolist()
    _, alike = np.unique(parts.hits, axis=0, return_inverse=True) if len(firsts) else (None, np.empty(0, int))
    kinds = alike.ravel().tolist()
    written: Counter[int] = Counter()
    waiting = [(0, 0, 0, len(firsts))] if firsts else []
    while waiting:
        base, labels, low, high = waiting.pop()
        child_bits = bits - step * (labels + 1)
        whole, mixed = _children(firsts, lasts, base, child_bits, step, low, high)
        waiting += [(base + (child << child_bits), labels + 1, *span) for child, span in mixed.items()]
        common = _common(whole, kinds, (1 << step) - len(mixed))
        if common is not None:
            yield Name(base, labels, True, next(one for _, _, one in whole if kinds[one] == common))
        for first, last, segment in whole:
            if kinds[segment] == common:
                continue
            written[kinds[segment]] += last - first + 1
            if written[kinds[segment]] > NAMES_OF_A_PREFIX:
                raise ExportError(
                    f"{widest(segment)} has so many exclusions that it takes more than {NAMES_OF_A_PREFIX} names "
                    "in a master file: list its parts instead, or export to rbldnsd"
                )
            is_wildcard = not is_v4 or child_bits > 0
            for child in range(first, last + 1):
                yield Name(base + (child << child_bits), labels + 1, is_wildcard, segment)


def _children(
    firsts: list[int], lasts: list[int], base: int, child_bits: int, step: int, low: int, high: int
) -> tuple[list[tuple[int, int, int]], dict[int, tuple[int, int]]]:
    """Return the runs of children that one segment covers whole, and the span of segments of those it does not."""
    whole: list[tuple[int, int, int]] = []
    mixed: dict[int, tuple[int, int]] = {}
    inside = (1 << child_bits) - 1
    end = base + (1 << child_bits + step) - 1
    at = low
    while at < high:
        first, last = max(firsts[at], base) - base, min(lasts[at], end) - base
        begin, until = first >> child_bits, last >> child_bits
        # Segments that begin in the child where this one ends: all but the last of them end in it too.
        following = bisect_left(firsts, base + (until + 1 << child_bits), at + 1, high)
        if first & inside or (begin == until and last + 1 & inside):
            mixed[begin] = mixed.get(begin, (at, 0))[0], following if begin == until else at + 1
            begin += 1
        if begin <= until and last + 1 & inside:
            mixed[until] = at, following
            until -= 1
        if begin <= until:
            whole.append((begin, until, at))
        at = max(at + 1, following - 1)
    return whole, mixed


def _common(whole: list[tuple[int, int, int]], kinds: list[int], needed: int) -> int | None:
    """Return what most children say, if all ``needed`` of them say something: a wildcard can say it."""
    counts: Counter[int] = Counter()
    for first, last, segment in whole:
        counts[kinds[segment]] += last - first + 1
    return counts.most_common(1)[0][0] if counts and counts.total() == needed else None


def _widest(found: list[Trie], hits: Numbers, is_v4: bool) -> str:
    """Return the widest prefix that lists a segment."""
    prefixes = [
        (int(trie.column.lengths[row]), int(trie.column.values[row]))
        for trie, row in zip(found, hits.tolist(), strict=True)
        if row != NOTHING
    ]
    length, value = min(prefixes)
    return prefix_texts(Prefixes(np.array([value], np.uint64), np.array([length])), is_v4)[0]


def _octets(value: int, labels: int) -> list[str]:
    return [str(octet) for octet in reversed(value.to_bytes(4, "big")[:labels])]


def _nibbles(value: int, labels: int) -> list[str]:
    return list(reversed(f"{value:016x}"[:labels]))
