"""Evidence that an address is an infected host that sends.

The core is SPOT's sequential probability ratio test (Duan et al., TDSC 2012) over the outcomes of its messages:
each bad one adds ln(P(bad | bot) / P(bad | clean)), each good one adds the ratio of good. It runs over a day with
decay, and as a CUSUM over the last slots of ten minutes, so that a good past does not hide a turn. Facts that
do not change (names, HELO) count once, as a prior.
"""

import numpy as np

from profiler.classify.evidence import Class, Detector, Floats, Scene, has, plural
from profiler.observation import Sign
from profiler.profile.record import LLR_BAD, LLR_GOOD
from profiler.sources.networks import Use

LLR_BAD_CONTENT = 1.3
OUTCOME_CEILING = 12.0
OUTCOME_FLOOR = -4.6  # the test's lower boundary: more innocence than that is not saved up
HELO_CEILING = 2.5
CHANGE_CEILING = 3.0
PROTOCOL_CEILING = 3.0
AUTH_CEILING = 3.0  # a forgotten password in a mail client looks the same
FANOUT_CEILING = 12.0
FANOUT_ELSEWHERE_CEILING = 4.0
NEIGHBOUR_CEILING = 1.0

_SERVER_LIKE = Sign.RDNS_SERVER | Sign.RDNS_STATIC


def outcomes(scene: Scene) -> Floats:
    """Weigh the outcomes of messages: SPRT over a day, CUSUM over the last hours, whichever is worse."""
    c = scene.columns
    day = LLR_BAD * c["bad_recipient"] + LLR_BAD_CONTENT * c["bad_content"] + LLR_GOOD * c["good"]
    worse = np.where((c["cusum"] > 0) & (c["saturated"] == 0), np.maximum(day, c["cusum"]), day)
    worse = np.where(c["saturated"] != 0, np.minimum(worse, 0.0), worse)
    return np.clip(worse, OUTCOME_FLOOR, OUTCOME_CEILING)


def _says_outcomes(scene: Scene, i: int) -> str:
    c = scene.columns[i]
    bad = plural(c["bad_recipient"], "recipient")
    text = f"{bad} unknown or not relayed for, {plural(c['good'], 'message')} accepted in about a day"
    if c["bad_content"] >= 0.5:
        text += f", {plural(c['bad_content'], 'verdict')} of spam, trap or complaint"
    return text


def change(scene: Scene) -> Floats:
    """Weigh a turn for the worse against the address's own past of thirty days."""
    c = scene.columns
    past_good = np.maximum(c["past_good"] - c["recent_good"], 0.0)
    past_bad = np.maximum(c["past_bad"] - c["recent_bad"], 0.0)
    past_share = (past_bad + 0.5) / (past_good + past_bad + 10.0)
    now_share = (c["recent_bad"] + 0.5) / (c["recent_good"] + c["recent_bad"] + 1.0)
    turned = (past_good >= 10) & (c["recent_bad"] >= 3) & (now_share > past_share) & (c["saturated"] == 0)
    return np.where(turned, np.clip(np.log(now_share / past_share), 0.0, CHANGE_CEILING), 0.0)


def _says_change(scene: Scene, i: int) -> str:
    c = scene.columns[i]
    return (
        f"{plural(c['recent_bad'], 'failure')} in under three hours from an address with "
        f"{plural(c['past_good'], 'accepted message')} in its past"
    )


def helos(scene: Scene) -> Floats:
    """Weigh names that change from session to session, where something went wrong as well."""
    c = scene.columns
    troubled = c["bad_recipient"] + c["bad_content"] + c["protocol"] >= 1
    return np.where(troubled & (c["helos"] > 2), np.minimum(0.7 * (c["helos"] - 2), HELO_CEILING), 0.0)


def source(scene: Scene) -> Floats:
    """Weigh reverse name and HELO, once: a prior, never enough alone."""
    c = scene.columns
    rdns, helo = c["rdns"], c["helo"]
    weight = np.zeros(len(c))
    weight += np.where(has(rdns, Sign.RDNS_NONE | Sign.RDNS_UNVERIFIED), 0.8, 0.0)
    weight += np.where(has(rdns, Sign.RDNS_GENERIC) & ~has(rdns, _SERVER_LIKE), 1.0, 0.0)
    weight += np.where(has(helo, Sign.HELO_LITERAL | Sign.HELO_NODOT | Sign.HELO_GENERIC), 1.0, 0.0)
    verified = has(rdns, Sign.RDNS_VERIFIED) & ~has(rdns, Sign.RDNS_GENERIC)
    weight -= np.where(verified & has(helo, Sign.HELO_MATCH), 1.0, 0.0)
    weight -= np.where(verified & has(rdns, Sign.RDNS_SERVER), 0.5, 0.0)
    return weight


