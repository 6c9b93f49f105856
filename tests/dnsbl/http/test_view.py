"""The words of the page, from a report alone."""

import pytest

from dnsbl.http.pages.view import duration, view
from profiler.address import parse

REPORT = {
    "ip": "185.44.1.2", "classes": [], "confidence": 0.0, "trust": None, "since": None, "listings": [],
    "held": False, "evidence": [], "score": {"bot": 0.0, "listed_from": 6.9}, "clears_after_seconds": 0,
    "profile": {}, "network": {}, "history": [],
}  # fmt: skip


def shown(*, by_hand=False, **more):
    return view(parse("185.44.1.2"), {**REPORT, **more}, ["2.1.44.185.bl.vedette.test"], by_hand=by_hand)


def listing(zone, code="127.0.0.4", **more):
    question = f"2.1.44.185.{zone}"
    times = {"since": "2026-11-24T01:02:03Z", "expires": None}
    return {"zone": zone, "code": code, "reason": "why", "question": question, **times, **more}


def piece(weight, of="bot"):
    return {"name": "some_name", "class": of, "weight": weight, "says": "what"}


@pytest.mark.parametrize(
    ("classes", "tone", "says"),
    [
        ([], "plain", "is not listed"),
        (["bot"], "bad", "infected host"),
        (["mta"], "good", "legitimate mail server"),
        (["dynamic"], "warn", "customers' own machines"),
        (["dynamic", "bot"], "bad", "infected host and is in address space of customers"),
    ],
)
def test_the_verdict_in_a_sentence(classes, tone, says):
    page = shown(classes=classes)
    assert page.tone == tone
    assert says in page.sentence
    assert page.clears


def test_zones_that_say_the_same_are_told_together():
    page = shown(listings=[listing("bl.x"), listing("all.x"), listing("dyn.x", "127.0.0.11")])
    assert [(one.answer, one.questions) for one in page.listings] == [
        ("127.0.0.4", ["2.1.44.185.bl.x", "2.1.44.185.all.x"]),
        ("127.0.0.11", ["2.1.44.185.dyn.x"]),
    ]
    assert page.listings[0].since == "2026-11-24 01:02:03 UTC"


def test_evidence_is_summed_by_class_and_drawn_within_bounds():
    tables = shown(evidence=[piece(12.0), piece(-3.0, "mta"), piece(0.5)]).evidence
    assert [(table.total, len(table.rows)) for table in tables] == [("+12.50", 2), ("\u22123.00", 1)]
    assert [row.bar for table in tables for row in table.rows] == [60, 5, 30]
    assert [row.tone for table in tables for row in table.rows] == ["for", "for", "against"]
    assert (tables[0].threshold, tables[1].threshold) == ("listed from +6.90", "")


def test_an_inference_is_never_certain_but_a_declaration_is():
    assert shown(classes=["bot"], confidence=1.0, evidence=[piece(20.0)]).confidence.startswith("99.9")
    assert shown(classes=["dynamic"], confidence=1.0).confidence.startswith("100.0")
    assert shown(classes=["mta"], confidence=0.98, trust="high").confidence.endswith("trust high")
    assert shown().confidence == ""


def test_what_would_clear_it():
    assert any("about 2 hours" in one for one in shown(classes=["bot"], clears_after_seconds=7300).clears)
    assert any("write to them" in one for one in shown(by_hand=True, listings=[listing("bl.x")]).clears)
    assert any("brake" in one for one in shown(held=True).clears)


def test_only_what_a_form_can_take_off_has_one():
    assert shown(classes=["bot"]).can_delist
    assert shown(by_hand=True).can_delist
    assert not shown(classes=["dynamic"]).can_delist
    assert not shown(classes=["mta"]).can_delist


def test_numbers_without_zeros_and_what_people_wrote():
    past = {
        "layer": "dynamic_declared",
        "since": None,
        "ended": "2026-11-24T01:02:03Z",
        "why": "delisted by x",
    }
    page = shown(
        profile={"good": 0.0, "observations": 12345, "unheard_of": 1.25}, network={"asn": 64500}, history=[past]
    )
    assert page.profile == [("observations in all", "12\u202f345"), ("unheard of", "1.2")]
    assert page.network == [("asn", "AS64500")]
    assert page.history == [("dynamic declared", "", "2026-11-24 01:02:03 UTC", "delisted by x")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "less than a minute"), (60, "1 minute"), (7300, "2 hours"), (86_400, "1 day"), (324_342, "4 days")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
