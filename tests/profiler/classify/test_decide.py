"""Whole stories through the table and the judge: who is what, when, and above all who never is."""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler.address import parse_network
from profiler.classify.decide import BOT_CLEAR_TOTAL, BOT_THRESHOLD, MTA_THRESHOLD, decide
from profiler.classify.evidence import Class, class_names
from profiler.classify.judge import Judge, Verdict
from profiler.engine import Profiles
from profiler.observation import Event, Reason, Rows, Sign
from profiler.sources.networks import Declaration, DeclaredNetworks, Use
from tests.profiler.classify.scenes import scene
from tests.profiler.rows import CUSTOMER, DAY, HOUR, MINUTE, SECOND, SERVER, START, destination, join, key, row

IP = "185.44.2.66"
UNVERIFIED = Sign.RDNS_UNVERIFIED
UNKNOWN = {"reason": Reason.UNKNOWN_RECIPIENT}


class Story(NamedTuple):
    """What was judged while rows were folded."""

    profiles: Profiles
    verdicts: list[Verdict]

    def classes(self, ip: str = IP) -> Class:
        explained = self.judge.explain(key(ip), self.profiles_now())
        assert explained
        return explained.classes

    def ever(self, bit: Class) -> bool:
        return any(verdict.classes & bit for verdict in self.verdicts)

    @property
    def judge(self) -> Judge:
        return self.profiles.judge

    def profiles_now(self) -> int:
        return int(self.profiles.tables["own"].profiles()["last"].max())


def tell(*rows: Rows, use: Use = Use.UNDECLARED, network: str = "185.44.0.0/16") -> Story:
    declared = DeclaredNetworks([Declaration(parse_network(network), use)] if use else [])
    profiles = Profiles(declared)
    together = join(*rows)
    verdicts = [one for part in np.split(together, range(7, len(together), 7)) for one in fold(profiles, part)]
    return Story(profiles, verdicts)


def fold(profiles: Profiles, rows: Rows, own: bool = True) -> list[Verdict]:
    return [verdict for group in profiles.fold(rows, own=own) for verdict in group]


def good(count: int, at: int = START, every: int = 0, signs: int = SERVER, ip: str = IP) -> list[Rows]:
    return [row(ip, Event.MESSAGE, at + i * every, signs=signs) for i in range(count)]


def unknown(count: int, at: int = START, every: int = SECOND, signs: int = 0, ip: str = IP) -> list[Rows]:
    return [row(ip, Event.REJECT, at + i * every, signs=signs, **UNKNOWN) for i in range(count)]


# Bots.


@pytest.mark.parametrize(
    ("signs", "needed"),
    [(CUSTOMER, 4), (UNVERIFIED, 6), (Sign.RDNS_VERIFIED, 7), (UNVERIFIED | Sign.RDNS_GENERIC, 5)],
)
def test_a_bot_is_seen_after_a_few_unknown_recipients(signs: int, needed: int) -> None:
    [verdict] = tell(*unknown(30, signs=signs)).verdicts
    assert class_names(verdict.classes)[0] == "bot"
    assert verdict.messages == needed
    assert not tell(*unknown(needed - 1, signs=signs)).ever(Class.BOT)


def test_bounces_and_changing_helos_count_as_well() -> None:
    opened = [
        row(IP, Event.MESSAGE, queue=n << 33, signs=Sign.OPENS | UNVERIFIED, helo=destination(n))
        for n in range(1, 9)
    ]
    bounces = [row("", Event.BOUNCE, START + MINUTE, queue=n << 33, **UNKNOWN) for n in range(1, 9)]
    story = tell(*opened, *bounces)
    assert story.ever(Class.BOT)
    assert {item.name for item in story.verdicts[-1].evidence} >= {"outcomes", "helos", "source"}


def test_one_trap_and_two_strangers_do_not_condemn_a_verified_host() -> None:
    assert not tell(row(IP, Event.TRAP, signs=SERVER), *unknown(1)).ever(Class.BOT)