def _says_source(scene: Scene, i: int) -> str:
    rdns, helo = int(scene.columns[i]["rdns"]), int(scene.columns[i]["helo"])
    words = [
        text
        for bit, bits, text in (
            (Sign.RDNS_NONE, rdns, "no reverse name"),
            (Sign.RDNS_UNVERIFIED, rdns, "reverse name not confirmed"),
            (Sign.RDNS_VERIFIED, rdns, "reverse name confirmed"),
            (Sign.RDNS_GENERIC, rdns, "reverse name made of the address or of words for customers"),
            (Sign.RDNS_SERVER, rdns, "reverse name says mail server"),
            (Sign.HELO_LITERAL, helo, "HELO is an address"),
            (Sign.HELO_NODOT, helo, "HELO without a domain"),
            (Sign.HELO_GENERIC, helo, "HELO is a customer's name"),
            (Sign.HELO_MATCH, helo, "HELO fits the reverse name"),
        )
        if bits & bit
    ]
    return ", ".join(words)


def protocol(scene: Scene) -> Floats:
    """Weigh talking before one's turn, and sessions dropped without QUIT."""
    return np.minimum(scene.columns["protocol"] * 0.7, PROTOCOL_CEILING)


def auth(scene: Scene) -> Floats:
    """Weigh failed logins where none succeeded."""
    c = scene.columns
    return np.where(c["submitted"] < 0.5, np.minimum(c["auth_fail"] * 0.3, AUTH_CEILING), 0.0)


def fanout(scene: Scene) -> Floats:
    """Weigh flows to many mail servers from where none should come: customers' own machines.

    A PC in declared or named dynamic space hands its mail to its provider; one that opens port 25 to several
    destinations is a sender of its own (Schatzmann 2009; CBL's practice). Elsewhere it is a hint only, and what has
    sent so for weeks is what it is.
    """
    c = scene.columns
    beyond_first = np.maximum(c["destinations"] - 1.0, 0.0)
    named = has(c["rdns"], Sign.RDNS_DYNAMIC) & ~has(c["rdns"], _SERVER_LIKE)
    dynamic = (scene.use == Use.DYNAMIC) | ((scene.use == Use.UNDECLARED) & named)
    usual = c["past_flow"] - c["flow"] >= 50
    weight = np.where(
        dynamic,
        np.minimum(1.5 * beyond_first, FANOUT_CEILING),
        np.minimum(0.3 * beyond_first, FANOUT_ELSEWHERE_CEILING),
    )
    exempt = (scene.use == Use.SERVERS) | (c["past_good"] >= 10)
    return np.where(exempt, 0.0, np.where(usual, 0.2 * weight, weight))


def neighbourhood(scene: Scene) -> Floats:
    """Weigh bots among the neighbours (Moura's bad neighbourhoods): a prior of at most one nat."""
    rate = (scene.neighbours_bot + 0.5) / (scene.neighbours + 10.0)
    return np.where(scene.neighbours_bot > 0, np.clip(np.log(rate / 0.05), 0.0, NEIGHBOUR_CEILING), 0.0)


DETECTORS = (
    Detector("outcomes", Class.BOT, outcomes, _says_outcomes),
    Detector("change", Class.BOT, change, _says_change),
    Detector(
        "helos", Class.BOT, helos,
        lambda scene, i: f"{plural(scene.columns[i]['helos'], 'different HELO name')} in two days",
    ),
    Detector("source", Class.BOT, source, _says_source),
    Detector(
        "protocol", Class.BOT, protocol,
        lambda scene, i: f"{plural(scene.columns[i]['protocol'], 'breach', 'breaches')} of the SMTP dialogue",
    ),
    Detector(
        "auth", Class.BOT, auth,
        lambda scene, i: f"{plural(scene.columns[i]['auth_fail'], 'failed login')}, none that succeeded",
    ),
    Detector(
        "fanout", Class.BOT, fanout,
        lambda scene, i: f"flows to {plural(scene.columns[i]['destinations'], 'mail server')} in two days",
    ),
    Detector(
        "neighbourhood", Class.BOT, neighbourhood,
        lambda scene, i: f"{plural(scene.neighbours_bot[i], 'bot')} among its neighbours",
    ),
)  # fmt: skip
