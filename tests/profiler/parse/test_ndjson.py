import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from profiler.address import parse as address
from profiler.keyed import keyed_hash
from profiler.observation import POSTABLE, REASONS, Event, Reason, Sign
from profiler.parse.registry import LINE_BYTES, Context, Parsed, open_parser

KEY = bytes(range(16))
NOW = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()) * 1_000_000
SECONDS = 1_793_678_706
LEAST: dict[str, object] = {"time": SECONDS, "ip": "185.43.7.209", "event": "connect"}


def parse(*lines: object, zone: object = UTC) -> Parsed:
    data = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return open_parser("ndjson", Context(KEY, NOW, zone)).feed(data.encode(), True)  # type: ignore[arg-type]


def one(**fields: object) -> np.void:
    parsed = parse(LEAST | fields)
    assert parsed.rejected == []
    return parsed.rows[0]


def signs(**fields: object) -> Sign:
    return Sign(int(one(**fields)["signs"]))


def test_the_least_that_is_needed() -> None:
    row = one()
    assert (row["time"], row["event"], row["count"], row["line"]) == (SECONDS * 1_000_000, Event.CONNECT, 1, 1)
    assert (row["ip_hi"], row["ip_lo"]) == address("185.43.7.209")
    assert sum(int(row[name]) for name in ("queue", "helo", "sender", "target", "bytes", "signs", "reason")) == 0


@pytest.mark.parametrize(
    "time",
    [
        SECONDS,
        float(SECONDS),
        "2026-11-03T04:05:06Z",
        "2026-11-03T05:05:06+01:00",
        "2026-11-03 04:05:06",
        "2026-11-03t04:05:06z",
    ],
)
def test_every_form_of_time(time: object) -> None:
    assert one(time=time)["time"] == SECONDS * 1_000_000


def test_microseconds_and_the_feeds_zone() -> None:
    assert one(time="2026-11-03T04:05:06.123456Z")["time"] == SECONDS * 1_000_000 + 123456
    assert one(time=SECONDS + 0.25)["time"] == SECONDS * 1_000_000 + 250_000
    berlin = parse(LEAST | {"time": "2026-11-03T05:05:06"}, zone=ZoneInfo("Europe/Berlin"))
    assert berlin.rows["time"][0] == SECONDS * 1_000_000


@pytest.mark.parametrize("name", POSTABLE)
def test_every_event_that_may_be_posted(name: str) -> None:
    assert one(event=name)["event"] == POSTABLE[name]


@pytest.mark.parametrize("name", REASONS)
def test_every_reason(name: str) -> None:
    assert one(event="reject", reason=name)["reason"] == REASONS[name]


def test_everything_at_once() -> None:
    row = one(
        event="flow", helo="MX.a.example", sender_domain="News.A.example", recipients=3, dst="192.0.2.7", dport=25,
        proto="tcp", packets=10, bytes=4000, count=2, duration=1.5, reason=None, unknown_field=[1, {"x": 2}],
    )  # fmt: skip
    assert row["helo"] == keyed_hash(KEY, b"mx.a.example")
    assert row["sender"] == keyed_hash(KEY, b"news.a.example")
    assert row["target"] == keyed_hash(KEY, bytes(10) + b"\xff\xff\xc0\x00\x02\x07")
    names = ("recipients", "dport", "proto", "packets", "bytes", "count", "duration", "reason")
    assert [int(row[name]) for name in names] == [3, 25, 6, 10, 4000, 2, 1500, Reason.NONE]


