"""The brake: a flood of new bot listings is held, in all or in one network, instead of listing the world.

Pure: the clock is a parameter. Counts fall out after an hour.
"""

from collections import Counter, deque

from profiler.address import Key

WINDOW_SECONDS = 3600
_V4_SHIFT = 16
_V6_SHIFT = 32


class Brake:
    """Decides for each new bot listing whether it may be published at once."""

    def __init__(self, per_hour: int, per_network_hour: int) -> None:
        self._per_hour = per_hour
        self._per_network_hour = per_network_hour
        self._passed: deque[tuple[int, int, Key]] = deque()
        self._keys: set[Key] = set()
        self._by_network: Counter[int] = Counter()

    def passes(self, key: Key, now: int) -> bool:
        """Whether a new listing at ``now`` (seconds since 1970) stays within the bounds; it is counted if so.

        An address that passed within the hour passes again without being counted: it is offered anew after the
        disk refused it, or comes back after a delisting.
        """
        while self._passed and self._passed[0][0] <= now - WINDOW_SECONDS:
            _, network, gone = self._passed.popleft()
            self._keys.remove(gone)
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]
        if key in self._keys:
            return True
        network = key.lo >> _V4_SHIFT if key.is_v4 else key.hi >> _V6_SHIFT
        if len(self._passed) >= self._per_hour or self._by_network[network] >= self._per_network_hour:
            return False
        self._passed.append((now, network, key))
        self._keys.add(key)
        self._by_network[network] += 1
        return True
