import pytest

from profiler.classify.dynamic import DETECTORS, NEIGHBOURS_NEEDED
from profiler.observation import Sign
from profiler.sources.networks import Use
from tests.profiler.classify.scenes import scene, sentence, weight


@pytest.mark.parametrize(
    ("use", "expected"), [(Use.UNDECLARED, 0), (Use.DYNAMIC, 10), (Use.STATIC, -10), (Use.SERVERS, -10)]
)
def test_the_owners_word(use: Use, expected: float) -> None:
    assert weight(DETECTORS, "declared", scene(use=use)) == expected
    assert sentence(DETECTORS, "declared", scene(use=use)) == f"its network is declared for {use.name.lower()} use"


@pytest.mark.parametrize(
    ("rdns", "expected", "says"),
    [
        (Sign.RDNS_GENERIC, 2.5, "made of the address"),
        (Sign.RDNS_GENERIC | Sign.RDNS_DYNAMIC, 4.0, "says dynamic"),
        (Sign.RDNS_GENERIC | Sign.RDNS_STATIC, -1.5, "says static"),
        (Sign.RDNS_SERVER, -3.0, "says mail server"),
        (Sign.RDNS_VERIFIED, 0.0, ""),
    ],
)
def test_the_words_of_the_name(rdns: Sign, expected: float, says: str) -> None:
    assert weight(DETECTORS, "name", scene(rdns=int(rdns))) == expected
    assert says in sentence(DETECTORS, "name", scene(rdns=int(rdns)))


@pytest.mark.parametrize(
    ("neighbours", "generic", "expected"),
    [
        (100, 90, 2.0),
        (100, 50, 0.0),
        (100, 0, -2.0),
        (NEIGHBOURS_NEEDED - 1, NEIGHBOURS_NEEDED - 1, 0.0),
        (0, 0, 0.0),
    ],
)
def test_what_the_neighbours_are_called(neighbours: float, generic: float, expected: float) -> None:
    given = scene(neighbours=neighbours, generic=generic)
    assert weight(DETECTORS, "neighbours", given) == expected
    assert sentence(DETECTORS, "neighbours", given).startswith(f"{generic} neighbour")


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"past_good": 50, "helo": int(Sign.HELO_NAMED)}, -2.0),
        ({"past_good": 50, "past_bad": 10, "helo": int(Sign.HELO_NAMED)}, 0.0),
        ({"past_good": 5, "helo": int(Sign.HELO_NAMED)}, 0.0),
        ({"past_good": 50, "helo": int(Sign.HELO_LITERAL)}, 0.0),
    ],
)
def test_who_runs_a_server_is_no_customers_pc(seen, expected: float) -> None:
    assert weight(DETECTORS, "server", scene(**seen)) == expected
    assert "wanted mail" in sentence(DETECTORS, "server", scene(**seen))
