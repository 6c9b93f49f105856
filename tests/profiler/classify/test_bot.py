import pytest

from profiler.classify import bot
from profiler.classify.bot import DETECTORS
from profiler.observation import Sign
from profiler.sources.networks import Use
from tests.profiler.classify.scenes import scene, sentence, weight
from tests.profiler.rows import CUSTOMER, SERVER

RDNS_BITS, HELO_BITS = 0x7F, 0x1F00


def signs(both: int) -> dict[str, int]:
    return {"rdns": both & RDNS_BITS, "helo": both & HELO_BITS}


#: Detector, what speaks for it, what does not (0) or against it (below), and the strongest case with its ceiling.
CASES = [
    ("outcomes", {"bad_recipient": 5}, {"good": 5}, {"bad_recipient": 900}, bot.OUTCOME_CEILING),
    (
        "change",
        {"past_good": 200, "recent_bad": 5, "past_bad": 5},
        {"past_good": 200, "past_bad": 200, "recent_bad": 5, "recent_good": 20},
        {"past_good": 1e6, "recent_bad": 1e4, "past_bad": 1e4},
        bot.CHANGE_CEILING,
    ),
    ("helos", {"helos": 5, "bad_recipient": 1}, {"helos": 5}, {"helos": 60, "protocol": 3}, bot.HELO_CEILING),
    ("source", signs(CUSTOMER), signs(SERVER), signs(CUSTOMER | Sign.RDNS_NONE | Sign.HELO_LITERAL), 2.8),
    ("protocol", {"protocol": 2}, {"good": 5}, {"protocol": 500}, bot.PROTOCOL_CEILING),
    ("auth", {"auth_fail": 5}, {"auth_fail": 5, "submitted": 1}, {"auth_fail": 1e5}, bot.AUTH_CEILING),
    (
        "fanout",
        {"destinations": 6, "use": Use.DYNAMIC},
        {"destinations": 6, "use": Use.SERVERS},
        {"destinations": 200, "use": Use.DYNAMIC},
        bot.FANOUT_CEILING,
    ),
    (
        "neighbourhood",
        {"neighbours": 20, "bots": 5},
        {"neighbours": 200},
        {"neighbours": 250, "bots": 250},
        bot.NEIGHBOUR_CEILING,
    ),
]


def test_each_detector_has_its_case() -> None:
    assert [case[0] for case in CASES] == [detector.name for detector in DETECTORS]


@pytest.mark.parametrize(("name", "speaks", "silent", "most", "ceiling"), CASES)
def test_for_against_and_ceiling(name, speaks, silent, most, ceiling) -> None:
    assert 0 < weight(DETECTORS, name, scene(**speaks)) <= ceiling
    assert weight(DETECTORS, name, scene(**silent)) <= 0
    assert weight(DETECTORS, name, scene(**most)) == pytest.approx(ceiling)
    assert weight(DETECTORS, name, scene()) <= 0, "what was never seen proves nothing"


@pytest.mark.parametrize(
    ("name", "seen", "says"),
    [
        (
            "outcomes",
            {"bad_recipient": 4.9, "good": 1.1},
            "5 recipients unknown or not relayed for, 1 message accepted in about a day",
        ),
        ("outcomes", {"bad_content": 1}, "1 verdict of spam, trap or complaint"),
        ("change", {"recent_bad": 3, "past_good": 40}, "3 failures in under three hours from an address with 40"),
        ("helos", {"helos": 6.3}, "6 different HELO names in two days"),
        ("source", signs(CUSTOMER), "reverse name not confirmed, reverse name made of the address"),
        ("source", signs(SERVER), "reverse name confirmed, reverse name says mail server, HELO fits"),
        ("protocol", {"protocol": 1}, "1 breach of the SMTP dialogue"),
        ("auth", {"auth_fail": 7}, "7 failed logins, none that succeeded"),
        ("fanout", {"destinations": 6.3}, "flows to 6 mail servers in two days"),
        ("neighbourhood", {"bots": 3}, "3 bots among its neighbours"),
    ],
)
def test_the_sentence_says_what_was_seen(name, seen, says) -> None:
    assert says in sentence(DETECTORS, name, scene(**seen))


def test_innocence_is_not_saved_up_without_end() -> None:
    assert weight(DETECTORS, "outcomes", scene(good=1e6, saturated=1)) == bot.OUTCOME_FLOOR
    assert weight(DETECTORS, "outcomes", scene(good=1e6)) == bot.OUTCOME_FLOOR
    assert weight(DETECTORS, "outcomes", scene(good=1e6, cusum=2.2)) == 2.2
    assert weight(DETECTORS, "outcomes", scene(good=1e6, cusum=5.5)) == 5.5, "a good day does not hide a turn"


def test_the_counters_of_a_giant_accuse_nobody() -> None:
    giant = {"bad_recipient": 1e6, "good": 0.0, "cusum": 90.0, "saturated": 1}
    assert weight(DETECTORS, "outcomes", scene(**giant)) == 0
    turned = {"past_good": 200, "recent_bad": 5}
    assert weight(DETECTORS, "change", scene(**turned)) > 0
    assert weight(DETECTORS, "change", scene(**turned, saturated=1)) == 0


@pytest.mark.parametrize(
    ("use", "rdns", "past_good", "past_flow", "expected"),
    [
        (Use.DYNAMIC, 0, 0, 0, 7.5),
        (Use.DYNAMIC, Sign.RDNS_STATIC, 0, 0, 7.5),
        (Use.UNDECLARED, Sign.RDNS_DYNAMIC, 0, 0, 7.5),
        (Use.UNDECLARED, Sign.RDNS_DYNAMIC | Sign.RDNS_SERVER, 0, 0, 1.5),
        (Use.UNDECLARED, 0, 0, 0, 1.5),
        (Use.STATIC, Sign.RDNS_DYNAMIC, 0, 0, 1.5),
        (Use.SERVERS, 0, 0, 0, 0),
        (Use.DYNAMIC, 0, 10, 0, 0),
        (Use.DYNAMIC, 0, 0, 60, 1.5),
    ],
)
def test_flows_weigh_by_where_they_come_from(use, rdns, past_good, past_flow, expected) -> None:
    given = scene(use=use, rdns=int(rdns), destinations=6, past_good=past_good, past_flow=past_flow)
    assert weight(DETECTORS, "fanout", given) == pytest.approx(expected)


def test_one_destination_is_no_fanout() -> None:
    assert weight(DETECTORS, "fanout", scene(use=Use.DYNAMIC, destinations=1)) == 0
