"""What a zone publishes, address by address: the answers' own rules, on columns.

A zone and columns in; for each of its answers a :class:`Trie` out, in which the longest prefix around an address
decides, and from those the :class:`Segments` of the address space that are answered alike. Knows no format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dnsbl.listing.codes import Layer
from dnsbl.listing.columns import U64, Column, Columns, Numbers
from dnsbl.listing.entry import V4_BITS, V6_BITS
from dnsbl.zone.zone import Answer, Zone

#: In :attr:`Trie.rows` and :attr:`Segments.hits`: not listed.
NOTHING = -1
#: The test points, which no listing changes (RFC 5782 §5), as (values, lengths): 127.0.0.1 and 127.0.0.2, and the
#: /64 of ::ffff:7f00:1 and ::ffff:7f00:2, all of which is reserved.
_TEST_POINTS = {True: ((0x7F000001, 0x7F000002), (32, 32)), False: ((0,), (64,))}
_DYNAMIC = (Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED)
_ONE = np.uint64(1)

_Bools = npt.NDArray[np.bool_]


class Prefixes(NamedTuple):
    """Prefixes of one family, ascending by value, then by length."""

    values: U64
    lengths: Numbers


@dataclass(frozen=True, eq=False)
class Trie:
    """What a zone says by one answer: of all prefixes around an address the longest counts, listed or not."""

    answer: Answer
    column: Column
    prefixes: Prefixes
    #: The prefix's row in ``column``; NOTHING: not listed.
    rows: Numbers


class Segments(NamedTuple):
    """The listed parts of a family's addresses, ascending; what lies between them is not listed."""

    firsts: U64
    lasts: U64
    #: A row for each segment, a column for each trie: the row of its column, or NOTHING.
    hits: Numbers


def bits_of(is_v4: bool) -> int:
    """Return the length of a host's prefix: IPv6 is listed by /64."""
    return V4_BITS if is_v4 else V6_BITS


def tries(zone: Zone, columns: Columns, is_v4: bool) -> list[Trie]:
    """Return a trie for each answer of a zone, without its test points."""
    if zone.dry_run:
        return []
    values, lengths = _TEST_POINTS[is_v4]
    test = Prefixes(np.array(values, np.uint64), np.array(lengths, np.int64))
    never, mta = (_prefixes(columns.column(layer, is_v4)) for layer in (Layer.EXCLUDED, Layer.MTA))
    made = []
    for answer in zone.answers:
        # As the answers do: of the never-list only good is said; in a blocking zone a mail server is listed by hand
        # only, and in the class zone it is dynamic by its own listing only, not by that of the network around it.
        everywhere, in_ranges = [test], []
        if answer.layer is not Layer.MTA:
            everywhere.append(never)
        if zone.kind == "block" and answer.layer is not Layer.OPERATOR:
            everywhere.append(mta)
        if zone.kind == "class" and answer.layer in _DYNAMIC:
            in_ranges.append(mta)
        column = columns.column(answer.layer, is_v4)
        made.append(_trie(answer, column, _joined(everywhere), _joined(everywhere + in_ranges), bits_of(is_v4)))
    return made


def segments(tries: Sequence[Trie], is_v4: bool) -> Segments:
    """Return the listed parts of the address space, each as wide as it is answered alike by all tries."""
    bits = bits_of(is_v4)
    end = np.uint64((1 << bits) - 1)
    bounds = [np.zeros(1, np.uint64)]
    for trie in tries:
        lasts = last_of(trie.prefixes, bits)
        bounds += [trie.prefixes.values, lasts[lasts < end] + _ONE]
    firsts = _distinct(np.concatenate(bounds))
    hits = np.full((len(firsts), len(tries)), NOTHING, np.int64)
    for number, trie in enumerate(tries):
        hits[:, number] = _longest(trie, firsts, bits)
    changes = np.ones(len(firsts), bool)
    changes[1:] = (hits[1:] != hits[:-1]).any(axis=1)
    firsts, hits = firsts[changes], hits[changes]
    lasts = np.append(firsts[1:] - _ONE, end)
    listed = (hits != NOTHING).any(axis=1)
    return Segments(firsts[listed], lasts[listed], hits[listed])


