import json
from datetime import UTC, datetime

import pytest

from profiler.address import parse_network
from profiler.classify.evidence import Class
from profiler.parse.registry import Context, open_parser
from profiler.replay import Replay, as_line, worst
from profiler.sources.networks import Declaration, DeclaredNetworks, Use

NOW = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000
BOT = "185.44.2.66"
SERVER = "45.9.8.7"
DAY_SECONDS = 86_400


def postfix() -> bytes:
    """Return a log: a bot that guesses recipients, a server with one typo, and a bounce that joins by queue id."""
    lines = []
    for number in range(40):
        at = f"Nov  3 04:{number:02}:06 mx1 postfix"
        lines += [
            f"{at}/smtpd[11]: {number:05}AA: client=mail.company.example[{SERVER}]",
            f"{at}/qmgr[1]: {number:05}AA: from=<news@company.example>, size=900, nrcpt=1 (queue active)",
            f"{at}/lmtp[9]: {number:05}AA: to=<u{number}@site.example>, relay=x, dsn=2.0.0, status=sent (250 ok)",
            f"{at}/qmgr[1]: {number:05}AA: removed",
        ]
        if number < 12:
            client = f"unknown[{BOT}]"
            lines.append(
                f"{at}/smtpd[12]: NOQUEUE: reject: RCPT from {client}: 550 5.1.1 <a{number}@site.example>: "
                f"Recipient address rejected: User unknown in virtual mailbox table; from=<x@spam.example> "
                f"to=<a{number}@site.example> proto=ESMTP helo=<host{number}>"
            )
    return "\n".join(lines).encode() + b"\nthis is no log line\n"


def ndjson() -> bytes:
    made = [
        {
            "time": NOW / 1e6 - DAY_SECONDS + i,
            "ip": BOT,
            "event": "reject",
            "reason": "unknown_recipient",
            "helo": f"h{i}",
        }
        for i in range(12)
    ]
    return b"".join(json.dumps(one).encode() + b"\n" for one in made)


def replayed(data: bytes, format: str = "auto", networks: DeclaredNetworks | None = None) -> tuple[Replay, list]:
    replay = Replay(open_parser(format, Context(bytes(16), NOW)), networks)
    return replay, [as_line(verdict) for verdict in replay.run([data])]


def test_a_postfix_log_shows_the_bot_when_it_turned_one_and_the_server_as_one() -> None:
    replay, lines = replayed(postfix())
    [bot] = [line for line in lines if line["ip"] == BOT]
    assert (bot["class"], bot["was"]) == ("bot", "unknown")
    assert 4 <= bot["messages"] <= 6
    assert bot["time"].startswith("2026-11-03T04:0")
    assert {item["name"] for item in bot["evidence"]} >= {"outcomes", "source", "helos"}
    assert all(item["says"] and item["weight"] for item in bot["evidence"])
    assert [line["class"] for line in lines if line["ip"] == SERVER] in ([], ["mta"])
    assert (replay.rejected, replay.records) == (1, 173)
    assert replay.observations > 100
    json.dumps(lines)


def test_ndjson_gives_the_same_verdict() -> None:
    _, [line] = replayed(ndjson())
    assert (line["ip"], line["class"], line["classes"]) == (BOT, "bot", ["bot"])
    assert line["confidence"] > 0.99


@pytest.mark.parametrize("data", [postfix(), ndjson()], ids=["postfix", "ndjson"])
def test_the_same_input_gives_the_same_output_and_portions_the_same_profiles(data: bytes) -> None:
    first, lines = replayed(data)
    assert replayed(data)[1] == lines
    portions = Replay(open_parser("auto", Context(bytes(16), NOW)))
    parts = [data[at : at + 997] for at in range(0, len(data), 997)]
    assert {str(verdict.key) for verdict in portions.run(parts)} == {line["ip"] for line in lines}
    for tier in ("own", "foreign"):
        assert (
            portions.profiles.tables[tier].profiles().tobytes() == first.profiles.tables[tier].profiles().tobytes()
        )


def test_each_change_is_told_and_in_the_order_of_the_log() -> None:
    early = ndjson().splitlines(keepends=True)
    late = [
        json.dumps({"time": NOW / 1e6, "ip": ip, "event": "reject", "reason": "unknown_recipient"}).encode() + b"\n"
        for ip in ("45.1.1.1",) * 12
    ]
    _, lines = replayed(b"".join(early + late))
    assert [line["ip"] for line in lines] == [BOT, "45.1.1.1"]
    assert lines[0]["time"] < lines[1]["time"]


def test_declared_networks_count_in_a_replay() -> None:
    declared = DeclaredNetworks([Declaration(parse_network("185.44.0.0/16"), Use.DYNAMIC)])
    _, lines = replayed(ndjson(), networks=declared)
    assert lines[-1]["classes"] == ["bot", "dynamic"]


def test_nothing_in_nothing_out() -> None:
    replay, lines = replayed(b"")
    assert (lines, replay.records, replay.observations) == ([], 0, 0)


def test_the_worst_class_is_the_word() -> None:
    assert [worst(classes) for classes in (Class(0), Class.MTA, Class.BOT | Class.DYNAMIC)] == [
        "unknown",
        "mta",
        "bot",
    ]
