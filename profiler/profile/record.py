"""What a profile is, byte by byte, and the columns that judging reads.

Rules (DESIGN §5.7, §5.8):

1. Everything in a profile is a sum of integers, a maximum, a minimum or a bitwise or. So the order in which
   observations arrive does not matter, and profiles folded apart and merged equal those folded together,
   to the byte.
2. Forgetting is forward decay (Cormode et al., 2009) in whole numbers: an observation at time t weighs
   2^((t - start of its epoch) / half-life), rounded, and is added to the epoch's sum. The newest epoch and the one
   before are kept; eight half-lives an epoch, so what falls off weighs less than 1/256.
3. What arrives later than the kept epochs (or than the ring of ten-minute slots) no longer changes them.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

#: Numbers of profiles in their table.
Slots = npt.NDArray[np.uint32]

HALF_LIVES_AN_EPOCH = 8
FAST_HALF_LIFE_SECONDS = 24 * 3600
SLOW_HALF_LIFE_SECONDS = 30 * 24 * 3600
#: Nats that one outcome adds to the sequential test: ln(P(outcome | bot) / P(outcome | clean)).
LLR_BAD = 1.1
LLR_GOOD = -0.4
SLOT_SECONDS = 600
SLOTS = 16


class Fast(IntEnum):
    """Counters with a half-life of a day."""

    GOOD = 0  # accepted messages, ham
    BAD_RECIPIENT = 1  # unknown recipients, relay attempts: refused or bounced
    BAD_CONTENT = 2  # spam verdicts and complaints; a trap hit counts four
    REFUSED = 3  # other refusals by policy
    PROTOCOL = 4  # pregreet, early pipelining, dropped sessions
    AUTH_FAIL = 5
    FLOW = 6  # flows to port 25
    SUBMITTED = 7  # authenticated messages and logins


class Slow(IntEnum):
    """Counters with a half-life of thirty days: the address's own past."""

    GOOD = 0
    BAD = 1
    FLOW = 2
    OTHER = 3


PROFILE = np.dtype(
    [
        ("ip_hi", "<u8"),
        ("ip_lo", "<u8"),
        ("first", "<i8"),  # µs since 1970
        ("last", "<i8"),
        ("observations", "<u4"),  # how many ever
        ("day", "<i4"),  # newest day of the bitmaps, days since 1970
        ("slot", "<i4"),  # newest slot of the ring, ten minutes each since 1970
        ("fast_epoch", "<i2"),
        ("slow_epoch", "<i2"),
        ("fast", "<u4", (2, 8)),  # newest epoch, the one before
        ("slow", "<u4", (2, 4)),
        ("recent", "<u2", (SLOTS, 2)),  # good, bad of each slot, at slot modulo 16
        ("helos", "<u8", 2),  # linear counting bitmaps (Whang et al., 1990): newest day, the day before
        ("destinations", "<u8", 2),  # of flows to port 25
        ("rdns", "<u4"),  # hours since 1970 << 7 | the seven RDNS signs: the newest statement
        ("helo", "<u4"),  # hours since 1970 << 7 | the five HELO signs
        ("messages", "<u4"),  # message attempts ever: accepted, and refused recipients
        ("pardoned", "<u4"),  # minutes since 1970: nothing bad up to then counts
    ]
)

#: What judging reads of a profile, at a given time: decayed counts as floats.
COLUMNS = np.dtype(
    [
        ("ip_hi", "<u8"),
        ("ip_lo", "<u8"),
        ("first", "<i8"),
        ("last", "<i8"),
        ("good", "<f8"),
        ("bad_recipient", "<f8"),
        ("bad_content", "<f8"),
        ("refused", "<f8"),
        ("protocol", "<f8"),
        ("auth_fail", "<f8"),
        ("flow", "<f8"),
        ("submitted", "<f8"),
        ("past_good", "<f8"),
        ("past_bad", "<f8"),
        ("past_flow", "<f8"),
        ("past_other", "<f8"),
        ("recent_good", "<f8"),  # of the ring, not decayed
        ("recent_bad", "<f8"),
        ("cusum", "<f8"),  # of the ring's slots in order
        ("helos", "<f8"),  # distinct in two days
        ("destinations", "<f8"),
        ("observations", "<u4"),
        ("rdns", "<u4"),  # Sign bits of the newest statement
        ("helo", "<u4"),
        ("messages", "<u4"),
        ("saturated", "u1"),  # too busy for its counters: their ratio says nothing
        ("classes", "u1"),  # the classes it has now
        ("spare", "u1", 6),
    ]
)
