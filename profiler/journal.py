"""The journal: batches of observations, durable before they are acknowledged, each counted once.

Rows and their acknowledgement go in, in one transaction, under (feed, key): what is sent again is answered with the
first acknowledgement. One thread commits for all (group commit). The engine reads in the order of commits, by
number; any process may append, so a batch of the command line is read like any other.
"""

import contextlib
import queue
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from profiler.database import open_database
from profiler.errors import JournalError, JournalFullError
from profiler.observation import OBSERVATION, Rows

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GROUP_BATCHES = 64
ZSTD_LEVEL = 1
READ_BYTES = 64 << 20
MICROSECONDS = 1_000_000
#: What an error quotes of a record may be anything, a mail address too: its sender reads it, the disk does not.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


class Rejected(msgspec.Struct, frozen=True):
    """One record of a batch that could not be understood: its number from 1, and why."""

    line: int
    error: str


class Ack(msgspec.Struct, frozen=True):
    """What is promised of a batch: ``batch`` is its number in the journal."""

    batch: int
    records: int
    observations: int
    rejected: list[Rejected]
    rejected_count: int
    duplicate: bool = False


class Batch(NamedTuple):
    """A batch before it is journalled; ``own`` is whether its feed may list alone."""

    feed: str
    own: bool
    key: bytes
    rows: Rows
    records: int
    rejected: Sequence[tuple[int, str]]
    rejected_count: int


class Entry(NamedTuple):
    """A batch as the engine reads it; ``received`` in µs since 1970."""

    number: int
    feed: str
    own: bool
    received: int
    rows: Rows


_SCHEMA = """
create table if not exists journal (
    number integer primary key autoincrement,
    feed text not null,
    own integer not null,
    key blob not null,
    received integer not null,
    ack blob not null,
    rows blob,
    unique (feed, key)
)
"""


class Journal:
    """The journal in the data directory; appending may be done from any thread."""

    def __init__(self, data: Path, *, queue_bytes: int, read_only: bool = False) -> None:
        self._queue: queue.SimpleQueue[tuple[Batch, bytes, Future[Ack]] | None] = queue.SimpleQueue()
        self._queue_bytes = queue_bytes
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._reader = open_database(data, read_only=read_only).conn
        self._reader_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._thread: threading.Thread | None = None
        self.appended = threading.Event()
        if not read_only:
            self._reader.execute(_SCHEMA)
            self._writer = open_database(data).conn
            self._writer.isolation_level = None
            self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Commit what is queued and close."""
        if self._thread:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        with self._reader_lock:
            self._reader.close()

    def append(self, batch: Batch) -> Future[Ack]:
        """Queue a batch; the future is done when it is on the disk.

        Raises:
            JournalFullError: too much waits to be written already.
            JournalError: the journal is closed. The future raises it when the disk refuses.
        """
        if not self._thread:
            raise JournalError("the journal is closed: send this batch again when Vedette is up")
        packed = zstd.compress(batch.rows.tobytes(), ZSTD_LEVEL)
        with self._lock:
            if self._queued_bytes + len(packed) > self._queue_bytes and self._queued_bytes:
                raise JournalFullError("too many batches wait for the disk: send this one again later")
            self._queued_bytes += len(packed)
        future: Future[Ack] = Future()
        self._queue.put((batch, packed, future))
        return future

    def acknowledged(self, feed: str, key: bytes) -> Ack | None:
        """Return the acknowledgement that a batch got before, marked as duplicate, or None."""
        with self._reading():
            return _acknowledged(self._reader, feed, key)

    def read(self, after: int, limit: int) -> list[Entry]:
        """Return the entries that follow number ``after``, in order: at most ``limit``, and about READ_BYTES."""
        entries: list[Entry] = []
        held_bytes = 0
        with self._reading():
            for number, feed, own, received, packed in self._reader.execute(
                "select number, feed, own, received, rows from journal "
                "where number > ? and rows is not null order by number limit ?",
                (after, limit),
            ):
                rows = np.frombuffer(zstd.decompress(packed), OBSERVATION)
                entries.append(Entry(number, feed, bool(own), received, rows))
                held_bytes += rows.nbytes
                if held_bytes >= READ_BYTES:
                    break
        return entries

    def forget(self, upto: int, before: int) -> None:
        """Drop the rows of entries up to number ``upto``, and the keys of those received before ``before``.

        To be called when a checkpoint holds what those rows said. ``before`` is in µs since 1970.
        """
        with self._reading(), self._reader:
            self._reader.execute("delete from journal where number <= ? and received < ?", (upto, before))
            self._reader.execute("update journal set rows = null where number <= ? and rows is not null", (upto,))

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._reader_lock:
            try:
                yield
            except sqlite3.Error as error:
                raise JournalError(f"the journal cannot be used: {error}; check the disk") from None

    def _write_forever(self) -> None:
        while True:
            group = [self._queue.get()]
            with contextlib.suppress(queue.Empty):
                while group[-1] is not None and len(group) < GROUP_BATCHES:
                    group.append(self._queue.get_nowait())
            waiting = [item for item in group if item is not None]
            if waiting:
                self._commit(waiting)
            if group[-1] is None:
                break
        if self._writer:
            self._writer.close()

    def _commit(self, waiting: list[tuple[Batch, bytes, Future[Ack]]]) -> None:
        assert self._writer
        received = time.time_ns() // 1000
        try:
            self._writer.execute("begin immediate")
            acks = [_insert(self._writer, batch, packed, received) for batch, packed, _ in waiting]
            self._writer.execute("commit")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("rollback")
            for _, _, future in waiting:
                future.set_exception(JournalError(f"the journal cannot be written: {error}"))
        else:
            for (_, _, future), ack in zip(waiting, acks, strict=True):
                future.set_result(ack)
        with self._lock:
            self._queued_bytes -= sum(len(packed) for _, packed, _ in waiting)
        self.appended.set()


def _insert(connection: sqlite3.Connection, batch: Batch, packed: bytes, received: int) -> Ack:
    earlier = _acknowledged(connection, batch.feed, batch.key)
    if earlier:
        return earlier
    rejected = [Rejected(line, error) for line, error in batch.rejected]
    ack = Ack(0, batch.records, len(batch.rows), rejected, batch.rejected_count)
    kept = [Rejected(line, _QUOTED.sub("'…'", error)) for line, error in batch.rejected]
    on_disk = msgspec.json.encode(msgspec.structs.replace(ack, rejected=kept))
    number = connection.execute(
        "insert into journal (feed, own, key, received, ack, rows) values (?, ?, ?, ?, ?, ?)",
        (batch.feed, batch.own, batch.key, received, on_disk, packed),
    ).lastrowid
    assert number is not None
    return msgspec.structs.replace(ack, batch=number)


def _acknowledged(connection: sqlite3.Connection, feed: str, key: bytes) -> Ack | None:
    found = connection.execute("select number, ack from journal where feed = ? and key = ?", (feed, key)).fetchone()
    if not found:
        return None
    return msgspec.structs.replace(msgspec.json.decode(found[1], type=Ack), batch=found[0], duplicate=True)
