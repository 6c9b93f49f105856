"""Feeds, ISPs, networks, the operator's token and listings by hand, without a server."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dnsbl.registry import Principal, Registry
from tests.dnsbl.cli.conftest import Run


def as_json(run: Run, *words: str) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def whose(data: str, token: str) -> Principal | None:
    with closing(Registry(Path(data))) as registry:
        return registry.authenticate(token)


def test_a_feed_is_added_listed_rotated_and_removed(run: Run, data: str) -> None:
    made = as_json(
        run, "feed", "add", "mx1", "--format", "postfix", "--network", "185.44.0.0/16",
        "--timezone", "Europe/Vienna", "--data", data,
    )  # fmt: skip
    assert made["feed"] == "mx1"
    assert whose(data, made["token"]) == Principal("feed", "mx1")
    assert as_json(run, "feed", "list", "--data", data) == [
        {
            "name": "mx1",
            "format": "postfix",
            "networks": ["185.44.0.0/16"],
            "timezone": "Europe/Vienna",
            "trust": "own",
        }
    ]
    again = as_json(run, "feed", "rotate", "mx1", "--data", data)
    assert whose(data, made["token"]) is None
    assert whose(data, again["token"]) == Principal("feed", "mx1")
    assert run("feed", "remove", "mx1", "--data", data).exit_code == 0
    assert as_json(run, "feed", "list", "--data", data) == []
    assert whose(data, again["token"]) is None


def test_only_the_token_is_on_stdout_so_that_it_can_go_into_a_file(run: Run, data: str) -> None:
    result = run("feed", "add", "mx1", "--data", data)
    assert whose(data, result.stdout.strip()) == Principal("feed", "mx1")


def test_o_json_is_json(run: Run, data: str) -> None:
    result = run("feed", "add", "mx1", "--data", data, "-o", "json")
    assert set(json.loads(result.stdout)) == {"feed", "token"}


def test_a_feed_of_an_unknown_format_is_refused(run: Run, data: str) -> None:
    result = run("feed", "add", "mx1", "--format", "posfix", "--data", data)
    assert result.exit_code == 1
    assert "known are auto, postfix" in result.stderr
    assert as_json(run, "feed", "list", "--data", data) == []


def test_an_isp_is_added_listed_rotated_and_removed(run: Run, data: str) -> None:
    made = as_json(run, "isp", "add", "access", "--network", "185.44.0.0/16", "--data", data)
    assert whose(data, made["token"]) == Principal("isp", "access", ("185.44.0.0/16",))
    assert as_json(run, "isp", "list", "--data", data) == [{"name": "access", "networks": ["185.44.0.0/16"]}]
    as_json(run, "isp", "rotate", "access", "--data", data)
    assert whose(data, made["token"]) is None
    assert run("isp", "remove", "access", "--data", data).exit_code == 0
    assert run("isp", "remove", "access", "--data", data).exit_code == 1


def test_a_network_is_declared_listed_and_taken_back(run: Run, data: str) -> None:
    words = ("network", "add", "185.44.0.0/16", "--use", "dynamic", "--asn", "64500", "--name", "Access")
    assert run(*words, "--data", data).exit_code == 0
    assert as_json(run, "network", "list", "--data", data) == [
        {"prefix": "185.44.0.0/16", "use": "dynamic", "asn": 64500, "name": "Access"}
    ]
    assert "185.44.0.0/16  dynamic  64500  Access" in run("network", "list", "--data", data).stdout
    assert run("network", "remove", "185.44.0.0/16", "--data", data).exit_code == 0
    assert as_json(run, "network", "list", "--data", data) == []


def test_the_operators_token_replaces_the_one_before(run: Run, data: str) -> None:
    first = as_json(run, "operator", "token", "--data", data)["token"]
    second = run("operator", "token", "--data", data).stdout.strip()
    assert whose(data, first) is None
    assert whose(data, second) == Principal("operator", "operator")


def test_an_address_is_listed_by_hand_and_taken_off(run: Run, data: str) -> None:
    assert run("listing", "add", "5.6.7.8", "--reason", "told so", "--days", "2", "--data", data).exit_code == 0
    assert run("listing", "add", "2a01:4f8:1:2::25", "--reason", "told so", "--data", data).exit_code == 0
    listed = as_json(run, "listing", "list", "--data", data)
    assert [(one["prefix"], one["class"], one["reason"], one["expires"] is None) for one in listed] == [
        ("5.6.7.8/32", "operator", "told so", False),
        ("2a01:4f8:1:2::/64", "operator", "told so", True),
    ]
    assert as_json(run, "listing", "list", "--class", "bot", "--data", data) == []
    off = as_json(run, "listing", "remove", "5.6.7.8", "--reason", "a mistake", "--data", data)
    assert off == {"prefix": "5.6.7.8/32", "delisted": ["operator"]}
    assert len(as_json(run, "listing", "list", "--data", data)) == 1
    again = run("listing", "remove", "5.6.7.8", "--data", data)
    assert again.exit_code == 1
    assert "is not listed" in again.stderr


@pytest.mark.parametrize("prefix", ["10.0.0.1", "127.0.0.1", "fe80::1", "0.0.0.0/0", "5.0.0.0/7"])
def test_what_must_never_be_listed_is_refused(prefix: str, run: Run, data: str) -> None:
    result = run("listing", "add", prefix, "--reason", "x", "--data", data)
    assert result.exit_code == 1
    assert as_json(run, "listing", "list", "--data", data) == []


def test_profiles_are_written_out(run: Run, data: str) -> None:
    assert run("profile", "dump", "--data", data).exit_code == 1
    as_json(run, "feed", "add", "mx1", "--data", data)
    result = run("profile", "dump", "--data", data)
    assert (result.exit_code, result.stdout_bytes) == (0, b"")
