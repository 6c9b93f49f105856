import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from profiler import engine as module
from profiler.address import parse_network
from profiler.classify.decide import FOREIGN_CEILING
from profiler.classify.evidence import Class
from profiler.classify.judge import Verdict
from profiler.engine import Engine, Profiles
from profiler.errors import JournalError, SinkError
from profiler.journal import Batch, Journal
from profiler.observation import Event, Reason, Rows, Sign, empty
from profiler.profile.checkpoint import FOREIGN, OWN, Checkpoints, dump
from profiler.sources.networks import Declaration, DeclaredNetworks, Use
from tests.profiler.rows import CUSTOMER, DAY, HOUR, MINUTE, SECOND, destination, join, key, row

NOW = time.time_ns() // 1000
BOT = "185.44.2.66"
UNKNOWN = {"reason": Reason.UNKNOWN_RECIPIENT}
WAIT_SECONDS = 10


class Machine:
    """A journal and an engine over one data directory, and what the sink was given."""

    def __init__(self, data: Path, networks: DeclaredNetworks | None = None, **seconds: float) -> None:
        self.data = data
        self.journal = Journal(data, queue_bytes=64 << 20)
        self.verdicts: list[Verdict] = []
        self.refuse = False
        self.told = threading.Event()
        self.engine = Engine(
            data,
            self.journal,
            networks or DeclaredNetworks(),
            self.sink,
            checkpoint_seconds=seconds.get("checkpoint", 3600),
            rejudge_seconds=seconds.get("rejudge", 3600),
            keep_keys_seconds=3600,
        )

    def sink(self, verdicts: Sequence[Verdict]) -> None:
        if self.refuse:
            raise SinkError("not now")
        self.verdicts += verdicts
        self.told.set()

    def post(self, *rows: Rows, feed: str = "mx", own: bool = True, key: bytes = b"") -> None:
        together = join(*rows)
        key = key or together.tobytes()
        self.journal.append(Batch(feed, own, key, together, len(together), [], 0)).result()

    def classes(self, ip: str = BOT) -> list[Class]:
        return [verdict.classes for verdict in self.verdicts if verdict.key == key(ip)]

    def profiles(self) -> bytes:
        return b"".join(self.engine.profiles.tables[tier].profiles().tobytes() for tier in (OWN, FOREIGN))

    def close(self) -> None:
        self.journal.close()


@contextlib.contextmanager
def machine(data: Path, **more: float) -> Iterator[Machine]:
    opened = Machine(data, **more)
    try:
        yield opened
    finally:
        opened.close()


def misdeeds(count: int = 8, ip: str = BOT, at: int = NOW) -> list[Rows]:
    return [row(ip, Event.REJECT, at=at + i, signs=CUSTOMER, **UNKNOWN) for i in range(count)]


