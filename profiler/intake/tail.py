"""Follows a growing log file through rotation, truncation and the follower's own restarts.

In: the file that a path names, and whatever it named before. Out: portions of whole lines, each with a key that the
same bytes of the same file always get. Knows nothing of where portions go; the clock is passed in.

Rules:

1. A portion's range is on the disk before the portion is handed out. So after kill -9 the very same portion is
   handed out again, with the same key, and whoever takes it can tell that it had it.
2. A file that was rotated away is read to its end, and then watched for a while: its writer may not know yet.
3. A file that became shorter, or that begins otherwise than before, was truncated: it is read from its start.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from profiler.errors import ProfilerError

PORTION_BYTES = 1 << 20
#: So much of a file's start tells it from another that got the same inode.
HEAD_BYTES = 512
#: How long a rotated file is watched for late lines, after which an unfinished last line counts as one.
LATE_SECONDS = 10.0
#: Files read at a time: the current one, and those rotated away while nobody took their lines.
FILES_MAX = 64

log = logging.getLogger(__name__)


class TailError(ProfilerError):
    """A file cannot be followed: somebody else does, or the state is damaged or cannot be written."""


class Portion(NamedTuple):
    """Whole lines, at most :data:`PORTION_BYTES` of them unless one line alone is longer."""

    data: bytes
    #: Equal for equal bytes at the same place of the same file.
    key: str


class _Place(msgspec.Struct):
    """How far a file was read; as saved. ``end`` > ``offset``: a portion was handed out and not yet taken."""

    # Without the device, whose number may be another after a restart of the machine.
    inode: int
    offset: int = 0
    end: int = 0
    head: str = ""
    head_bytes: int = 0


class _Opened:
    """An open file and its place."""

    def __init__(self, path: Path, place: _Place | None = None) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.place = place or _Place(os.fstat(self.descriptor).st_ino)
        self.left_at: float | None = None

    def close(self) -> None:
        os.close(self.descriptor)

    def is_same_text(self) -> bool:
        """Whether the file still holds what was read of it."""
        place = self.place
        return (
            os.fstat(self.descriptor).st_size >= max(place.offset, place.end)
            and self._digest(place.head_bytes) == place.head
        )

    def restart(self) -> None:
        self.place = _Place(self.place.inode)

    def note_head(self) -> None:
        place = self.place
        if place.head_bytes < HEAD_BYTES:
            place.head_bytes = min(place.end, HEAD_BYTES)
            place.head = self._digest(place.head_bytes)

    def _digest(self, length: int) -> str:
        head = os.pread(self.descriptor, length, 0)
        return hashlib.blake2b(head, digest_size=16).hexdigest() if length else ""

    def next_range(self, *, final: bool) -> int:
        """Return where the next portion ends: after the last whole line, or where it ends already."""
        place = self.place
        if place.end > place.offset:
            return place.end
        data = os.pread(self.descriptor, PORTION_BYTES, place.offset)
        length = data.rfind(b"\n") + 1
        if not length and (final or len(data) == PORTION_BYTES):
            length = len(data)
        return place.offset + length

    def read(self) -> bytes:
        return os.pread(self.descriptor, self.place.end - self.place.offset, self.place.offset)


class Follower:
    """Follows ``path``; its places are kept in the file ``state``, whose directory must exist.

    ``from_end``: where nothing is kept yet, only what is written from now on.

    Raises:
        TailError: another follower has this state, or it is damaged or cannot be written.
    """

    def __init__(self, path: Path, state: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._state = state
        self._lock = _lock(state)
        self._saved = b""
        self._files: list[_Opened] = []
        self._handed: _Opened | None = None
        try:
            places = self._load()
        except TailError:
            os.close(self._lock)
            raise
        if places:
            self._find(places)
        elif from_end:
            self._start_at_end()

    def close(self) -> None:
        """Close the files; what was taken is kept. May be called twice."""
        if self._lock < 0:
            return
        try:
            self._save()
        finally:
            for file in self._files:
                file.close()
            os.close(self._lock)
            self._lock = -1

    def look(self, now: float) -> None:
        """Notice whether the path names another file; to be called now and then while nothing can be taken.

        ``now`` in seconds of any steady clock.
        """
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return  # between the two steps of a rotation, or not there yet
        if len(self._files) >= FILES_MAX or any(file.place.inode == inode for file in self._files):
            return
        for file in self._files:
            file.left_at = now if file.left_at is None else file.left_at
        with contextlib.suppress(FileNotFoundError):
            self._files.append(_Opened(self._path))

    def next(self, now: float) -> Portion | None:
        """Return the next portion, or None if nothing was written; the same again until :meth:`done`.

        Raises:
            TailError: the state cannot be written.
        """
        self.look(now)
        for file in list(self._files):
            late = file.left_at is not None and now - file.left_at > LATE_SECONDS
            if not file.is_same_text():
                log.warning("%s was truncated: reading it from its start", self._path)
                file.restart()
            end = file.next_range(final=late)
            if end > file.place.offset:
                file.place.end = end
                file.note_head()
                self._save()
                self._handed = file
                data = file.read()
                return Portion(data, _key(file.place, data))
            if late and file is not self._files[-1]:
                file.close()
                self._files.remove(file)
        self._save()
        return None

    def done(self) -> None:
        """Say that the portion last handed out was taken: the next one follows it."""
        if self._handed is not None:
            self._handed.place.offset = self._handed.place.end
            self._handed = None

    # The state

    def _load(self) -> list[_Place]:
        try:
            self._saved = self._state.read_bytes()
        except FileNotFoundError:
            return []
        try:
            return msgspec.json.decode(self._saved, type=list[_Place])
        except msgspec.MsgspecError as error:
            raise TailError(f"{self._state}: damaged ({error}): remove it to read from the start again") from None

    def _save(self) -> None:
        text = msgspec.json.encode([file.place for file in self._files])
        if text == self._saved:
            return
        beside = self._state.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._state)
        except OSError as error:
            raise TailError(f"{self._state}: cannot be written: {error.strerror}") from None
        self._saved = text

    # After a restart

    def _find(self, places: list[_Place]) -> None:
        """Open the files that were being read, wherever they were moved, and those rotated away since."""
        wanted = {place.inode: place for place in places}
        oldest = None
        for path, stat in _siblings(self._path):
            place = wanted.pop(stat.st_ino, None)
            if place is None and (oldest is None or path == self._path):
                continue  # rotated away before what was read last, or still to be looked at
            file = _Opened(path, place)
            if place is not None and not file.is_same_text() and path != self._path:
                file.close()  # another file that got the inode
                wanted[place.inode] = place
                continue
            oldest = oldest or stat.st_mtime_ns
            self._files.append(file)
        for place in wanted.values():
            log.warning(
                "a rotated file of %s is gone or was compressed: what was written to it after byte %d is lost",
                self._path, place.offset,
            )  # fmt: skip

    def _start_at_end(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            file = _Opened(self._path)
            size = os.fstat(file.descriptor).st_size
            file.place.offset = file.place.end = size
            file.note_head()
            self._files.append(file)


def _siblings(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the file and what it was rotated to, in the order in which they were last written to."""
    found = []
    for candidate in path.parent.iterdir():
        rest = candidate.name.removeprefix(path.name)
        is_rotated = candidate.name.startswith(path.name) and rest[:1] in (".", "-") and rest[1:].isdigit()
        if candidate == path or is_rotated:
            with contextlib.suppress(FileNotFoundError):
                found.append((candidate, candidate.stat()))
    yield from sorted(found, key=lambda item: (item[0] == path, item[1].st_mtime_ns))


def _key(place: _Place, data: bytes) -> str:
    where = f"{place.inode}:{place.offset}:".encode()
    return hashlib.blake2b(where + data, digest_size=16).hexdigest()


def _lock(state: Path) -> int:
    path = state.with_suffix(".lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise TailError(f"{path}: cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise TailError(f"{state}: another `vedette tail` follows this file for this feed") from None
    return descriptor
