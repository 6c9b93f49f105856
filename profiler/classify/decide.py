"""Evidence to classes: the thresholds, the gates that protect legitimate servers, and the hysteresis."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.classify import bot, dynamic, mta
from profiler.classify.evidence import Class, Floats, Scene
from profiler.sources.networks import Use

#: Wald's bounds for alpha = 0.001, beta = 0.01: ln((1 - beta) / alpha).
BOT_THRESHOLD = 6.9
#: A bot comes off when what it did has faded below the first, and all that speaks against it below the second.
BOT_CLEAR_BEHAVIOUR = 1.0
BOT_CLEAR_TOTAL = 2.0
BOT_EVENTS_NEEDED = 2.5  # three, a little decayed
BOT_SHARE_NEEDED = 0.3
FANOUT_ALONE = 5.0
#: A legitimate server is listed only while most of what it sends is bad.
SERVER_SHARE_NEEDED = 0.5
SERVER_EVENTS_NEEDED = 10
MTA_THRESHOLD = 7.0
MTA_KEPT = 5.0
MTA_MESSAGES_NEEDED = 10
DYNAMIC_THRESHOLD = 4.0
#: What feeds of others say weighs at most this, below the threshold: it needs corroboration (DESIGN §5.3).
FOREIGN_CEILING = 4.0
CORROBORATION_NEEDED = 1.0

DETECTORS = bot.DETECTORS + dynamic.DETECTORS + mta.DETECTORS
_PRIORS = ("source", "neighbourhood")
_OF = {of: np.array([detector.of is of for detector in DETECTORS]) for of in (Class.BOT, Class.DYNAMIC, Class.MTA)}
_BEHAVIOUR = np.array([detector.of is Class.BOT and detector.name not in _PRIORS for detector in DETECTORS])
_FANOUT = next(i for i, detector in enumerate(DETECTORS) if detector.name == "fanout")


class Decision(NamedTuple):
    """Arrays over n addresses."""

    weights: Floats  # (detectors, n)
    foreign: Floats  # n: what feeds of others add for bot
    classes: npt.NDArray[np.uint8]
    trust: npt.NDArray[np.uint8]
    confidence: Floats  # 0 to 1, of the strongest class
    behaviour: Floats  # nats of bot evidence that fade with silence


def weigh(scene: Scene) -> Floats:
    """Return the weights of all detectors, (detectors, n), in nats."""
    return np.stack([detector.weigh(scene) for detector in DETECTORS])


def decide(scene: Scene, foreign: Scene | None = None) -> Decision:
    """Return what the addresses of ``scene`` are; ``foreign`` is the same addresses as feeds of others saw them."""
    weights = weigh(scene)
    extra = np.zeros(len(scene.columns))
    if foreign is not None:
        extra = np.clip(weigh(foreign)[_BEHAVIOUR].sum(axis=0), 0.0, FOREIGN_CEILING)
    total_bot = weights[_OF[Class.BOT]].sum(axis=0) + extra
    total_dynamic = weights[_OF[Class.DYNAMIC]].sum(axis=0)
    total_mta = weights[_OF[Class.MTA]].sum(axis=0)
    behaviour = weights[_BEHAVIOUR].sum(axis=0) + extra

    was = scene.columns["classes"]
    enough = scene.columns["past_good"] >= MTA_MESSAGES_NEEDED
    is_mta = np.where(was & Class.MTA, total_mta >= MTA_KEPT, (total_mta >= MTA_THRESHOLD) & enough)
    is_bot = _is_bot(scene, weights, total_bot, behaviour, extra, is_mta)
    is_mta &= ~is_bot
    is_dynamic = (total_dynamic >= DYNAMIC_THRESHOLD) & ~is_mta
    is_declared = is_dynamic & (scene.use == Use.DYNAMIC)
    classes = (is_bot * Class.BOT | is_dynamic * Class.DYNAMIC | is_mta * Class.MTA).astype(np.uint8)
    classes |= (is_declared * Class.DECLARED).astype(np.uint8)
    score = np.maximum.reduce(
        [np.where(is_bot, total_bot, 0), np.where(is_dynamic, total_dynamic, 0), np.where(is_mta, total_mta, 0)]
    )
    confidence = np.where(classes != 0, 1.0 / (1.0 + np.exp(-score)), 0.0)
    return Decision(weights, extra, classes, mta.trust(scene) * is_mta, confidence, behaviour)


def _is_bot(
    scene: Scene,
    weights: Floats,
    total: Floats,
    behaviour: Floats,
    foreign: Floats,
    is_mta: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    c = scene.columns
    bad = c["bad_recipient"] + c["bad_content"]
    share = np.maximum(
        bad / np.maximum(bad + c["good"], 1.0),
        c["recent_bad"] / np.maximum(c["recent_bad"] + c["recent_good"], 1.0),
    )
    events = bad + c["protocol"] + c["auth_fail"] + c["destinations"] + (foreign > 0) * BOT_EVENTS_NEEDED
    gate = (events >= BOT_EVENTS_NEEDED) & (
        (share >= BOT_SHARE_NEEDED) | (weights[_FANOUT] >= FANOUT_ALONE) | (bad < 1)
    )
    server_gate = (c["recent_bad"] >= SERVER_EVENTS_NEEDED) & (share >= SERVER_SHARE_NEEDED)
    # The word of others counts only beside something that we saw ourselves.
    corroborated = (total - foreign >= BOT_THRESHOLD) | (behaviour - foreign >= CORROBORATION_NEEDED)
    turns = (total >= BOT_THRESHOLD) & corroborated & gate & (~is_mta | server_gate)
    stays = (total >= BOT_CLEAR_TOTAL) & (behaviour >= BOT_CLEAR_BEHAVIOUR) & (~is_mta | server_gate)
    return np.asarray(np.where(c["classes"] & Class.BOT, stays, turns), np.bool_)