@pytest.mark.parametrize(
    "facts",
    [
        [row(IP, Event.CONNECT, START + i, signs=CUSTOMER | Sign.HELO_LITERAL) for i in range(500)],
        [row(IP, Event.CONNECT, START + i, signs=CUSTOMER, helo=destination(i % 64)) for i in range(500)],
        [row(IP, Event.LOST, START + i, signs=CUSTOMER) for i in range(100)],
        [row(IP, Event.REJECT, START + i, signs=CUSTOMER, reason=Reason.DNSBL) for i in range(500)],
        [row(IP, Event.REJECT, START + i, signs=CUSTOMER, reason=Reason.GREYLIST) for i in range(500)],
        [row(IP, Event.REJECT, START + i, signs=CUSTOMER, reason=Reason.TEMPORARY) for i in range(500)],
        [row(IP, Event.REJECT, START + i, signs=CUSTOMER, reason=Reason.RDNS) for i in range(500)],
    ],
    ids=["names", "helos", "lost", "listed", "greylisted", "temporary", "no name"],
)
def test_what_a_host_is_never_lists_without_what_it_does(facts) -> None:
    assert not tell(*facts).ever(Class.BOT)


def test_bad_neighbours_and_a_bad_name_never_list_alone() -> None:
    neighbours = [part for n in range(1, 60) for part in unknown(8, signs=CUSTOMER, ip=f"185.44.2.{n}")]
    story = tell(*neighbours, row("185.44.2.200", Event.CONNECT, START + MINUTE, signs=CUSTOMER))
    assert len({one.key for one in story.verdicts if one.classes & Class.BOT}) == 59
    explained = story.judge.explain(key("185.44.2.200"), START + MINUTE)
    assert explained
    assert not explained.classes & Class.BOT
    assert any(item.name == "neighbourhood" and item.of == "bot" for item in explained.evidence)


def test_failed_logins_never_list_alone() -> None:
    assert not tell(*(row(IP, Event.AUTH_FAIL, START + i, signs=CUSTOMER) for i in range(1000))).ever(Class.BOT)


def test_a_known_users_bounces_never_list_the_host_behind() -> None:
    opened = [
        row(IP, Event.MESSAGE, START + n, queue=n << 33, signs=Sign.OPENS | Sign.AUTHENTICATED | CUSTOMER)
        for n in range(1, 40)
    ]
    bounces = [row("", Event.BOUNCE, START + MINUTE + n, queue=n << 33, **UNKNOWN) for n in range(1, 40)]
    assert not tell(*opened, *bounces).ever(Class.BOT)


def test_a_bot_comes_off_after_silence_and_not_before() -> None:
    story = tell(*unknown(8, signs=CUSTOMER))
    assert story.classes() & Class.BOT
    for days, listed in ((0.5, True), (1, True), (2, True), (6, False)):
        for verdict in [one for group in story.profiles.rejudge(START + int(days * DAY)) for one in group]:
            assert not verdict.classes & Class.BOT
        assert bool(story.judge.explain(key(IP), START + int(days * DAY)).classes & Class.BOT) == listed, days


def test_hysteresis_keeps_what_would_not_be_listed_anew() -> None:
    faded = {"bad_recipient": 4.0, "recent_bad": 0, "rdns": int(UNVERIFIED)}
    total = float(decide(scene(**faded)).weights[:8].sum())
    assert BOT_CLEAR_TOTAL < total < BOT_THRESHOLD
    assert not decide(scene(**faded)).classes[0] & Class.BOT
    assert decide(scene(**faded, classes=int(Class.BOT))).classes[0] & Class.BOT


# Legitimate servers.


def test_a_server_with_a_verified_name_and_two_percent_of_typos_is_one_and_never_a_bot() -> None:
    rows = [
        row(IP, Event.REJECT if i % 50 == 49 else Event.MESSAGE, START + i * MINUTE, signs=SERVER, **UNKNOWN)
        for i in range(2000)
    ]
    story = tell(*rows)
    assert not story.ever(Class.BOT)
    assert story.classes() == Class.MTA
    first = next(verdict for verdict in story.verdicts if verdict.classes & Class.MTA)
    assert first.messages <= 60


