"""All that is listed, as columns of numbers: what exports of millions of listings work on.

Rows of the store and entries in, a :class:`Column` a layer and family out. What has expired is left out, and of
equal places the last counts, as in the answers. Knows neither zones nor formats.
"""

import socket
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry

U64 = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
#: Address, prefix length, reason, since, expires, trust: as the store gives them.
Row = tuple[str, int, str, int, int, int]
REASON_BYTES = 120


class Column(NamedTuple):
    """Listings of one layer and family, ascending by value, then by length, no two at one place."""

    #: IPv4 addresses, or upper halves of IPv6 addresses; host bits are zero.
    values: U64
    lengths: Numbers
    #: Indexes into :attr:`Columns.reasons`.
    reasons: Numbers
    #: Seconds since 1970; ``expires`` 0 for never.
    since: Numbers
    expires: Numbers
    trusts: Numbers

    def at(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "Column":
        """Return these rows only."""
        numbers: list[Numbers] = [part[rows] for part in self[1:]]
        return Column(self.values[rows], *numbers)


class Columns:
    """Takes all listings at ``now`` (seconds since 1970), and gives them by layer and family."""

    def __init__(self, now: int) -> None:
        self.now = now
        self._numbers: dict[str, int] = {}
        self._parts: dict[tuple[Layer, bool], list[Column]] = {}
        self._columns: dict[tuple[Layer, bool], Column] = {}

    def __len__(self) -> int:
        return sum(len(part.values) for parts in self._parts.values() for part in parts)

    @property
    def reasons(self) -> list[str]:
        """The reasons in words, at most 120 printable ASCII characters each, as answered, by their index."""
        return [_printable(reason) for reason in self._numbers]

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Take entries."""
        found: dict[tuple[Layer, bool], list[tuple[int, int, str, int, int, int]]] = {}
        for place, reason, since, expires, trust in entries:
            row = place.value, place.prefix_length, reason, since, expires, trust
            found.setdefault((place.layer, place.is_v4), []).append(row)
        for (layer, is_v4), rows in found.items():
            values, *rest = zip(*rows, strict=True)
            self._add(layer, is_v4, np.array(values, np.uint64), rest)

    def add_rows(self, layer: Layer, is_v4: bool, rows: Sequence[Row]) -> None:
        """Take rows of one layer and family, at least one."""
        addresses, *rest = zip(*rows, strict=True)
        family = socket.AF_INET if is_v4 else socket.AF_INET6
        packed = b"".join([socket.inet_pton(family, address) for address in addresses])
        values = np.frombuffer(packed, ">u4") if is_v4 else np.frombuffer(packed, ">u8")[::2]
        self._add(layer, is_v4, values.astype(np.uint64), rest)

    def add_column(self, layer: Layer, is_v4: bool, column: Column, reasons: Sequence[str]) -> None:
        """Take a column in any order, whose ``reasons`` are indexes into ``reasons``."""
        numbers = np.array([self._number(reason) for reason in reasons], np.int64)
        self._parts.setdefault((layer, is_v4), []).append(column._replace(reasons=numbers[column.reasons]))
        self._columns.pop((layer, is_v4), None)

    def _add(self, layer: Layer, is_v4: bool, values: U64, rest: Sequence[Sequence[int | str]]) -> None:
        lengths, reasons, *numbers = rest
        bits = V4_BITS if is_v4 else V6_BITS
        part = Column(
            values,
            np.minimum(np.array(lengths, np.int64), bits),
            np.array([self._number(str(reason)) for reason in reasons], np.int64),
            *(np.array(one, np.int64) for one in numbers),
        )
        self._parts.setdefault((layer, is_v4), []).append(part)
        self._columns.pop((layer, is_v4), None)

    def _number(self, reason: str) -> int:
        return self._numbers.setdefault(reason, len(self._numbers))

    def column(self, layer: Layer, is_v4: bool) -> Column:
        """Return what is listed in a layer and family."""
        key = layer, is_v4
        if key not in self._columns:
            self._columns[key] = _in_order(self._parts.get(key, []), self.now)
        return self._columns[key]


def _printable(reason: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in reason)
    return text.encode("ascii", "replace").decode()[:REASON_BYTES]


def _in_order(parts: Sequence[Column], now: int) -> Column:
    if not parts:
        nothing = np.empty(0, np.int64)
        return Column(np.empty(0, np.uint64), *[nothing] * 5)
    joined = Column(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    # Stable, so that of equal places the last one taken comes last.
    joined = joined.at(np.lexsort((joined.lengths, joined.values)))
    last = np.ones(len(joined.values), bool)
    last[:-1] = (joined.values[1:] != joined.values[:-1]) | (joined.lengths[1:] != joined.lengths[:-1])
    live = (joined.expires == 0) | (joined.expires > now)
    return joined.at(last & live)
