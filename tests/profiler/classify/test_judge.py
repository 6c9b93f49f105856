import numpy as np
import pytest

from profiler.classify.decide import DETECTORS
from profiler.classify.evidence import Class, class_names, plural
from profiler.classify.judge import WEIGHT_SHOWN, Judge
from profiler.engine import Profiles
from profiler.observation import Event, Reason, Sign
from profiler.profile.table import Table
from profiler.sources.networks import DeclaredNetworks
from tests.profiler.rows import CUSTOMER, DAY, START, join, key, row

IP = "185.44.2.66"
UNKNOWN = {"reason": Reason.UNKNOWN_RECIPIENT, "signs": CUSTOMER}


def bot() -> Profiles:
    profiles = Profiles(DeclaredNetworks())
    rows = [row(IP, Event.REJECT, START + i, helo=i << 58 | 1, **UNKNOWN) for i in range(8)]
    list(profiles.fold(join(*rows, row(IP, Event.PREGREET, START + 9)), own=True))
    return profiles


def test_the_weights_shown_add_up_to_the_score() -> None:
    profiles = bot()
    explained = profiles.judge.explain(key(IP), START + 10)
    assert explained
    shown = sum(item.weight for item in explained.evidence if item.of == "bot")
    # The confidence is the logistic function of the class's whole score.
    score = float(np.log(explained.confidence / (1 - explained.confidence)))
    assert shown == pytest.approx(score, abs=WEIGHT_SHOWN * len(DETECTORS))
    assert shown == pytest.approx(score, abs=0.01), "nothing small is left out here"


def test_evidence_is_weightiest_first_and_leaves_out_what_says_nothing() -> None:
    explained = bot().judge.explain(key(IP), START + 10)
    assert explained
    weights = [abs(item.weight) for item in explained.evidence]
    assert weights == sorted(weights, reverse=True)
    assert min(weights) >= WEIGHT_SHOWN
    assert {item.of for item in explained.evidence} <= {"bot", "dynamic", "mta"}
    assert all(item.says for item in explained.evidence)


def test_asking_changes_nothing() -> None:
    profiles = bot()
    before = profiles.tables["own"].profiles().tobytes(), profiles.tables["own"].standing_slots().tolist()
    assert profiles.judge.explain(key("185.44.2.1"), START) is None
    assert profiles.judge.columns(key("185.44.2.1"), START) is None
    for _ in range(2):
        explained = profiles.judge.explain(key(IP), START + 30 * DAY)
        assert explained
        assert explained.was & Class.BOT
        assert not explained.classes & Class.BOT
    assert (profiles.tables["own"].profiles().tobytes(), profiles.tables["own"].standing_slots().tolist()) == before


def test_since_is_when_the_verdict_fell() -> None:
    profiles = bot()
    explained = profiles.judge.explain(key(IP), START + DAY)
    assert explained
    assert START <= explained.since <= START + 9


def test_only_changes_are_told() -> None:
    profiles = bot()
    rows = join(*(row(IP, Event.REJECT, START + 100, **UNKNOWN) for _ in range(3)))
    assert list(profiles.fold(rows, own=True)) == []
    assert profiles.judge.judge(np.empty(0, np.uint32), START) == []


def test_neighbours_are_counted_anew_after_a_restart() -> None:
    profiles = Profiles(DeclaredNetworks())
    around = [row(f"185.44.2.{n}", Event.CONNECT, signs=CUSTOMER) for n in range(1, 30)]
    list(profiles.fold(join(*around, row(IP, Event.CONNECT, signs=CUSTOMER)), own=True))
    before = profiles.judge.explain(key(IP), START)
    loaded = Table()
    for number in range(1):
        loaded.load_block(profiles.tables["own"].block(number))
    judge = Judge(loaded, Table(), DeclaredNetworks())
    judge.recount(START)
    after = judge.explain(key(IP), START)
    assert before
    assert after
    assert any(item.name == "neighbours" for item in before.evidence)
    assert after.evidence == before.evidence


def test_words() -> None:
    assert class_names(Class.MTA | Class.BOT | Class.DYNAMIC) == ["bot", "dynamic", "mta"]
    assert class_names(0) == []
    assert [plural(number, "recipient") for number in (0, 0.6, 1.4, 2)] == [
        "0 recipients", "1 recipient", "1 recipient", "2 recipients",
    ]  # fmt: skip


def test_the_signs_of_a_session_reach_the_judge() -> None:
    profiles = Profiles(DeclaredNetworks())
    list(profiles.fold(row(IP, Event.CONNECT, signs=Sign.RDNS_NONE | Sign.HELO_LITERAL), own=True))
    columns = profiles.judge.columns(key(IP), START)
    assert columns is not None
    assert (columns["rdns"][0], columns["helo"][0]) == (Sign.RDNS_NONE, Sign.HELO_LITERAL)