def blocks(zone: Zone, columns: Columns, is_v4: bool) -> Prefixes:
    """Return the prefixes, as few and wide as possible, that hold exactly the addresses that a zone lists."""
    bits = bits_of(is_v4)
    found = segments(tries(zone, columns, is_v4), is_v4)
    starts = np.ones(len(found.firsts), bool)
    starts[1:] = found.firsts[1:] != found.lasts[:-1] + _ONE
    ends = np.append(starts[1:], True) if len(starts) else starts
    firsts, lasts = found.firsts[starts], found.lasts[ends]
    hosts = firsts == lasts
    values, lengths = [], []
    for first, last in zip(firsts[~hosts].tolist(), lasts[~hosts].tolist(), strict=True):
        while first <= last:
            width = min((first & -first).bit_length() - 1 if first else bits, (last - first + 1).bit_length() - 1)
            values.append(first)
            lengths.append(bits - width)
            first += 1 << width
    all_values = np.concatenate([firsts[hosts], np.array(values, np.uint64)])
    all_lengths = np.concatenate([np.full(hosts.sum(), bits), np.array(lengths, np.int64)])
    order = np.argsort(all_values)
    return Prefixes(all_values[order], all_lengths[order])


def last_of(prefixes: Prefixes, bits: int) -> U64:
    """Return the last address of each prefix."""
    return prefixes.values | ~_mask(prefixes.lengths, bits) & np.uint64((1 << bits) - 1)


def _distinct(values: U64) -> U64:
    # Several times as quick as np.unique on millions of numbers that hardly repeat.
    ordered = np.sort(values)
    is_new = np.append(True, ordered[1:] != ordered[:-1])
    return np.compress(is_new, ordered)


def _mask(lengths: Numbers, bits: int) -> U64:
    """Return the bits of an address that prefixes of these lengths fix, with all above them."""
    hosts = (bits - lengths).astype(np.uint64)
    # Shifting by all 64 bits gives 0, as it should.
    return ~(np.left_shift(_ONE, hosts) - _ONE)


def _prefixes(column: Column) -> Prefixes:
    return Prefixes(column.values, column.lengths)


def _joined(parts: Sequence[Prefixes]) -> Prefixes:
    return Prefixes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _outermost(prefixes: Prefixes, bits: int) -> Prefixes:
    """Return the prefixes that no other one holds, ascending."""
    order = np.lexsort((prefixes.lengths, prefixes.values))
    values, lengths = prefixes.values[order], prefixes.lengths[order]
    lasts = last_of(Prefixes(values, lengths), bits)
    outer = np.ones(len(values), bool)
    outer[1:] = lasts[1:] > np.maximum.accumulate(lasts)[:-1]
    return Prefixes(values[outer], lengths[outer])


def _inside(prefixes: Prefixes, outer: Prefixes, bits: int) -> _Bools:
    """Say of each prefix whether one of ``outer``, of which none holds another, holds it."""
    if not len(outer.values):
        return np.zeros(len(prefixes.values), bool)
    at = np.searchsorted(outer.values, prefixes.values, "right") - 1
    return (at >= 0) & (last_of(outer, bits)[at] >= last_of(prefixes, bits))


def _trie(answer: Answer, column: Column, everywhere: Prefixes, in_ranges: Prefixes, bits: int) -> Trie:
    """Take out of a column what ``everywhere`` holds, and out of its ranges also what ``in_ranges`` holds."""
    listed = _prefixes(column)
    is_host = listed.lengths == bits
    out = _outermost(in_ranges, bits)
    kept = ~_inside(listed, _outermost(everywhere, bits), bits) & (is_host | ~_inside(listed, out, bits))
    # A range that is left needs its holes named; a host of its own in one of them stays.
    ranges = _outermost(Prefixes(*(part[kept & ~is_host] for part in listed)), bits)
    needed = _inside(out, ranges, bits)
    needed &= ~((out.lengths == bits) & np.isin(out.values, listed.values[kept & is_host]))
    values = np.concatenate([listed.values[kept], out.values[needed]])
    lengths = np.concatenate([listed.lengths[kept], out.lengths[needed]])
    rows = np.concatenate([np.flatnonzero(kept), np.full(needed.sum(), NOTHING)])
    order = np.lexsort((lengths, values))
    return Trie(answer, column, Prefixes(values[order], lengths[order]), rows[order])


def _longest(trie: Trie, points: U64, bits: int) -> Numbers:
    """Return, for each address, the row of the longest prefix around it."""
    found = np.full(len(points), NOTHING, np.int64)
    for length in np.unique(trie.prefixes.lengths):
        of_length = trie.prefixes.lengths == length
        values, rows = trie.prefixes.values[of_length], trie.rows[of_length]
        masked = points & _mask(np.array([length]), bits)
        at = np.minimum(np.searchsorted(values, masked), len(values) - 1)
        is_in = values[at] == masked
        found[is_in] = rows[at[is_in]]
    return found
