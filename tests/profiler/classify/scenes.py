"""Scenes of one address each, as detectors see them."""

from typing import Any

import numpy as np

from profiler.classify.evidence import Detector, Scene
from profiler.profile.record import COLUMNS
from profiler.sources.networks import Use
from tests.profiler.rows import START


def scene(
    *, use: Use = Use.UNDECLARED, neighbours: float = 0, generic: float = 0, bots: float = 0, **columns: Any
) -> Scene:
    """Return the scene of one address with these columns, the others zero."""
    made = np.zeros(1, COLUMNS)
    for name, value in columns.items():
        made[name] = value
    return Scene(
        START,
        made,
        np.array([use], np.uint8),
        np.array([neighbours], float),
        np.array([generic], float),
        np.array([bots], float),
    )


def weight(detectors: tuple[Detector, ...], name: str, given: Scene) -> float:
    """Return what the detector of that name weighs."""
    [detector] = [one for one in detectors if one.name == name]
    return float(detector.weigh(given)[0])


def sentence(detectors: tuple[Detector, ...], name: str, given: Scene) -> str:
    """Return what the detector of that name says."""
    [detector] = [one for one in detectors if one.name == name]
    return detector.says(given, 0)
