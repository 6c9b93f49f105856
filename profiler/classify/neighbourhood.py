"""What is known of each /24 (IPv6: /48): how many of its addresses have names, generic names, bots.

Derived from the profiles, so it is never written down but counted anew at the start.
"""

import numpy as np
import numpy.typing as npt

from profiler.classify.evidence import Class, Floats, has
from profiler.observation import Sign
from profiler.profile.record import Slots

_NAMED = 1
_GENERIC = 2
_BOT = 4
_V4_NET_BITS = np.uint64(8)
_V6_NET_BITS = np.uint64(16)


def net_of(ip_hi: npt.NDArray[np.uint64], ip_lo: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return a number for the /24 or /48 that each address lies in."""
    return np.where(ip_hi == 0, ip_lo >> _V4_NET_BITS, ip_hi >> _V6_NET_BITS)


class Neighbourhood:
    """Counts by net, kept up to date from the slots that were judged."""

    def __init__(self) -> None:
        self._flags = np.zeros(1024, np.uint8)  # by slot: what it is counted as
        self._counts: dict[int, list[int]] = {}  # net to [named, generic, bots]

    def update(self, slots: Slots, columns: npt.NDArray[np.void]) -> None:
        """Count these slots as their columns now are."""
        if not len(slots):
            return
        top = int(slots.max()) + 1
        if top > len(self._flags):
            self._flags = np.concatenate([self._flags, np.zeros(max(top, len(self._flags)), np.uint8)])
        rdns = columns["rdns"]
        named = has(rdns, Sign.RDNS_VERIFIED | Sign.RDNS_GENERIC | Sign.RDNS_SERVER | Sign.RDNS_STATIC)
        flags = np.where(named, _NAMED, 0).astype(np.uint8)
        flags |= np.where(has(rdns, Sign.RDNS_GENERIC), _GENERIC, 0).astype(np.uint8)
        flags |= np.where((columns["classes"] & Class.BOT) != 0, _BOT, 0).astype(np.uint8)
        nets = net_of(columns["ip_hi"], columns["ip_lo"])
        for i in np.flatnonzero(self._flags[slots] != flags):
            was, now = int(self._flags[slots[i]]), int(flags[i])
            counts = self._counts.setdefault(int(nets[i]), [0, 0, 0])
            for k, bit in enumerate((_NAMED, _GENERIC, _BOT)):
                counts[k] += bool(now & bit) - bool(was & bit)
            self._flags[slots[i]] = now

    def read(self, slots: Slots, columns: npt.NDArray[np.void]) -> tuple[Floats, Floats, Floats]:
        """Return, for each slot, how many others of its net are named, have generic names, are bots."""
        found = np.zeros((3, len(slots)))
        nets = net_of(columns["ip_hi"], columns["ip_lo"]).tolist()
        nothing = [0, 0, 0]
        for i, net in enumerate(nets):
            found[:, i] = self._counts.get(net, nothing)
        own = self._flags[np.minimum(slots, len(self._flags) - 1)]
        own = np.where(slots < len(self._flags), own, 0)
        for k, bit in enumerate((_NAMED, _GENERIC, _BOT)):
            found[k] -= (own & bit) != 0
        return found[0], found[1], found[2]
