"""Evidence that an address is a legitimate mail server: it says who it is, and what it sends is wanted."""

import numpy as np

from profiler.classify.evidence import Class, Detector, Floats, Scene, has, plural
from profiler.observation import Sign
from profiler.sources.networks import Use

HISTORY_CEILING = 4.0
DAY_US = 86_400_000_000
#: (days known, accepted messages) that each trust level above none needs; see dnsbl's codes .40 to .43.
TRUST_LEVELS = ((1, 20), (7, 50), (30, 500))


def share_of_bad(scene: Scene) -> Floats:
    """Return the share of failures in thirty days, 0 to 1."""
    c = scene.columns
    share: Floats = c["past_bad"] / np.maximum(c["past_good"] + c["past_bad"], 1.0)
    return share


def history(scene: Scene) -> Floats:
    """Weigh accepted messages in thirty days."""
    weight: Floats = np.minimum(np.log1p(scene.columns["past_good"]), HISTORY_CEILING)
    return weight


def cleanness(scene: Scene) -> Floats:
    """Weigh the share of failures: few speak for a server, a fifth and more against it."""
    share = share_of_bad(scene)
    sends = scene.columns["past_good"] + scene.columns["past_bad"] >= 1
    return np.where(sends, np.interp(share, [0.05, 0.10, 0.20], [2.0, 0.0, -4.0]), 0.0)


def names(scene: Scene) -> Floats:
    """Weigh reverse name and HELO: verified, not a customer's, and the one fitting the other."""
    c = scene.columns
    rdns, helo = c["rdns"], c["helo"]
    verified = has(rdns, Sign.RDNS_VERIFIED)
    generic = has(rdns, Sign.RDNS_GENERIC) & ~has(rdns, Sign.RDNS_SERVER)
    weight = np.where(verified & ~generic, 2.0, 0.0)
    weight -= np.where(has(rdns, Sign.RDNS_NONE | Sign.RDNS_UNVERIFIED) & ~verified, 3.0, 0.0)
    weight -= np.where(generic, 3.0, 0.0)
    weight += np.where(has(helo, Sign.HELO_MATCH), 1.0, 0.0)
    weight -= np.where(has(helo, Sign.HELO_LITERAL | Sign.HELO_NODOT), 2.0, 0.0)
    return weight


def _says_names(scene: Scene, i: int) -> str:
    rdns, helo = int(scene.columns[i]["rdns"]), int(scene.columns[i]["helo"])
    name = "confirmed reverse name" if rdns & Sign.RDNS_VERIFIED else "no confirmed reverse name"
    if rdns & Sign.RDNS_GENERIC:
        name += " of the kind that customers have"
    return name + (", and the HELO fits it" if helo & Sign.HELO_MATCH else "")


def declared(scene: Scene) -> Floats:
    """Weigh what the network's owner declares."""
    return np.choose(scene.use, [0.0, -4.0, 0.0, 2.0])


DETECTORS = (
    Detector(
        "history", Class.MTA, history,
        lambda scene, i: f"{plural(scene.columns[i]['past_good'], 'message')} accepted in about a month",
    ),
    Detector(
        "cleanness", Class.MTA, cleanness,
        lambda scene, i: f"{share_of_bad(scene)[i]:.1%} of what it sent failed",
    ),
    Detector("names", Class.MTA, names, _says_names),
    Detector(
        "declared_use", Class.MTA, declared,
        lambda scene, i: f"its network is declared for {Use(scene.use[i]).name.lower()}",
    ),
)  # fmt: skip


def trust(scene: Scene) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the trust, 0 (none) to 3 (high), that a legitimate server has earned by age and volume."""
    c = scene.columns
    days = (c["last"] - c["first"]) / DAY_US
    level = np.zeros(len(c), np.uint8)
    for needed_days, needed_messages in TRUST_LEVELS:
        level += ((days >= needed_days) & (c["past_good"] >= needed_messages)).astype(np.uint8)
    return level
