"""Declared networks: what the owner of a prefix says that it is used for; the longest prefix wins."""

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.address import V4_MARK, IPNetwork, Key


class Use(IntEnum):
    """What a network is declared to be used for."""

    UNDECLARED = 0
    DYNAMIC = 1
    STATIC = 2
    SERVERS = 3


class Declaration(NamedTuple):
    """A prefix, its use, and its owner's number and name where known."""

    prefix: IPNetwork
    use: Use
    asn: int | None = None
    name: str = ""


class DeclaredNetworks:
    """An immutable set of declarations, flattened to disjoint intervals for lookup of whole columns."""

    def __init__(self, declarations: Iterable[Declaration] = ()) -> None:
        self.declarations = tuple(sorted(declarations, key=lambda item: (item.prefix.version, item.prefix)))
        self._v4 = _flatten([item for item in self.declarations if item.prefix.version == 4])
        self._v6 = _flatten([item for item in self.declarations if item.prefix.version == 6])

    def find(self, key: Key) -> Declaration | None:
        """Return the declaration of the longest prefix that holds the address, or None."""
        which = self._which(np.array([key.hi], np.uint64), np.array([key.lo], np.uint64))[0]
        return self.declarations[which] if which >= 0 else None

    def uses(self, ip_hi: npt.NDArray[np.uint64], ip_lo: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
        """Return the :class:`Use` of each address (two arrays of n halves)."""
        if not self.declarations:
            return np.zeros(len(ip_hi), np.uint8)
        table = np.array([item.use for item in self.declarations] + [Use.UNDECLARED], np.uint8)
        return table[self._which(ip_hi, ip_lo)]

    def _which(self, ip_hi: npt.NDArray[np.uint64], ip_lo: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        is_v4 = (ip_hi == 0) & (ip_lo >> np.uint64(32) == V4_MARK >> 32)
        found = np.full(len(ip_hi), -1, np.int64)
        for mask, values, (starts, owners), offset in (
            (is_v4, ip_lo & np.uint64(0xFFFFFFFF), self._v4, 0),
            (~is_v4, ip_hi, self._v6, sum(item.prefix.version == 4 for item in self.declarations)),
        ):
            if len(starts) and mask.any():
                owner = owners[np.searchsorted(starts, values[mask], "right") - 1]
                found[mask] = np.where(owner >= 0, owner + offset, -1)
        return found


def _flatten(items: list[Declaration]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return interval starts, from 0, and for each the index of the longest prefix that holds it, or -1.

    Prefixes nest or are apart, so a stack of those open at a point has the longest on top. IPv6 is looked up by its
    upper 64 bits: prefixes longer than /64 count for their /64.
    """
    starts, owners = [0], [-1]
    stack: list[tuple[int, int]] = []  # (end, index)

    def close(upto: int) -> None:
        while stack and stack[-1][0] <= upto:
            end, _ = stack.pop()
            starts.append(end)
            owners.append(stack[-1][1] if stack else -1)

    shift = 64 if items and items[0].prefix.version == 6 else 0
    for index, item in enumerate(items):
        first = int(item.prefix.network_address) >> shift
        end = (int(item.prefix.broadcast_address) >> shift) + 1
        close(first)
        starts.append(first)
        owners.append(index)
        stack.append((end, index))
    close(1 << 64)
    # Where several intervals start at one point, the last said holds.
    table = {start: owner for start, owner in zip(starts, owners, strict=True) if start < 1 << 64}
    ordered = sorted(table)
    return np.array(ordered, np.uint64), np.array([table[start] for start in ordered], np.int64)
