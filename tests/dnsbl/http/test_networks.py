"""An ISP pulls its infected addresses, as JSON or CSV, and sees no other network's."""

import csv
import io
import re

import pytest

from dnsbl.export.infected_csv import COLUMNS, to_csv
from dnsbl.http.problems import Kind
from tests.dnsbl.http.conftest import ASN, BOT, BOT6
from tests.dnsbl.http.test_batches import assert_problem

UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def infected(api, network, token="isp", **more):
    return api.get(f"/v1/networks/{network}/infected", token=token, **more)


@pytest.mark.parametrize("network", ["91.198.0.0/16", "91.198.0.0%2F16", "91.198.7.0/24", "91.198.7.9"])
def test_an_isp_pulls_its_network(api, bot, network):
    answer = infected(api, network).json
    assert UTC_TIME.fullmatch(answer["generated"])
    assert [row["ip"] for row in answer["infected"]] == [BOT]
    row = answer["infected"][0]
    assert set(row) == set(COLUMNS)
    assert row["class"] == "bot"
    assert (row["asn"], row["network"], row["isp"]) == (ASN, "91.198.0.0/16", "cable")
    assert UTC_TIME.fullmatch(row["listed_since"])
    assert row["evidence"]


def test_ipv6_is_pulled_too(api, bot):
    assert [row["ip"] for row in infected(api, "2a00:1450::/32").json["infected"]] == ["2a00:1450:4:1::/64"]
    assert infected(api, "2a00:1450:5::/48").json["infected"] == []


def test_an_isp_sees_no_other_network(api, bot):
    for network in ("91.198.0.0/16", "91.198.7.9", BOT6, "0.0.0.0/0", f"AS{ASN}"):
        assert_problem(infected(api, network, "rival"), Kind.NOT_ALLOWED)
    assert infected(api, "185.44.0.0/16", "rival").json["infected"] == []
    assert_problem(infected(api, "91.198.0.0/15", "isp"), Kind.NOT_ALLOWED)


def test_an_asn_is_cut_to_the_isps_own(api, bot):
    assert [row["ip"] for row in infected(api, f"AS{ASN}").json["infected"]] == [BOT]
    assert [row["ip"] for row in infected(api, f"as{ASN}", "operator").json["infected"]] == [BOT]
    api.tokens["part"] = api.service.registry.add_isp("part", ["91.198.200.0/24"])
    assert infected(api, f"AS{ASN}", "part").json["infected"] == []


def test_the_operator_sees_all(api, bot):
    assert [row["ip"] for row in infected(api, "0.0.0.0/0", "operator").json["infected"]] == [BOT]


@pytest.mark.parametrize("more", [{"Accept": "text/csv"}, {"path": "?format=csv", "Accept": "application/json"}])
def test_csv(api, bot, more):
    more = dict(more)
    answer = api.get(f"/v1/networks/91.198.0.0/16/infected{more.pop('path', '')}", token="isp", **more)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["ip"], row["class"], row["isp"]) for row in rows] == [(BOT, "bot", "cable")]
    assert "recipients" in rows[0]["evidence"]


def test_csv_holds_no_formulas():
    line = to_csv([{"ip": "1.2.3.4", "reason": "=HYPERLINK(1)", "evidence": [{"says": '@x, "y"'}, {"says": "z"}]}])
    row = next(csv.DictReader(io.StringIO(line)))
    assert row["reason"] == "'=HYPERLINK(1)"
    assert row["evidence"] == '\'@x, "y"; z'
    assert row["asn"] == ""


def test_who_has_no_token_or_a_feeds_sees_nothing(api):
    assert_problem(api.get("/v1/networks/91.198.0.0/16/infected"), Kind.NO_TOKEN)
    assert_problem(infected(api, "91.198.0.0/16", "mx"), Kind.NOT_ALLOWED)


@pytest.mark.parametrize("network", ["nonsense", "91.198.7.9/16", "91.198.0.0/33", "AS", "ASx", "1.2.3.0/24/7"])
def test_what_is_no_network_is_refused(api, network):
    assert_problem(infected(api, network), Kind.BAD_ADDRESS)


def test_an_unknown_format_is_refused(api):
    answer = api.get("/v1/networks/91.198.0.0/16/infected?format=xml", token="isp")
    assert_problem(answer, Kind.BAD_REQUEST)
