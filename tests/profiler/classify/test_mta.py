import math

import pytest

from profiler.classify.mta import DAY_US, DETECTORS, HISTORY_CEILING, trust
from profiler.observation import Sign
from profiler.sources.networks import Use
from tests.profiler.classify.scenes import scene, sentence, weight


def test_accepted_mail_speaks_for_a_server_up_to_a_ceiling() -> None:
    assert weight(DETECTORS, "history", scene()) == 0
    assert weight(DETECTORS, "history", scene(past_good=10)) == pytest.approx(math.log(11))
    assert weight(DETECTORS, "history", scene(past_good=1e9)) == HISTORY_CEILING
    assert sentence(DETECTORS, "history", scene(past_good=1)) == "1 message accepted in about a month"


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [(100, 0, 2.0), (98, 2, 2.0), (90, 10, 0.0), (80, 20, -4.0), (0, 5, -4.0), (0, 0, 0.0)],
)
def test_the_share_of_failures(good: float, bad: float, expected: float) -> None:
    given = scene(past_good=good, past_bad=bad)
    assert weight(DETECTORS, "cleanness", given) == pytest.approx(expected)
    if good + bad:
        assert sentence(DETECTORS, "cleanness", given) == f"{bad / (good + bad):.1%} of what it sent failed"


@pytest.mark.parametrize(
    ("rdns", "helo", "expected", "says"),
    [
        (Sign.RDNS_VERIFIED, Sign.HELO_MATCH, 3.0, "confirmed reverse name, and the HELO fits it"),
        (Sign.RDNS_VERIFIED | Sign.RDNS_SERVER, 0, 2.0, "confirmed reverse name"),
        (Sign.RDNS_VERIFIED | Sign.RDNS_GENERIC, 0, -3.0, "confirmed reverse name of the kind that customers have"),
        (Sign.RDNS_NONE, Sign.HELO_LITERAL, -5.0, "no confirmed reverse name"),
        (Sign.RDNS_UNVERIFIED, 0, -3.0, "no confirmed reverse name"),
    ],
)
def test_the_names(rdns: int, helo: int, expected: float, says: str) -> None:
    given = scene(rdns=int(rdns), helo=int(helo))
    assert weight(DETECTORS, "names", given) == expected
    assert sentence(DETECTORS, "names", given) == says


@pytest.mark.parametrize(
    ("use", "expected"), [(Use.UNDECLARED, 0), (Use.DYNAMIC, -4), (Use.STATIC, 0), (Use.SERVERS, 2)]
)
def test_the_owners_word(use: Use, expected: float) -> None:
    assert weight(DETECTORS, "declared_use", scene(use=use)) == expected
    assert sentence(DETECTORS, "declared_use", scene(use=use)) == f"its network is declared for {use.name.lower()}"


@pytest.mark.parametrize(
    ("days", "messages", "level"),
    [(0, 1e6, 0), (1, 19, 0), (1, 20, 1), (7, 49, 1), (7, 50, 2), (29, 1e6, 2), (30, 499, 2), (30, 500, 3)],
)
def test_trust_is_earned_by_age_and_volume(days: int, messages: float, level: int) -> None:
    assert trust(scene(first=5, last=5 + days * DAY_US, past_good=messages)).tolist() == [level]
