"""``vedette parse`` and ``vedette replay`` on logs, plain, compressed and piped."""

import bz2
import gzip
import json
import lzma
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dnsbl.cli.logfile import CHUNK_BYTES, LogFile
from dnsbl.cli.progress import LONG_BYTES
from profiler import simulate
from tests.dnsbl.cli.conftest import Run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ROOT = Path(__file__).parents[3]
END = 1_772_366_400.0  # 2026-03-01 12:00 UTC
BOT = "185.44.9.20"
_REJECT = (
    "2026-03-01T12:00:0{0}+00:00 mx postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[" + BOT + "]: 550 5.1.1 "
    "<a{0}@b.example>: Recipient address rejected: User unknown in virtual mailbox table; from=<x@y.example> "
    "to=<a{0}@b.example> proto=ESMTP helo=<h{0}>\n"
)
LOG = (
    f"2026-03-01T11:59:59+00:00 mx postfix/smtpd[1]: connect from unknown[{BOT}]\n"
    + "no log line\n"
    + "".join(_REJECT.format(number) for number in range(6))
).encode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_bytes(LOG)
    return path


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_parse_shows_every_line_in_order(log: Path, run: Run) -> None:
    result = run("parse", str(log), "--format", "postfix", "--json")
    assert result.exit_code == 0
    shown = lines(result.stdout)
    assert [line["line"] for line in shown] == list(range(1, 9))
    assert shown[0] | {"line": 1, "time": "2026-03-01T11:59:59Z", "ip": BOT, "event": "connect"} == shown[0]
    assert "rejected" in shown[1]
    assert shown[2]["reason"] == "unknown_recipient"


def test_parse_for_people(log: Path, run: Run) -> None:
    said = run("parse", str(log)).stdout.splitlines()
    assert said[0].startswith(f"1: 2026-03-01T11:59:59Z {BOT} connect")
    assert said[1].startswith("2: rejected: ")
    assert said[2].startswith(f"3: 2026-03-01T12:00:00Z {BOT} reject unknown_recipient")


def test_parse_reads_dates_in_the_zone_that_is_named(run: Run) -> None:
    line = b"2026-01-15T12:00:00 mx postfix/smtpd[1]: connect from unknown[185.44.9.20]\n"
    ndjson = b'{"time": "2026-01-15T12:00:00", "ip": "185.44.9.20", "event": "connect"}\n'
    for text, name in ((ndjson, "ndjson"), (line, "postfix")):
        shown = lines(
            run("parse", "-", "--format", name, "--timezone", "Europe/Vienna", "--json", stdin=text).stdout
        )
        assert shown[0].get("time") == "2026-01-15T11:00:00Z", (name, shown)


def test_replay_prints_each_change_of_verdict(log: Path, run: Run) -> None:
    result = run("replay", str(log), "--format", "postfix", "--json")
    assert result.exit_code == 0
    (line,) = lines(result.stdout)
    assert {"time", "ip", "class", "was", "confidence", "observations", "messages", "evidence"} <= set(line)
    assert (line["ip"], line["was"], line["class"]) == (BOT, "unknown", "bot")
    assert 3 <= int(str(line["messages"])) <= 6
    assert "8 records, 7 observations, 1 rejected; 1 changes of verdict" in result.stderr
    said = run("replay", str(log)).stdout
    assert f"{BOT}: unknown → bot" in said


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".zst", zstd.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
def test_compressed_files_read_alike(suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, run: Run) -> None:
    text = b"".join(simulate.mail_log(END))
    assert len(text) > 0.5 * CHUNK_BYTES
    plain, packed = tmp_path / "mail.log", tmp_path / f"mail.log{suffix}"
    plain.write_bytes(text * 2)
    packed.write_bytes(pack(text * 2))
    wanted = run("replay", str(plain), "--json").stdout
    assert len(lines(wanted)) > 10
    assert run("replay", str(packed), "--json").stdout == wanted
    assert run("replay", "-", "--json", stdin=text * 2).stdout == wanted


def test_portions_are_equal_however_a_pipe_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replay judges at the end of each: what it prints must not depend on who wrote how much at once."""
    reading, writing = os.pipe()
    text = bytes(range(256)) * (CHUNK_BYTES // 100)

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for start in range(0, len(text), 5000):
                pipe.write(text[start : start + 5000])

    with os.fdopen(reading, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        writer = threading.Thread(target=write)
        writer.start()
        portions = list(LogFile("-").chunks())
        writer.join()
    assert b"".join(portions) == text
    assert {len(portion) for portion in portions[:-1]} == {CHUNK_BYTES}


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd.compress)])
def test_a_damaged_file_is_told_in_one_line(
    suffix: str, pack: Callable[[bytes], bytes], tmp_path: Path, run: Run
) -> None:
    path = tmp_path / f"mail.log{suffix}"
    path.write_bytes(pack(LOG)[:-12])
    result = run("parse", str(path))
    assert result.exit_code == 1
    assert "damaged or cut short" in result.stderr
    assert result.stderr.count("\n") == 1


def test_replay_believes_what_is_declared(run: Run) -> None:
    flow = {"ip": BOT, "event": "flow", "dport": 25, "proto": "tcp"}
    seen = [flow | {"time": END + number, "dst": f"80.1.{number}.25"} for number in range(20)]
    flows = "\n".join(map(json.dumps, seen)).encode()
    words = ("replay", "-", "--format", "ndjson", "--json")
    assert [line["class"] for line in lines(run(*words, stdin=flows).stdout)] == []
    assert "bot" in [line["class"] for line in lines(run(*words, "--dynamic", "185.44.0.0/16", stdin=flows).stdout)]


def test_a_long_replay_shows_its_progress_on_a_terminal_only(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    line = b"2026-03-01T11:59:59+00:00 mx postfix/anvil[1]: statistics: nothing to see here\n"
    path.write_bytes(line * (LONG_BYTES // len(line) + 1))
    words = [sys.executable, "-m", "dnsbl.cli", "replay", str(path), "--format", "postfix"]
    ours, theirs = pty.openpty()
    try:
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, check=True)
        assert re.search(rb"\[#+-*\] +\d+%", os.read(ours, 65_536))
    finally:
        os.close(ours)
        os.close(theirs)
    piped = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, check=True)
    assert piped.stderr.count(b"\n") == 1
    assert b"[" not in piped.stderr


def test_what_is_no_log_is_told(run: Run) -> None:
    result = run("replay", "-", stdin=b"just some words\n")
    assert result.exit_code == 1
    assert "the format cannot be recognised" in result.stderr