def test_a_bot_is_told_to_the_sink_while_the_batch_is_folded(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(*misdeeds(50))
        it.engine.catch_up()
        [verdict] = it.verdicts
        assert verdict.classes & Class.BOT
        assert verdict.messages <= 7, "the verdict falls at the message that condemns, not at the batch's end"
        assert it.engine.offset == 1


def entries() -> list[tuple[bool, Rows]]:
    """Return batches whose sum depends on everything: joins, tiers, pardons, declared and good mail."""
    made = []
    for number in range(12):
        at = NOW - (12 - number) * HOUR
        queue = (number + 1) << 33
        own = number % 4 != 3
        parts = [
            *misdeeds(number, f"185.44.3.{number // 2}", at),
            row(f"185.44.4.{number}", Event.MESSAGE, at, queue=queue, signs=Sign.OPENS, count=3),
            row("", Event.BOUNCE, at + MINUTE, queue=queue - (1 << 33), **UNKNOWN),
            row("2a00:1450:4:1::25", Event.CONNECT, at, helo=number * 0x1234_5678_9ABC),
        ]
        if number == 7:
            parts.append(row("185.44.3.1", Event.PARDON, at))
        made.append((own, join(*parts)))
    return made


def post_entry(it: Machine, number: int) -> None:
    own, rows = entries()[number]
    it.post(rows, own=own, key=b"%d" % number)


def test_killed_anywhere_the_profiles_are_those_of_an_uninterrupted_run(tmp_path) -> None:
    with machine(tmp_path / "whole") as whole:
        for number in range(12):
            post_entry(whole, number)
        whole.engine.catch_up()
        expected = whole.profiles()
        whole.engine.checkpoint()
    assert dump(tmp_path / "whole") == expected
    deaths = []
    with machine(tmp_path / "lived") as lived:
        for number in range(12):
            post_entry(lived, number)
            deaths.append(_copy(lived.data, tmp_path / f"journalled{number}", number + 1))
            lived.engine.catch_up()
            deaths.append(_copy(lived.data, tmp_path / f"folded{number}", number + 1))
            if number % 3 == 2:
                lived.engine.checkpoint()
                deaths.append(_copy(lived.data, tmp_path / f"saved{number}", number + 1))
    for data, number in deaths:
        with machine(data) as revived:
            for later in range(max(number - 3, 0), 12):  # the sender repeats what it may have lost
                post_entry(revived, later)
            revived.engine.catch_up()
            assert revived.profiles() == expected, data.name
            revived.engine.checkpoint()
        assert dump(data) == expected, data.name


def _copy(data: Path, to: Path, posted: int) -> tuple[Path, int]:
    shutil.copytree(data, to)
    return to, posted


def test_a_restart_folds_only_what_the_checkpoint_does_not_hold(tmp_path) -> None:
    with machine(tmp_path) as it:
        post_entry(it, 0)
        it.engine.catch_up()
        it.engine.checkpoint()
        assert it.journal.read(0, 10) == [], "rows that a checkpoint holds are dropped"
        post_entry(it, 1)
    with machine(tmp_path) as it:
        assert it.engine.offset == 1
        it.engine.catch_up()
        assert it.engine.offset == 2


def test_what_the_sink_refuses_is_kept_and_no_checkpoint_claims_it(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(*misdeeds())
        it.refuse = True
        with pytest.raises(SinkError):
            it.engine.catch_up()
        with pytest.raises(SinkError):
            it.engine.checkpoint()
        shutil.copytree(tmp_path, tmp_path / "killed")
        it.refuse = False
        it.engine.checkpoint()
        assert it.classes() == [Class.BOT]
    with machine(tmp_path / "killed") as it:
        assert it.engine.offset == 0
        it.engine.catch_up()
        assert it.classes() == [Class.BOT], "made again from the journal"


def test_a_refusal_between_slices_of_a_batch_counts_nothing_twice(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "FOLD_ROWS", 4)
    rows = [*misdeeds(10), *(row("185.44.2.1", Event.MESSAGE, at=NOW) for _ in range(11))]
    with machine(tmp_path) as it:
        it.post(*rows)
        it.refuse = True
        for _ in range(3):
            with pytest.raises(SinkError):
                it.engine.catch_up()
        it.refuse = False
        it.engine.catch_up()
        assert it.engine.profiles.tables[OWN].folded == len(rows)
        assert it.engine.offset == 1
        assert it.classes() == [Class.BOT]


def test_no_checkpoint_stands_within_a_batch(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "FOLD_ROWS", 4)
    with machine(tmp_path) as it:
        it.post(*misdeeds(10))
        it.refuse = True
        with pytest.raises(SinkError):
            it.engine.catch_up()
        assert (it.engine.profiles.tables[OWN].folded, it.engine.offset) == (4, 0)


def test_an_empty_batch_moves_the_offset(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(empty())
        it.engine.catch_up()
        assert it.engine.offset == 1


def test_in_the_background_it_folds_checkpoints_and_ends_with_all_done(tmp_path) -> None:
    with machine(tmp_path, checkpoint=0.01, rejudge=0.01) as it:
        it.engine.start()
        it.post(*misdeeds())
        assert it.told.wait(WAIT_SECONDS)
        post_entry(it, 5)
        it.engine.stop()
        assert it.engine.failure is None
        expected = it.profiles()
    assert dump(tmp_path) == expected
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        assert checkpoints.load(Profiles(DeclaredNetworks()).tables) == 2


def test_it_checkpoints_while_batches_never_cease(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "READ_ENTRIES", 1)
    with machine(tmp_path, checkpoint=0.001) as it:
        ceased = threading.Event()

        def flood() -> None:
            for number in range(2000):
                if ceased.is_set():
                    break
                it.post(row("185.44.2.1", Event.MESSAGE, at=NOW), key=b"f%d" % number)

        flooding = threading.Thread(target=flood)
        flooding.start()
        it.engine.start()
        try:
            _until(lambda: _saved_offset(tmp_path) > 0)
        finally:
            ceased.set()
            flooding.join()
            it.engine.stop()


def _saved_offset(data: Path) -> int:
    with contextlib.closing(Checkpoints(data, read_only=True)) as checkpoints:
        return checkpoints.load({})


def _until(holds) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def test_a_refusing_sink_is_told_as_failure_and_overcome(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    with machine(tmp_path) as it:
        it.refuse = True
        it.engine.start()
        it.post(*misdeeds())
        _until(lambda: it.engine.failure == "not now")
        it.refuse = False
        assert it.told.wait(WAIT_SECONDS)
        _until(lambda: it.engine.failure is None)
        it.engine.stop()


def test_what_ends_the_engine_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda arguments: None)

    def broken(verdicts: Sequence[Verdict]) -> None:
        raise RuntimeError("a defect")

    with machine(tmp_path) as it:
        monkeypatch.setattr(it.engine, "_sink", broken)
        it.engine.start()
        it.post(*misdeeds())
        _until(lambda: "a defect" in (it.engine.failure or ""))


def test_a_journal_that_cannot_be_read_is_an_error_that_passes(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.close()
        with pytest.raises(JournalError, match="cannot be used"):
            it.engine.catch_up()


# Whose word counts: DESIGN §5.3.


def many_reports(ip: str = BOT) -> list[Rows]:
    return [
        *misdeeds(100, ip),
        row(ip, Event.TRAP, at=NOW, count=50),
        *(row(ip, Event.FLOW, at=NOW, proto=6, dport=25, target=destination(i)) for i in range(40)),
        *(row(ip, Event.CONNECT, at=NOW, helo=destination(i)) for i in range(20)),
    ]


def test_feeds_of_others_alone_never_list(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(*many_reports(), own=False)
        it.engine.catch_up()
        assert it.verdicts == []
        explained = it.engine.profiles.judge.explain(key(BOT), NOW)
        assert explained
        [said] = [item for item in explained.evidence if item.name == "other_feeds"]
        assert said.weight == FOREIGN_CEILING


def test_they_corroborate_what_our_own_saw(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(*misdeeds(2))
        it.engine.catch_up()
        assert it.verdicts == [], "two failures are not enough alone"
        it.post(*many_reports(), own=False)
        it.engine.catch_up()
        assert it.classes() == [Class.BOT]


def test_reserved_space_is_never_judged(tmp_path) -> None:
    reserved = ("10.1.2.3", "127.0.0.1", "192.168.1.1", "100.64.0.9", "::1", "fe80::1", "2001:db8::1")
    with machine(tmp_path) as it:
        for ip in reserved:
            it.post(*many_reports(ip), key=ip.encode())
            it.post(*many_reports(ip), key=ip.encode() + b"f", own=False)
        it.engine.catch_up()
        assert it.verdicts == []
        assert it.profiles() == b""


# Time and declarations.


def test_a_silent_bot_comes_off_when_its_verdict_said_it_would() -> None:
    profiles = Profiles(DeclaredNetworks())
    [verdict] = [found for group in profiles.fold(join(*misdeeds(6)), own=True) for found in group]
    assert verdict.classes & Class.BOT
    clears = verdict.time + int(verdict.clears_after * SECOND)
    assert list(profiles.rejudge(clears - DAY)) == []
    [[off]] = list(profiles.rejudge(clears + DAY))
    assert (off.key, off.was, off.classes) == (key(BOT), Class.BOT, Class(0))
    assert list(profiles.rejudge(clears + 2 * DAY)) == []


def test_a_changed_declaration_holds_when_the_address_is_next_judged(tmp_path) -> None:
    with machine(tmp_path) as it:
        it.post(row("185.44.2.1", Event.CONNECT, at=NOW))
        it.engine.catch_up()
        assert it.verdicts == []
        it.engine.declare(DeclaredNetworks([Declaration(parse_network("185.44.2.0/24"), Use.DYNAMIC)]))
        it.post(row("185.44.2.1", Event.CONNECT, at=NOW + 1))
        it.engine.catch_up()
        assert it.classes("185.44.2.1") == [Class.DYNAMIC | Class.DECLARED]
