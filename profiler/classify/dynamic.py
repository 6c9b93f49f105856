"""Evidence that an address is an ordinary PC's, in space that is handed out to customers."""

import numpy as np

from profiler.classify.evidence import Class, Detector, Floats, Scene, has, plural
from profiler.observation import Sign
from profiler.sources.networks import Use

NEIGHBOURS_NEEDED = 8


def declared(scene: Scene) -> Floats:
    """Weigh the owner's declaration: it wins over all that is inferred."""
    return np.choose(scene.use, [0.0, 10.0, -10.0, -10.0])


def name(scene: Scene) -> Floats:
    """Weigh the words of the reverse name (the practice of fqrdns.pcre and of PBL's naming rules)."""
    rdns = scene.columns["rdns"]
    weight = np.where(has(rdns, Sign.RDNS_GENERIC), 2.5, 0.0)
    weight = np.where(has(rdns, Sign.RDNS_DYNAMIC), 4.0, weight)
    weight -= np.where(has(rdns, Sign.RDNS_STATIC), 4.0, 0.0)
    return weight - np.where(has(rdns, Sign.RDNS_SERVER), 3.0, 0.0)


def _says_name(scene: Scene, i: int) -> str:
    rdns = int(scene.columns[i]["rdns"])
    for bit, text in (
        (Sign.RDNS_STATIC, "its reverse name says static"),
        (Sign.RDNS_SERVER, "its reverse name says mail server"),
        (Sign.RDNS_DYNAMIC, "its reverse name says dynamic"),
    ):
        if rdns & bit:
            return text
    return "its reverse name is made of the address or of words for customers"


def neighbourhood(scene: Scene) -> Floats:
    """Weigh what the other addresses of the /24 are called, where enough of them are known."""
    share = scene.neighbours_generic / np.maximum(scene.neighbours, 1.0)
    known = scene.neighbours >= NEIGHBOURS_NEEDED
    return np.where(known, np.interp(share, [0.1, 0.5, 0.8], [-2.0, 0.0, 2.0]), 0.0)


def server(scene: Scene) -> Floats:
    """Weigh behaviour against it: who sends good mail under a fitting name runs a server, wherever it stands."""
    c = scene.columns
    sends = (c["past_good"] >= 10) & (c["past_bad"] < 0.1 * c["past_good"])
    return np.where(sends & has(c["helo"], Sign.HELO_MATCH | Sign.HELO_NAMED), -2.0, 0.0)


DETECTORS = (
    Detector(
        "declared", Class.DYNAMIC, declared,
        lambda scene, i: f"its network is declared for {Use(scene.use[i]).name.lower()} use",
    ),
    Detector("name", Class.DYNAMIC, name, _says_name),
    Detector(
        "neighbours", Class.DYNAMIC, neighbourhood,
        lambda scene, i: (
            f"{plural(scene.neighbours_generic[i], 'neighbour')} of {round(scene.neighbours[i])} known "
            "have customers' names"
        ),
    ),
    Detector("server", Class.DYNAMIC, server, lambda scene, i: "it sends wanted mail under a full HELO name"),
)  # fmt: skip
