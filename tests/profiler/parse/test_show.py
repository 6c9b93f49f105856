import json
from datetime import UTC, datetime

from profiler.address import parse as address
from profiler.observation import Event
from profiler.parse.registry import Context, open_parser
from profiler.parse.show import Joiner, shown

CONTEXT = Context(bytes(16), int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000)
HEAD = "Nov  3 04:05:06 mx1 postfix/"
OPEN = f"{HEAD}smtpd[7]: 4F1A2B3C4D: client=mx.a.example[185.43.7.209]\n"
QUEUED = f"{HEAD}qmgr[7]: 4F1A2B3C4D: from=<a@b.example>, size=3210, nrcpt=7 (queue active)\n"
BOUNCED = f"{HEAD}smtp[7]: 4F1A2B3C4D: to=<x@y.example>, relay=z, dsn=5.1.1, status=bounced (no)\n"
REMOVED = f"{HEAD}qmgr[7]: 4F1A2B3C4D: removed\n"


def lines(text: str, format: str = "postfix", joiner: Joiner | None = None) -> list[dict[str, object]]:
    return list(shown(open_parser(format, CONTEXT).feed(text.encode(), True).rows, joiner))


def test_a_mail_and_its_bounce_are_shown_with_the_client() -> None:
    seen = {"time": "2026-11-03T04:05:06Z", "ip": "185.43.7.209"}
    assert lines(OPEN + QUEUED + BOUNCED + REMOVED) == [
        {"line": 1, **seen, "event": "message", "rdns_verified": True},
        {"line": 3, **seen, "event": "bounce", "reason": "unknown_recipient"},
    ]


def test_a_step_of_an_unknown_or_closed_mail_has_no_address() -> None:
    assert [line["ip"] for line in lines(BOUNCED)] == [None]
    assert [line["ip"] for line in lines(OPEN + REMOVED + BOUNCED)] == ["185.43.7.209", None]


def test_a_joiner_carries_over_from_one_portion_to_the_next() -> None:
    joiner = Joiner()
    lines(OPEN, joiner=joiner)
    assert [line["ip"] for line in lines(BOUNCED, joiner=joiner)] == ["185.43.7.209"]


def test_a_joiner_is_bounded_and_forgets_the_oldest() -> None:
    joiner = Joiner(limit=2)
    keys = [address(f"185.43.7.{number}") for number in range(3)]
    for number, key in enumerate(keys, 1):
        joiner.client(number, key, opens=True, closes=False)
    known = [joiner.client(number, None, opens=False, closes=False) for number in (1, 2, 3)]
    assert known == [None, keys[1], keys[2]]


def test_all_facts_of_an_observation() -> None:
    seen = {
        "time": "2026-11-03T04:05:06.5Z", "ip": "2a02::1", "event": "flow", "reason": "protocol", "rdns": "x",
        "rdns_verified": False, "spf": "fail", "dkim": "pass", "tls": True, "recipients": 2, "bytes": 10,
        "packets": 3, "dport": 25, "proto": 6, "count": 4, "duration": 0.2,
    }  # fmt: skip
    assert lines(json.dumps(seen), "ndjson") == [
        {
            "line": 1, "time": "2026-11-03T04:05:06.500000Z", "ip": "2a02::1", "event": "flow",
            "reason": "protocol", "count": 4, "rdns_verified": False, "tls": True, "spf": "fail",
            "dkim": "pass", "recipients": 2, "bytes": 10, "packets": 3, "duration": 200, "dport": 25, "proto": 6,
        }
    ]  # fmt: skip


def test_every_line_is_json_and_internal_rows_are_left_out() -> None:
    rows = open_parser("postfix", CONTEXT).feed((OPEN + QUEUED + REMOVED).encode(), True).rows
    assert set(rows["event"].tolist()) == {Event.MESSAGE, Event.ENVELOPE, Event.CLOSED}
    assert json.loads(json.dumps(list(shown(rows))))[0]["event"] == "message"
    assert len(list(shown(rows))) == 1
