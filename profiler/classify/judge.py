"""The judge: slots of the tables of profiles in, changes of verdict out, each with its evidence."""

from math import log2
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from profiler.address import Key
from profiler.classify.decide import BOT_CLEAR_BEHAVIOUR, DETECTORS, Decision, decide
from profiler.classify.evidence import Class, Evidence, Scene
from profiler.classify.neighbourhood import Neighbourhood
from profiler.profile.record import FAST_HALF_LIFE_SECONDS, Slots
from profiler.profile.table import Table
from profiler.sources.networks import DeclaredNetworks

CONFIDENCE_SCALE = 65535
#: A weight below this says nothing worth reading.
WEIGHT_SHOWN = 0.05
REJUDGE_SLOTS = 65_536


class Verdict(NamedTuple):
    """What an address is, and why. Times in µs since 1970."""

    time: int
    key: Key
    classes: Class
    was: Class
    trust: int
    confidence: float
    since: int
    observations: int
    messages: int
    evidence: tuple[Evidence, ...]
    #: Seconds of silence after which a bot's verdict falls; 0 for others.
    clears_after: float


class Judge:
    """Judges addresses of two tables: what our own feeds saw, and what feeds of others saw."""

    def __init__(self, own: Table, foreign: Table, networks: DeclaredNetworks) -> None:
        self.networks = networks
        self._own = own
        self._foreign = foreign
        self._neighbourhood = Neighbourhood()

    def recount(self, now: int) -> None:
        """Count the neighbourhoods anew; after the tables were loaded."""
        self._neighbourhood = Neighbourhood()
        for start in range(0, len(self._own), REJUDGE_SLOTS):
            slots = np.arange(start, min(start + REJUDGE_SLOTS, len(self._own)), dtype=np.uint32)
            self._neighbourhood.update(slots, self._own.columns(slots, now))

    def judge(self, slots: Slots, now: int | npt.NDArray[np.int64]) -> list[Verdict]:
        """Judge ``slots`` of the own table as of ``now`` (one time for all, or one each).

        Returns the verdicts that changed, and keeps them.
        """
        if not len(slots):
            return []
        scene, foreign = self._scenes(slots, np.broadcast_to(np.asarray(now, np.int64), len(slots)))
        decision = decide(scene, foreign)
        standings = self._own.standings_of(slots)
        changed = np.flatnonzero(
            (decision.classes != standings["classes"]) | (decision.trust != standings["trust"])
        )
        verdicts = []
        for i in changed:
            turned = decision.classes[i] != standings["classes"][i]
            since = int(scene.now[i] if turned else standings["since"][i])
            verdicts.append(_verdict(scene, decision, int(i), since))
            self._own.decide(
                int(slots[i]),
                since,
                int(decision.classes[i]),
                int(decision.trust[i]),
                round(decision.confidence[i] * CONFIDENCE_SCALE),
            )
        if len(changed):
            self._neighbourhood.update(slots[changed], self._own.columns(slots[changed], scene.now[changed]))
        return verdicts

    def explain(self, key: Key, now: int) -> Verdict | None:
        """Return the verdict of an address as of ``now`` with all its evidence, or None if never seen."""
        slot = self._own.find(key.hi, key.lo)
        if slot < 0:
            return None
        slots = np.array([slot], np.uint32)
        scene, foreign = self._scenes(slots, np.array([now], np.int64))
        since = int(self._own.standings_of(slots)["since"][0])
        return _verdict(scene, decide(scene, foreign), 0, since)

    def columns(self, key: Key, now: int) -> npt.NDArray[np.void] | None:
        """Return the columns (one row) of an address, or None if never seen."""
        slot = self._own.find(key.hi, key.lo)
        return self._own.columns(np.array([slot], np.uint32), now) if slot >= 0 else None

    def _scenes(self, slots: Slots, now: npt.NDArray[np.int64]) -> tuple[Scene, Scene | None]:
        columns = self._own.columns(slots, now)
        self._neighbourhood.update(slots, columns)
        use = self.networks.uses(columns["ip_hi"], columns["ip_lo"])
        scene = Scene(now, columns, use, *self._neighbourhood.read(slots, columns))
        if not len(self._foreign):
            return scene, None
        others = np.array(
            [
                self._foreign.find(int(hi), int(lo))
                for hi, lo in zip(columns["ip_hi"], columns["ip_lo"], strict=True)
            ]
        )
        seen = others >= 0
        foreign = np.zeros(len(slots), columns.dtype)
        foreign[seen] = self._foreign.columns(others[seen].astype(np.uint32), now[seen])
        return scene, scene._replace(columns=foreign)


def _verdict(scene: Scene, decision: Decision, i: int, since: int) -> Verdict:
    row = scene.columns[i]
    classes = Class(int(decision.classes[i]))
    clears_after = 0.0
    if classes & Class.BOT:
        halvings = log2(max(decision.behaviour[i] / BOT_CLEAR_BEHAVIOUR, 1.0))
        clears_after = halvings * FAST_HALF_LIFE_SECONDS
    return Verdict(
        int(scene.now[i]),
        Key(int(row["ip_hi"]), int(row["ip_lo"])),
        classes,
        Class(int(row["classes"])),
        int(decision.trust[i]),
        float(decision.confidence[i]),
        since,
        int(row["observations"]),
        int(row["messages"]),
        _evidence(scene, decision, i),
        clears_after,
    )


def _evidence(scene: Scene, decision: Decision, i: int) -> tuple[Evidence, ...]:
    found = [
        Evidence(detector.name, str(detector.of.name).lower(), round(float(weight), 3), detector.says(scene, i))
        for detector, weight in zip(DETECTORS, decision.weights[:, i], strict=True)
        if abs(weight) >= WEIGHT_SHOWN
    ]
    if decision.foreign[i] >= WEIGHT_SHOWN:
        says = "feeds of other operators report it; their word alone does not list"
        found.append(Evidence("other_feeds", "bot", round(float(decision.foreign[i]), 3), says))
    return tuple(sorted(found, key=lambda item: -abs(item.weight)))
