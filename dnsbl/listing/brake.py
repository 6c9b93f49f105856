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
        self._passed: deque[tuple[int, int]] = deque()
        self._by_network: Counter[int] = Counter()
        self.held = 0

    def passes(self, key: Key, now: int) -> bool:
        """Whether a new listing at ``now`` (seconds since 1970) stays within the bounds; it is counted if so."""
        while self._passed and self._passed[0][0] <= now - WINDOW_SECONDS:
            _, network = self._passed.popleft()
            self._by_network[network] -= 1
            if not self._by_network[network]:
                del self._by_network[network]
        network = key.lo >> _V4_SHIFT if key.is_v4 else key.hi >> _V6_SHIFT
        if len(self._passed) >= self._per_hour or self._by_network[network] >= self._per_network_hour:
            self.held += 1
            return False
        self._passed.append((now, network))
        self._by_network[network] += 1
        return True
