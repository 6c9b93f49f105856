import contextlib
import os
import sqlite3
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from profiler.database import FILE_NAME, open_database
from profiler.errors import JournalError, JournalFullError
from profiler.journal import Batch, Journal, Rejected
from profiler.observation import Event, Rows, empty
from tests.profiler.rows import START, row

QUEUE_BYTES = 1 << 20
THREADS = 16
TMPFS_BYTES = 1 << 20


def batch(key: bytes, rows: Rows | None = None, *, feed: str = "mx", own: bool = True) -> Batch:
    rows = row("185.44.2.1", Event.MESSAGE) if rows is None else rows
    return Batch(feed, own, key, rows, len(rows) + 1, [(2, "no date")], 1)


def noise(count: int = 300) -> Rows:
    """Return rows that do not compress."""
    rows = empty(count)
    rows.view("u1")[:] = list(os.urandom(rows.nbytes))
    return rows


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(tmp_path, queue_bytes=QUEUE_BYTES)) as opened:
        yield opened


def test_a_batch_is_acknowledged_and_read(journal) -> None:
    ack = journal.append(batch(b"k")).result()
    assert (ack.records, ack.observations, ack.rejected_count, ack.duplicate) == (2, 1, 1, False)
    assert ack.rejected == [Rejected(2, "no date")]
    [entry] = journal.read(0, 10)
    assert (entry.number, entry.feed, entry.own) == (ack.batch, "mx", True)
    assert entry.rows.tobytes() == row("185.44.2.1", Event.MESSAGE).tobytes()
    assert entry.received > START
    assert journal.read(ack.batch, 10) == []


def test_a_foreign_feed_stays_foreign(journal) -> None:
    journal.append(batch(b"k", own=False)).result()
    assert journal.read(0, 10)[0].own is False


def test_what_is_sent_again_is_answered_with_the_first_acknowledgement(journal) -> None:
    assert journal.acknowledged("mx", b"k") is None
    first = journal.append(batch(b"k")).result()
    again = journal.append(batch(b"k", noise(7))).result()
    assert again.duplicate
    assert (again.batch, again.records, again.rejected) == (first.batch, first.records, first.rejected)
    assert journal.acknowledged("mx", b"k") == again
    other = journal.append(batch(b"k", feed="mx2")).result()
    assert not other.duplicate, "keys are each feed's own"
    assert len(journal.read(0, 10)) == 2


@pytest.mark.parametrize("quoted", ["'jane@x.example'", '"it\'s jane"', r"'a\'b jane'", '"', "'jane' and 'jane'"])
def test_what_an_error_quotes_is_told_but_not_kept(journal, quoted) -> None:
    made = batch(b"k")._replace(rejected=[(2, f"`ip`: {quoted} is no address")])
    assert journal.append(made).result().rejected[0].error == f"`ip`: {quoted} is no address"
    kept = journal.acknowledged("mx", b"k").rejected[0]
    assert kept.line == 2
    assert kept.error.startswith("`ip`: ")
    assert kept.error.endswith(" is no address")
    assert "jane" not in kept.error


def test_what_is_acknowledged_is_there_after_the_process_is_gone(journal, tmp_path) -> None:
    ack = journal.append(batch(b"k")).result()
    # Another connection sees only what is committed; closing the first is not needed for that.
    with contextlib.closing(Journal(tmp_path, queue_bytes=QUEUE_BYTES, read_only=True)) as other:
        assert [entry.number for entry in other.read(0, 10)] == [ack.batch]
        assert other.acknowledged("mx", b"k") is not None
        with pytest.raises(JournalError, match="closed"):
            other.append(batch(b"z"))


def test_sixteen_threads_get_numbers_in_the_order_of_reading_and_duplicates_count_once(journal) -> None:
    def send(number: int) -> list[int]:
        keys = [b"%d-%d" % (number, i) for i in range(20)] + [b"shared-%d" % i for i in range(20)]
        return [journal.append(batch(key)).result().batch for key in keys]

    with ThreadPoolExecutor(THREADS) as pool:
        numbers = list(pool.map(send, range(THREADS)))
    own = [number for found in numbers for number in found[:20]]
    shared = {tuple(found[20:]) for found in numbers}
    assert len(set(own)) == THREADS * 20
    assert len(shared) == 1, "each thread is told the number of the one that counts"
    for found in numbers:
        assert found[:20] == sorted(found[:20])
    read = []
    while entries := journal.read(read[-1] if read else 0, 33):
        read += [entry.number for entry in entries]
    assert read == sorted(set(own) | set(next(iter(shared))))