@pytest.mark.parametrize(
    ("before", "every"), [(13, SECOND), (40, SECOND), (40, MINUTE), (100, MINUTE), (200, SECOND)]
)
@pytest.mark.parametrize("spread", [0, SECOND, 30 * SECOND])
def test_a_servers_burst_of_typos_among_good_mail_never_lists(before: int, every: int, spread: int) -> None:
    burst = START + before * every
    rows = [*good(before, every=every), *unknown(12, burst, spread, SERVER), *good(20, burst + HOUR)]
    assert not tell(*rows).ever(Class.BOT)


@pytest.mark.parametrize(("typos", "listed"), [(9, False), (14, True)])
def test_a_known_server_may_make_a_few_typos_and_nothing_else_in_a_quiet_night(typos: int, listed: bool) -> None:
    rows = [*good(200, every=MINUTE), *unknown(typos, START + DAY, SECOND, SERVER)]
    assert tell(*rows).ever(Class.BOT) == listed


def test_a_server_that_sends_mostly_bad_mail_is_listed_and_is_no_mta_then() -> None:
    rows = [*good(200, every=MINUTE), *unknown(60, START + DAY, SECOND, SERVER)]
    story = tell(*rows)
    assert story.ever(Class.BOT)
    assert story.classes() & (Class.BOT | Class.MTA) == Class.BOT


def test_a_past_of_good_mail_does_not_whitewash_a_customers_machine() -> None:
    rows = [*good(300, every=MINUTE, signs=CUSTOMER), *unknown(10, START + 2 * DAY)]
    story = tell(*rows)
    verdict = next(one for one in story.verdicts if one.classes & Class.BOT)
    assert verdict.messages <= 300 + 6
    assert any(item.name == "change" for item in verdict.evidence)


def test_good_mail_between_does_not_hide_as_much_bad_mail() -> None:
    mixed = [
        part
        for i in range(30)
        for part in (*unknown(1, START + i * SECOND, signs=CUSTOMER), *good(1, START + i * SECOND, signs=0))
    ]
    assert tell(*mixed).ever(Class.BOT)


def test_a_giant_whose_counters_are_full_is_never_a_bot() -> None:
    giant = [
        row(IP, Event.MESSAGE, START, signs=SERVER, count=40_000_000),
        row(IP, Event.REJECT, START, signs=SERVER, count=400_000, **UNKNOWN),
        *unknown(500, START + 5 * MINUTE, 0, SERVER),
    ]
    story = tell(*giant)
    assert not story.ever(Class.BOT)


def test_trust_grows_and_is_told() -> None:
    rows = [part for day in range(40) for part in good(40, START + day * DAY, MINUTE)]
    story = tell(*rows)
    assert [verdict.trust for verdict in story.verdicts if verdict.classes & Class.MTA] == [0, 1, 2, 3]
    assert len({verdict.since for verdict in story.verdicts}) == 1, "more trust is no new verdict"


def test_names_alone_make_no_mail_server() -> None:
    assert not tell(*(row(IP, Event.CONNECT, START + i, signs=SERVER) for i in range(300))).ever(Class.MTA)
    assert not tell(*good(300, signs=CUSTOMER)).ever(Class.MTA)


# Dynamic space.


def flows(count: int) -> list[Rows]:
    return [row(IP, Event.FLOW, START + i, proto=6, dport=25, target=destination(i)) for i in range(count)]


def test_flows_from_declared_dynamic_space_list_at_the_sixth_destination() -> None:
    assert not tell(*flows(5), use=Use.DYNAMIC).ever(Class.BOT)
    story = tell(*flows(6), use=Use.DYNAMIC)
    verdict = story.verdicts[-1]
    assert verdict.classes == Class.BOT | Class.DYNAMIC | Class.DECLARED
    assert verdict.evidence[0].says.startswith(("flows to 6", "its network is declared"))