def test_what_a_column_cannot_hold_stays_at_its_most() -> None:
    row = one(recipients=70_000, packets=2**40, bytes=2**63, count=2**40, duration=1e308)
    assert [int(row[name]) for name in ("recipients", "packets", "count", "duration")] == [65535, *[2**32 - 1] * 3]
    assert row["bytes"] == 2**63


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Sign(0)),
        ({"rdns": ""}, Sign.RDNS_NONE),
        ({"rdns": None, "rdns_verified": False}, Sign.RDNS_NONE),
        ({"rdns_verified": False}, Sign.RDNS_UNVERIFIED),
        ({"rdns": "mx.a.example"}, Sign.RDNS_UNVERIFIED),
        ({"rdns": "mx.a.example", "rdns_verified": True}, Sign.RDNS_VERIFIED | Sign.RDNS_SERVER),
        (
            {"rdns": "a7.dyn.isp.example", "rdns_verified": False},
            Sign.RDNS_UNVERIFIED | Sign.RDNS_GENERIC | Sign.RDNS_DYNAMIC,
        ),
        ({"helo": "[185.43.7.209]"}, Sign.HELO_LITERAL),
        (
            {"helo": "mx.a.example", "rdns": "o.a.example", "rdns_verified": True},
            Sign.RDNS_VERIFIED | Sign.HELO_NAMED | Sign.HELO_MATCH,
        ),
        ({"helo": "mx.a.example", "rdns": "o.a.example"}, Sign.RDNS_UNVERIFIED | Sign.HELO_NAMED),
        ({"tls": True}, Sign.TLS),
        ({"tls": "TLSv1.3"}, Sign.TLS),
        ({"tls": False}, Sign(0)),
        ({"spf": "pass", "dkim": "pass", "dmarc": "pass"}, Sign.SPF_PASS | Sign.DKIM_PASS | Sign.DMARC_PASS),
        ({"spf": "fail", "dkim": "Fail", "dmarc": "failed"}, Sign.SPF_FAIL | Sign.DKIM_FAIL | Sign.DMARC_FAIL),
        ({"spf": "softfail", "dkim": "neutral", "dmarc": None}, Sign(0)),
    ],
)
def test_facts_become_signs(fields: dict[str, object], expected: Sign) -> None:
    assert signs(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ip": "x"}, "`ip`: 'x' is not an IPv4 or IPv6 address"),
        ({"ip": 7}, "`ip`: expected str, got int"),
        ({"dst": "192.0.2"}, "`dst`: '192.0.2' is not an IPv4 or IPv6 address"),
        ({"event": "explode"}, "`event`: 'explode' is unknown; known are connect, message"),
        ({"event": "envelope"}, "`event`: 'envelope' is unknown"),
        ({"reason": "whim"}, "`reason`: 'whim' is unknown; known are unknown_recipient"),
        ({"time": "yesterday"}, "`time`: 'yesterday' is no date as in RFC 3339"),
        ({"time": "2026-11-03"}, "`time`: '2026-11-03' is no date as in RFC 3339"),
        ({"time": "2026-13-03T04:05:06Z"}, "is no date as in RFC 3339"),
        ({"time": -1}, "`time`: lies before 1970"),
        ({"time": 1e300}, "is no number of seconds since 1970"),
        ({"time": "2026-11-24T12:10:01Z"}, "time lies in the future"),
        ({"time": None}, "`time`: expected"),
        ({"count": 0}, "`count`: 0 is less than 1"),
        ({"count": "two"}, "`count`: expected int | null, got str"),
        ({"bytes": -5}, "`bytes`: -5 is less than 0"),
        ({"dport": 65536}, "`dport`: 65536 is no port: 0 to 65535"),
        ({"proto": "ipx"}, "`proto`: 'ipx' is unknown; known are icmp, tcp"),
        ({"proto": 256}, "`proto`: '256' is unknown"),
        ({"duration": -0.5}, "`duration`: -500 is less than 0"),
        ({"event": "x" * 9999}, "x…' is unknown"),
    ],
)
def test_a_bad_field_is_named_in_words(fields: dict[str, object], why: str) -> None:
    parsed = parse(LEAST, LEAST | fields, LEAST)
    ((number, text),) = parsed.rejected
    assert number == 2
    assert why in text
    assert parsed.rows["line"].tolist() == [1, 3]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "7",
        "null",
        '{"time": 1, "ip": "8.8.8.8", "event": "connect", "helo": "\\ud800"}',
        '{"time": NaN}',
        "\x00",
        '{"ip": "\ud800"}',
        "[" * 5000,
        "x" * (LINE_BYTES + 1),
    ],
)
def test_what_is_no_object_is_rejected(line: str) -> None:
    data = line.encode("utf-8", "surrogatepass") + b"\n" + json.dumps(LEAST).encode()
    parsed = open_parser("ndjson", Context(KEY, NOW)).feed(data, True)
    assert [number for number, _ in parsed.rejected] == [1]
    assert parsed.rows["line"].tolist() == [2]


def test_a_missing_field_is_named() -> None:
    assert parse({"time": SECONDS, "ip": "185.43.7.209"}).rejected == [(1, "object missing required field `event`")]


def test_empty_lines_are_no_records() -> None:
    parsed = parse("", "  \r", LEAST)
    assert (parsed.records, parsed.rows["line"].tolist()) == (1, [3])


def test_an_endless_line_is_dropped_while_it_streams_by() -> None:
    parser = open_parser("ndjson", Context(KEY, NOW))
    for _ in range(100):
        assert parser.feed(b"[" * 10_000).records == 0
    parsed = parser.feed(b"\n" + json.dumps(LEAST).encode(), True)
    assert parsed.rejected == [(1, "longer than 65536 bytes")]
    assert parsed.rows["line"].tolist() == [2]
