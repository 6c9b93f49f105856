"""Somebody looks an address up; its owner, its ISP or the operator takes it off, and nobody else."""

import json

import pytest

from dnsbl.http.ip import ANONYMOUS_DELIST_RATE, OWN_DELIST_RATE
from dnsbl.http.problems import Kind
from profiler.address import parse
from tests.dnsbl.http.conftest import BOT6, NEIGHBOUR, wait_for
from tests.dnsbl.http.test_batches import assert_problem

REASON = {"reason": "the machine was cleaned"}


def ask(api, ip, body=REASON, **more):
    more.setdefault("Content_Type", "application/json")
    data = body if isinstance(body, bytes) else json.dumps(body)
    return api.call("POST", f"/v1/ip/{ip}/delist", data, **more)


def test_anybody_sees_what_is_known(api, bot):
    answer = api.get(f"/v1/ip/{bot}")
    assert answer.headers["content-type"] == "application/json"
    report = answer.json
    assert report["ip"] == bot
    assert "bot" in report["classes"]
    assert {one["zone"] for one in report["listings"] if one["code"] == "127.0.0.4"} >= {"bl.vedette.test"}
    assert sum(one["weight"] for one in report["evidence"] if one["class"] == "bot") > 6.9
    assert report["network"]["asn"] == 64500


def test_an_address_never_seen_is_not_listed(api):
    report = api.get("/v1/ip/185.44.9.9").json
    assert (report["classes"], report["listings"], report["evidence"]) == ([], [], [])


@pytest.mark.parametrize(
    "text", ["nonsense", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::1%25eth0", "1.2.3.4%2F24", "%00"]
)
def test_what_is_no_address_is_refused(api, text):
    assert_problem(api.get(f"/v1/ip/{text}"), Kind.BAD_ADDRESS)


def test_the_operator_takes_an_address_off(api, bot):
    answer = ask(api, bot, token="operator")
    assert answer.status == 200
    assert answer.json["ip"] == bot
    assert answer.json["delisted"] == ["bot"]
    wait_for(lambda: not any(one["code"] == "127.0.0.4" for one in api.get(f"/v1/ip/{bot}").json["listings"]))
    assert ask(api, bot, token="operator").json["delisted"] == []


def test_an_isp_takes_its_own_address_off_and_no_other(api, bot):
    assert_problem(ask(api, bot, token="rival"), Kind.NOT_ALLOWED)
    assert_problem(ask(api, BOT6, token="rival"), Kind.NOT_ALLOWED)
    assert "bot" in api.get(f"/v1/ip/{bot}").json["classes"]
    assert ask(api, bot, token="isp").json["delisted"] == ["bot"]
    assert ask(api, BOT6, token="isp").json["delisted"] == ["bot"]


def test_a_feed_takes_nothing_off(api, bot):
    refused = ask(api, bot, token="mx")
    assert_problem(refused, Kind.NOT_ALLOWED)
    assert "feed" in refused.json["detail"]


def test_without_a_token_only_the_address_itself_may_ask(api, bot):
    assert_problem(ask(api, bot), Kind.NO_TOKEN)
    assert ask(api, "127.0.0.7", source="127.0.0.7").status == 200
    assert_problem(ask(api, "127.0.0.8", source="127.0.0.7"), Kind.NO_TOKEN)


def test_behind_a_proxy_nobody_is_the_address_itself(api):
    assert_problem(ask(api, "127.0.0.7", source="127.0.0.7", X_Forwarded_For="127.0.0.7"), Kind.NO_TOKEN)


def test_another_site_cannot_ask_in_a_visitors_name(api):
    own = {"source": "127.0.0.7"}
    assert_problem(ask(api, "127.0.0.7", Origin="https://evil.example", **own), Kind.CROSS_SITE)
    assert_problem(ask(api, "127.0.0.7", Sec_Fetch_Site="cross-site", **own), Kind.CROSS_SITE)
    assert_problem(ask(api, "127.0.0.7", Content_Type="text/plain", **own), Kind.BAD_MEDIA)


@pytest.mark.parametrize(
    "body", [b"{", b"\xff", b"[]", {"reason": ""}, {"reason": " \n"}, {"reason": 1}, {"reason": "x" * 501}]
)
def test_a_reason_must_say_something(api, body):
    assert_problem(ask(api, NEIGHBOUR, body, token="operator"), Kind.BAD_REQUEST)


def test_unknown_members_and_large_bodies_are_refused(api):
    assert_problem(ask(api, NEIGHBOUR, {**REASON, "token": "x"}, token="operator"), Kind.BAD_REQUEST)
    assert_problem(ask(api, NEIGHBOUR, {"reason": "x" * 100_000}, token="operator"), Kind.TOO_LARGE)
    assert_problem(ask(api, NEIGHBOUR, token="operator", Content_Encoding="gzip"), Kind.BAD_MEDIA)


def test_control_characters_do_not_reach_the_history(api, bot):
    ask(api, bot, {"reason": "all\r\nclean\x1b[31m"}, token="operator")
    kept = api.service.listings.history(parse(bot))[0]
    assert kept.ended_why == "delisted by operator: all clean [31m"
    # What a person wrote is the operator's to read.
    assert api.get(f"/v1/ip/{bot}").json["history"][0]["why"] == "delisted by operator"


@pytest.mark.parametrize("body", [b"", {}])
def test_a_script_may_give_no_reason(api, bot, body):
    assert ask(api, bot, body, token="operator").json["delisted"] == ["bot"]
    assert api.service.listings.history(parse(bot))[0].ended_why == "delisted by operator: not stated"


def test_a_bot_does_not_take_itself_off_all_the_time(api):
    answers = [ask(api, "127.0.0.7", source="127.0.0.7") for _ in range(OWN_DELIST_RATE.burst + 1)]
    assert {answer.status for answer in answers[:-1]} == {200}
    assert_problem(answers[-1], Kind.TOO_OFTEN)
    assert int(answers[-1].headers["retry-after"]) > 3600


def test_who_asks_too_often_waits_and_others_do_not(api):
    answers = [ask(api, NEIGHBOUR, source="127.0.0.9") for _ in range(ANONYMOUS_DELIST_RATE.burst + 1)]
    assert {answer.status for answer in answers[:-1]} == {401}
    assert_problem(answers[-1], Kind.TOO_OFTEN)
    assert 0 < int(answers[-1].headers["retry-after"]) <= ANONYMOUS_DELIST_RATE.per_seconds
    assert_problem(ask(api, NEIGHBOUR, source="127.0.0.9", Authorization="Bearer x"), Kind.TOO_OFTEN)
    assert ask(api, NEIGHBOUR, source="127.0.0.9", token="operator").status == 200
    assert ask(api, NEIGHBOUR, source="127.0.0.10").status == 401
