import json

import msgspec
import numpy as np
import pytest

from dnsbl import view
from dnsbl.config import Config
from dnsbl.listing.codes import Layer
from dnsbl.listing.store import Listing
from dnsbl.service import zones_of
from profiler.address import parse, parse_network
from profiler.classify.evidence import Class, Evidence
from profiler.profile.record import COLUMNS
from profiler.sources.networks import Declaration, Use
from tests.dnsbl.listing.test_policy import NOW, verdict

IP = "185.44.2.66"
ZONES = {zone.name: zone for zone in zones_of(Config())}
CABLE = Declaration(parse_network("185.44.0.0/16"), Use.DYNAMIC, 64500, "Example Cable")
EVIDENCE = (Evidence("outcomes", "bot", 6.6, "6 recipients"), Evidence("source", "bot", 1.8, "no name"))
LISTED = Listing(f"{IP}/32", Layer.BOT, "mail to strangers", NOW, evidence=EVIDENCE)


def answered(zone: str, *codes: str) -> view.Answered:
    return view.Answered(ZONES[zone], f"66.2.44.185.{ZONES[zone].origin}", codes)


def address(given=None, profile=None, listings=(), answers=(), declaration=None, history=()):
    made = view.address(parse(IP), given, profile, listings, answers, declaration, history)
    json.dumps(made)
    return made


def test_what_was_never_seen_is_nothing() -> None:
    found = address()
    assert (found["ip"], found["classes"], found["confidence"], found["since"]) == (IP, [], 0.0, None)
    assert found["listings"] == found["evidence"] == found["history"] == []
    assert found["profile"] == found["network"] == {}
    assert (found["trust"], found["held"], found["clears_after_seconds"]) == (None, False, 0)


def test_a_bot_is_explained() -> None:
    found = address(
        verdict(Class.BOT, evidence=EVIDENCE, clears_after=86_400.4),
        listings=[LISTED],
        answers=[answered("bl", "127.0.0.4"), answered("wl")],
    )
    assert found["classes"] == ["bot"]
    assert found["since"] == "2026-11-01T00:00:00Z"
    assert found["score"] == {"bot": 8.4, "listed_from": 6.9}
    assert found["clears_after_seconds"] == 86_400
    assert found["evidence"][0] == {"name": "outcomes", "class": "bot", "weight": 6.6, "says": "6 recipients"}
    [listing] = found["listings"]
    assert {key: listing[key] for key in ("zone", "code", "since", "expires", "reason")} == {
        "zone": ZONES["bl"].origin,
        "code": "127.0.0.4",
        "since": "2026-11-01T00:00:00Z",
        "expires": None,
        "reason": "mail to strangers",
    }


@pytest.mark.parametrize(("trust", "code", "word"), [(0, "127.0.0.40", "none"), (3, "127.0.0.43", "high")])
def test_a_mail_servers_trust_is_in_its_code_and_in_words(trust, code, word) -> None:
    listing = msgspec.structs.replace(LISTED, layer=Layer.MTA, trust=trust)
    found = address(verdict(Class.MTA, trust=trust), listings=[listing], answers=[answered("wl", code)])
    assert found["trust"] == word
    assert [row["code"] for row in found["listings"]] == [code]


def test_only_what_a_zone_answers_is_a_listing() -> None:
    assert address(listings=[LISTED], answers=[answered("bl")])["listings"] == []


def test_what_is_held_is_said_and_is_no_listing() -> None:
    held = msgspec.structs.replace(LISTED, held=True)
    found = address(listings=[held], answers=[answered("bl")])
    assert found["held"]
    assert found["listings"] == []


def test_declared_space_is_dynamic_without_having_been_seen() -> None:
    found = address(declaration=CABLE, answers=[answered("dyn", "127.0.0.10")])
    assert (found["classes"], found["confidence"]) == (["dynamic"], 1.0)
    assert found["network"] == {"prefix": "185.44.0.0/16", "use": "dynamic", "asn": 64500, "name": "Example Cable"}
    assert [row["reason"] for row in found["listings"]] == ["declared by the network's owner"]


def test_history_tells_what_ended_but_not_what_a_person_wrote() -> None:
    ended = msgspec.structs.replace(LISTED, ended=NOW + 60, ended_why="delisted by cable: Jane Doe's laptop")
    [past] = address(history=[ended])["history"]
    assert past["ended"] == "2026-11-01T00:01:00Z"
    assert past["why"] == "delisted by cable"


def test_a_profile_in_numbers() -> None:
    columns = np.zeros(1, COLUMNS)
    columns["good"], columns["messages"], columns["first"] = 3.14159, 9, NOW * 1_000_000
    found = view.numbers(columns[0])
    assert (found["good"], found["messages"], found["first_seen"]) == (3.14, 9, "2026-11-01T00:00:00Z")
    assert found["last_seen"] is None
    json.dumps(found)


def test_a_row_of_an_isps_list() -> None:
    row = view.infected(LISTED, verdict(Class.BOT, evidence=EVIDENCE), None, CABLE, "cable")
    assert (row["ip"], row["class"], row["isp"], row["asn"], row["network"]) == (
        IP, "bot", "cable", 64500, "185.44.0.0/16",
    )  # fmt: skip
    six = msgspec.structs.replace(LISTED, prefix="2a00:1450:4:1::/64")
    row = view.infected(six, None, None, None, "")
    assert (row["ip"], row["isp"], row["network"], row["evidence"]) == ("2a00:1450:4:1::/64", None, None, [])