@pytest.mark.parametrize("use", [Use.UNDECLARED, Use.STATIC, Use.SERVERS])
def test_flows_from_elsewhere_never_list_alone(use: Use) -> None:
    assert not tell(*flows(60), use=use).ever(Class.BOT)


def test_flows_to_one_server_are_a_mail_program() -> None:
    one = [row(IP, Event.FLOW, START + i, proto=6, dport=25, target=destination(3)) for i in range(500)]
    assert not tell(*one, use=Use.DYNAMIC).ever(Class.BOT)


def test_declared_space_is_dynamic_whatever_its_names_say() -> None:
    named = row(IP, Event.CONNECT, signs=Sign.RDNS_VERIFIED | Sign.RDNS_STATIC)
    assert tell(named, use=Use.DYNAMIC).classes() == Class.DYNAMIC | Class.DECLARED
    dynamic = row(IP, Event.CONNECT, signs=Sign.RDNS_VERIFIED | Sign.RDNS_GENERIC | Sign.RDNS_DYNAMIC)
    assert tell(dynamic).classes() == Class.DYNAMIC
    assert tell(dynamic, use=Use.STATIC).classes() == Class(0)


def test_a_generic_name_needs_its_neighbours() -> None:
    names = Sign.RDNS_UNVERIFIED | Sign.RDNS_GENERIC
    assert tell(row(IP, Event.CONNECT, signs=names)).classes() == Class(0)
    around = [row(f"185.44.2.{n}", Event.CONNECT, signs=names) for n in range(1, 40)]
    assert tell(*around, row(IP, Event.CONNECT, START + SECOND, signs=names)).classes() == Class.DYNAMIC


# What always holds.

_COUNT = st.one_of(st.just(0.0), st.floats(0, 100), st.floats(0, 1e6))
_COLUMNS = (
    "good", "bad_recipient", "bad_content", "protocol", "auth_fail", "flow", "submitted", "past_good", "past_bad",
    "recent_good", "recent_bad", "cusum", "helos", "destinations",
)  # fmt: skip
_SCENES = st.fixed_dictionaries(
    dict.fromkeys(_COLUMNS, _COUNT)
    | {
        "rdns": st.integers(0, 0x7F),
        "helo": st.integers(0, 0x1F).map(lambda bits: bits << 8),
        "classes": st.integers(0, 15),
        "saturated": st.integers(0, 1),
        "use": st.sampled_from(Use),
        "neighbours": st.floats(0, 255),
        "bots": st.floats(0, 255),
    }
)


@given(_SCENES)
def test_no_verdict_is_both_mail_server_and_something_that_blocks(columns) -> None:
    decision = decide(scene(**columns))
    classes = Class(int(decision.classes[0]))
    assert not (classes & Class.MTA and classes & (Class.BOT | Class.DYNAMIC | Class.DECLARED))
    assert not (classes & Class.DECLARED and not classes & Class.DYNAMIC)
    assert decision.trust[0] == 0 or classes & Class.MTA
    assert 0 <= decision.confidence[0] <= 1


@given(_SCENES, _SCENES)
def test_what_others_say_never_lists_alone_whatever_they_say(quiet, loud) -> None:
    known = {"use": loud["use"]}
    nothing = scene(rdns=quiet["rdns"], helo=quiet["helo"], **known)
    assert not decide(nothing._replace(neighbours_bot=np.zeros(1)), scene(**loud)).classes[0] & Class.BOT


@given(_SCENES)
def test_nobody_is_a_bot_below_the_threshold_or_without_having_done_anything(columns) -> None:
    columns["classes"] = 0
    given_scene = scene(**columns)
    decision = decide(given_scene)
    if decision.classes[0] & Class.BOT:
        assert decision.weights[:8].sum() >= BOT_THRESHOLD - 1e-9
        assert decision.behaviour[0] > 0
    if decision.classes[0] & Class.MTA:
        assert columns["past_good"] >= 10
        assert decision.weights[-4:].sum() >= MTA_THRESHOLD - 1e-9