def test_too_much_that_waits_for_the_disk_is_refused_and_the_rest_is_kept(tmp_path) -> None:
    size = 2 * noise().nbytes
    with (
        contextlib.closing(Journal(tmp_path, queue_bytes=size)) as journal,
        contextlib.closing(open_database(tmp_path)) as blocker,
    ):
        blocker.conn.execute("begin immediate")
        waiting = []
        refused = ""
        while not refused and len(waiting) < 10:
            try:
                waiting.append(journal.append(batch(b"%d" % len(waiting), noise())))
            except JournalFullError as error:
                refused = str(error)
        assert "again later" in refused
        assert 1 <= len(waiting) <= 2
        blocker.conn.execute("rollback")
        assert [future.result().duplicate for future in waiting] == [False] * len(waiting)
        assert not journal.append(batch(b"after", noise())).result().duplicate


def test_a_batch_larger_than_the_queue_is_taken_when_nothing_waits(tmp_path) -> None:
    with contextlib.closing(Journal(tmp_path, queue_bytes=16)) as journal:
        assert journal.append(batch(b"k", noise())).result().observations == 300


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte; where none can be mounted, None."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "none", str(path)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def test_a_full_disk_fails_the_batch_writes_nothing_of_it_and_later_ones_go_in(small_disk: Path) -> None:
    with contextlib.closing(Journal(small_disk, queue_bytes=64 << 20)) as journal:
        kept = journal.append(batch(b"first")).result()
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(TMPFS_BYTES - (1 << 18)))
        with pytest.raises(JournalError, match="cannot be written"):
            journal.append(batch(b"large", noise(20_000))).result()
        assert journal.acknowledged("mx", b"large") is None
        assert [entry.number for entry in journal.read(0, 10)] == [kept.batch]
        ballast.unlink()
        later = journal.append(batch(b"later")).result()
        assert [entry.number for entry in journal.read(0, 10)] == [kept.batch, later.batch]


def test_a_refusal_of_the_disk_fails_all_that_shared_the_commit(journal, tmp_path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("create trigger no before insert on journal begin select raise(abort, 'disk I/O error'); end")
        for future in [journal.append(batch(b"%d" % number)) for number in range(3)]:
            with pytest.raises(JournalError, match="disk I/O error"):
                future.result()
        other.execute("drop trigger no")
    assert journal.read(0, 10) == []
    assert not journal.append(batch(b"0")).result().duplicate


def test_forgetting_drops_rows_but_keeps_keys(journal) -> None:
    first, second = (journal.append(batch(key)).result() for key in (b"one", b"two"))
    journal.forget(first.batch, before=0)
    assert [entry.number for entry in journal.read(0, 10)] == [second.batch]
    assert journal.append(batch(b"one")).result().duplicate


def test_keys_are_forgotten_when_they_are_old_and_numbers_are_never_used_again(journal) -> None:
    first, second = (journal.append(batch(key)).result() for key in (b"one", b"two"))
    received = journal.read(0, 1)[0].received
    journal.forget(second.batch, before=received + 3600 * 1_000_000)
    assert journal.acknowledged("mx", b"one") is None
    again = journal.append(batch(b"one")).result()
    assert not again.duplicate
    assert again.batch > second.batch > first.batch


def test_what_is_not_folded_is_never_forgotten(journal) -> None:
    ack = journal.append(batch(b"one")).result()
    journal.forget(ack.batch - 1, before=1 << 62)
    assert len(journal.read(0, 10)) == 1


def test_another_processes_batch_is_read_like_any_other(journal, tmp_path) -> None:
    journal.append(batch(b"one")).result()
    with contextlib.closing(Journal(tmp_path, queue_bytes=QUEUE_BYTES)) as other:
        other.append(batch(b"two")).result()
        assert other.append(batch(b"one")).result().duplicate
    assert [entry.number for entry in journal.read(0, 10)] == [1, 2]


def test_appending_wakes_the_reader(journal) -> None:
    journal.appended.clear()
    journal.append(batch(b"one"))
    assert journal.appended.wait(10)


def test_closing_commits_what_is_queued_and_refuses_the_rest(tmp_path) -> None:
    journal = Journal(tmp_path, queue_bytes=QUEUE_BYTES)
    futures = [journal.append(batch(b"%d" % number)) for number in range(100)]
    journal.close()
    assert all(future.done() for future in futures)
    with pytest.raises(JournalError, match="closed"):
        journal.append(batch(b"late"))
    with pytest.raises(JournalError, match="cannot be used"):
        journal.read(0, 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "journal"]


# The file.


def test_the_data_directory_is_private(journal, tmp_path) -> None:
    with contextlib.closing(open_database(tmp_path / "new")):
        assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_commit_is_on_the_disk_when_it_returns(tmp_path) -> None:
    with contextlib.closing(open_database(tmp_path)) as database:
        assert database.conn.execute("pragma journal_mode").fetchone()[0] == "wal"
        assert database.conn.execute("pragma synchronous").fetchone()[0] == 2  # FULL


def test_a_file_of_another_version_is_refused(tmp_path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
        other.execute("pragma user_version = 99")
    with pytest.raises(JournalError, match=r"version 99.*another data directory"):
        open_database(tmp_path)


def test_a_file_that_is_none_is_refused(tmp_path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        open_database(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="cannot be opened"):
        open_database(tmp_path / "file" / "data")
