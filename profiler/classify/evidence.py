"""What detectors see and what they say: the form that every detector has.

A detector weighs one reason for or against one class, for many addresses at once, in nats of log-likelihood ratio;
weights of one class add up. It reads columns, never a clock, and says in a sentence what it saw.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Class(IntFlag):
    """The classes of a verdict, as bits of a profile's standing. None of them: unknown."""

    BOT = 1
    DYNAMIC = 2
    MTA = 4
    #: With DYNAMIC: the network's owner said so.
    DECLARED = 8


CLASS_NAMES = {Class.BOT: "bot", Class.DYNAMIC: "dynamic", Class.MTA: "mta"}


def class_names(classes: int) -> list[str]:
    """Return the names of the classes in these bits, worst first."""
    return [name for bit, name in CLASS_NAMES.items() if classes & bit]


class Scene(NamedTuple):
    """What is known of n addresses, each at its time."""

    now: npt.NDArray[np.int64]  # µs since 1970
    columns: npt.NDArray[np.void]  # dtype profiler.profile.record.COLUMNS
    use: npt.NDArray[np.uint8]  # profiler.sources.networks.Use of each
    neighbours: Floats  # other addresses of its /24 (IPv6: /48) that have a reverse name
    neighbours_generic: Floats  # of those, with a generic name
    neighbours_bot: Floats  # other addresses of its /24 that are bots


class Evidence(NamedTuple):
    """One reason: the detector's name, the class it speaks of, its weight in nats, and a sentence."""

    name: str
    of: str
    weight: float
    says: str


@dataclass(frozen=True, slots=True)
class Detector:
    """One reason for or against one class."""

    name: str
    of: Class
    #: Scene of n addresses to n weights.
    weigh: Callable[[Scene], Floats]
    #: Scene and index to the sentence.
    says: Callable[[Scene, int], str]


def has(bits: npt.NDArray[np.uint32], sign: int) -> npt.NDArray[np.bool_]:
    """Return where any bit of ``sign`` is set."""
    return np.asarray((bits & np.uint32(sign)) != 0)


def plural(number: float, noun: str, nouns: str = "") -> str:
    """Return a rounded number with its noun, as ``3 messages``; ``nouns`` where an s does not do."""
    count = round(number)
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
