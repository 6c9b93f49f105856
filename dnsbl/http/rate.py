"""How often somebody may do something: token buckets, bounded in number. Pure; the clock is passed in."""

from collections import OrderedDict
from typing import NamedTuple

#: Buckets kept; the one unused for longest falls off.
REMEMBERED = 65_536


class Rate(NamedTuple):
    """``burst`` at once, refilled evenly over ``per_seconds``."""

    burst: int
    per_seconds: float


class RateLimiter:
    """Token buckets by name."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: Rate, now: float) -> float:
        """Take one from the bucket ``name`` and return 0, or return the seconds until there is one."""
        left, then = self._buckets.pop(name, (float(rate.burst), now))
        left = min(rate.burst, left + (now - then) * rate.burst / rate.per_seconds)
        wait = 0.0 if left >= 1 else (1 - left) * rate.per_seconds / rate.burst
        self._buckets[name] = (left - 1 if not wait else left, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return wait
