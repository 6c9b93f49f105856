"""The engine on one machine: journal → fold → judge → sink, and the checkpoint that makes a restart exact.

:class:`Profiles` is the part without time and files, which replay uses too; :class:`Engine` is the thread that
drives it from the journal.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from profiler.classify.judge import REJUDGE_SLOTS, Judge, Verdict
from profiler.errors import JournalError, SinkError
from profiler.journal import MICROSECONDS, Entry, Journal
from profiler.observation import Rows
from profiler.profile.checkpoint import FOREIGN, OWN, Checkpoints
from profiler.profile.record import Slots
from profiler.profile.table import Table
from profiler.sources.networks import DeclaredNetworks

log = logging.getLogger(__name__)

READ_ENTRIES = 16
POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
FOLD_ROWS = 65_536
#: How often an address may be judged within one batch: what so much evidence does not decide, more at once may.
JUDGED_RUNS = 17

Sink = Callable[[Sequence[Verdict]], None]


class Profiles:
    """The tables and their judge. Not for two threads at once."""

    def __init__(self, networks: DeclaredNetworks) -> None:
        self.tables = {OWN: Table(), FOREIGN: Table()}
        self.judge = Judge(self.tables[OWN], self.tables[FOREIGN], networks)

    def fold(
        self, rows: Rows, *, own: bool, now: int | None = None, not_before: int = 0
    ) -> Iterator[list[Verdict]]:
        """Fold rows and yield the verdicts that change, each as of the row that changed it.

        ``now`` (µs since 1970) is the time to judge at; None: the latest time among the rows so far, and
        ``not_before``.
        """
        table = self.tables[OWN if own else FOREIGN]
        data = np.ascontiguousarray(rows).view(np.uint8)
        if now is None:
            times = np.maximum(np.maximum.accumulate(rows["time"]), not_before)
        else:
            times = np.full(len(rows), now, np.int64)
        slots, last = table.fold(data)
        for patience in reversed(range(JUDGED_RUNS)):
            moments = times[last]
            if not own:
                slots, moments = self._own_slots(table, slots, moments)
            verdicts = self.judge.judge(slots, moments)
            if verdicts:
                yield verdicts
            if not table.waiting:
                break
            slots, last = table.resume(data, patient=patience > 1)

    def _own_slots(
        self, foreign: Table, slots: Slots, moments: npt.NDArray[np.int64]
    ) -> tuple[Slots, npt.NDArray[np.int64]]:
        own = self.tables[OWN]
        seen = foreign.columns(slots, 0)
        found = np.array([own.ensure(int(row["ip_hi"]), int(row["ip_lo"])) for row in seen], np.int64)
        return found[found >= 0].astype(np.uint32), moments[found >= 0]

    def rejudge(self, now: int) -> Iterator[list[Verdict]]:
        """Judge every address that has a class again, and yield the verdicts that changed by silence alone."""
        standing = self.tables[OWN].standing_slots()
        for start in range(0, len(standing), REJUDGE_SLOTS):
            verdicts = self.judge.judge(standing[start : start + REJUDGE_SLOTS], now)
            if verdicts:
                yield verdicts


class Engine:
    """The thread that folds what the journal holds, and checkpoints it.

    ``lock`` guards :attr:`profiles`: hold it to read them from another thread.
    """

    def __init__(
        self,
        data: Path,
        journal: Journal,
        networks: DeclaredNetworks,
        sink: Sink,
        *,
        checkpoint_seconds: float,
        rejudge_seconds: float,
        keep_keys_seconds: float,
    ) -> None:
        self.profiles = Profiles(networks)
        self.lock = threading.Lock()
        self.failure: str | None = None
        self._journal = journal
        self._sink = sink
        self._checkpoint_seconds = checkpoint_seconds
        self._rejudge_seconds = rejudge_seconds
        self._keep_keys_seconds = keep_keys_seconds
        self._checkpoints = Checkpoints(data)
        self.offset = self._saved = self._checkpoints.load(self.profiles.tables)
        self.profiles.judge.recount(_now())
        self._pending: list[list[Verdict]] = []
        #: How many rows of the entry after ``offset`` are folded: what goes wrong between slices counts none twice.
        self._folded_rows = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def catch_up(self) -> None:
        """Fold what the journal holds beyond the checkpoint."""
        while self._fold_some():
            pass

    def start(self) -> None:
        """Go on in the background."""
        self._thread.start()

    def close(self) -> None:
        """Close the files of an engine that was not started."""
        self._checkpoints.close()

    def stop(self) -> None:
        """Fold what was acknowledged, write a last checkpoint, and end; what fails, a restart makes good."""
        self._stop.set()
        self._journal.appended.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self.catch_up()
            self.checkpoint()
        finally:
            self.close()

    def declare(self, networks: DeclaredNetworks) -> None:
        """Take over changed declarations; addresses are judged by them when next seen or re-judged."""
        with self.lock:
            self.profiles.judge.networks = networks

    def checkpoint(self) -> None:
        """Write a checkpoint now. Raises what the sink raises, or JournalError: the disk refuses."""
        self._deliver()
        # Without the lock: only this thread changes the tables, and others may go on reading them.
        self._checkpoints.save(self.profiles.tables, self.offset)
        self._saved = self.offset
        self._journal.forget(self._saved, _now() - int(self._keep_keys_seconds * MICROSECONDS))

    def _run(self) -> None:
        next_checkpoint = time.monotonic() + self._checkpoint_seconds
        next_rejudge = time.monotonic() + self._rejudge_seconds
        more = True
        while not self._stop.is_set():
            if not more:
                self._journal.appended.wait(POLL_SECONDS)
                self._journal.appended.clear()
            try:
                self._deliver()
                more = self._fold_some()
                if time.monotonic() >= next_rejudge:
                    self._rejudge()
                    next_rejudge = time.monotonic() + self._rejudge_seconds
                if time.monotonic() >= next_checkpoint and self.offset != self._saved:
                    self.checkpoint()
                    next_checkpoint = time.monotonic() + self._checkpoint_seconds
                self.failure = None
            except (JournalError, SinkError) as error:
                # Nothing is lost: the journal keeps what was not folded, the queue what was not delivered.
                self.failure = str(error)
                log.error("engine: %s", error)
                self._stop.wait(RETRY_SECONDS)
            except BaseException as error:
                self.failure = f"the engine ended: {error!r}: start Vedette anew, and report this"
                raise

    def _fold_some(self) -> bool:
        entries = self._journal.read(self.offset, READ_ENTRIES)
        for entry in entries:
            self._fold_entry(entry)
        return bool(entries)

    def _fold_entry(self, entry: Entry) -> None:
        while True:
            rows = entry.rows[self._folded_rows : self._folded_rows + FOLD_ROWS]
            with self.lock:
                self._pending += self.profiles.fold(rows, own=entry.own, now=_now())
                self._folded_rows += len(rows)
                is_done = self._folded_rows == len(entry.rows)
                # Not before the last slice: a checkpoint between slices would count the first ones twice.
                if is_done:
                    self.offset, self._folded_rows = entry.number, 0
            self._deliver()
            if is_done:
                break

    def _deliver(self) -> None:
        # What the sink refuses waits here: no checkpoint says that it was done before it is.
        while self._pending:
            self._sink(self._pending[0])
            self._pending.pop(0)

    def _rejudge(self) -> None:
        with self.lock:
            self._pending += self.profiles.rejudge(_now())
        self._deliver()


def _now() -> int:
    return time.time_ns() // 1000
