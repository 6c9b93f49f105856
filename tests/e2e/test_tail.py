"""``vedette tail`` delivers each line of a log once, through rotation, truncation and its own restarts."""

import datetime
import shutil
from pathlib import Path

import pytest

from tests.e2e.maillog import MailLog
from tests.e2e.process import Process, wait_until
from tests.e2e.server import Vedette

pytestmark = pytest.mark.e2e

SEED = 5
SESSIONS_A_BATCH = 12
CAUGHT_UP_SECONDS = 20.0


class Log:
    """A growing log file that remembers all that was ever written to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.everything = b""
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
        self._lines = MailLog(SEED, start, SESSIONS_A_BATCH)
        self._marks = 0
        path.touch()

    def write(self, path: Path | None = None) -> None:
        """Append a batch of lines, in two writes that cut a line in half."""
        batch = self._lines.batch()
        half = len(batch) // 2
        for part in (batch[:half], batch[half:]):
            with (path or self.path).open("ab") as file:
                file.write(part)
        self.everything += batch

    def rotate(self) -> Path:
        """Move the file to ``.1``, and what was there to ``.2``, as logrotate does; return where it went."""
        first, second = (self.path.with_name(f"{self.path.name}.{number}") for number in (1, 2))
        if first.exists():
            first.rename(second)
        return self.path.rename(first)

    def mark(self, path: Path | None = None) -> str:
        """Append a line about an address not seen before, and return the address."""
        self._marks += 1
        address = f"91.198.1.{self._marks}"
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
        line = f"{now} mx postfix/smtpd[1]: connect from unknown[{address}]\n".encode()
        with (path or self.path).open("ab") as file:
            file.write(line)
        self.everything += line
        return address


def test_tail_loses_and_doubles_nothing(tmp_path: Path) -> None:
    followed = Vedette(tmp_path / "followed")
    posted = Vedette(tmp_path / "posted")
    log = Log(tmp_path / "mail.log")
    try:
        followed.start()
        token = followed.add_feed("mx")
        followed.stop()
        shutil.copytree(followed.data, posted.data)
        followed.start()

        _follow(followed, log, token)
        followed.stop()

        posted.start()
        status, answer = posted.post_batch("mx", token, log.everything, "all")
        assert status == 202, answer
        assert answer["observations"] > 0
        posted.stop()
        assert followed.dump() == posted.dump()
    finally:
        followed.close()
        posted.close()


def _follow(server: Vedette, log: Log, token: str) -> None:
    log.write()
    tail = server.tail(log.path, "mx", token)
    log.write()
    _wait_for(server, log, tail)

    # Rotation: the old file gets its last lines after it was renamed, some after the new one is being read.
    old = log.rotate()
    log.write(old)
    log.write()
    _wait_for(server, log, tail)
    log.write(old)
    _wait_for(server, log, tail, old)

    # Truncation in place (copytruncate), the new text shorter than the old.
    with log.path.open("r+b") as file:
        file.truncate(0)
    log.write()
    _wait_for(server, log, tail)

    # Ended politely: written to and rotated while nobody follows.
    tail.stop()
    log.write()
    log.rotate()
    log.write()
    tail = server.tail(log.path, "mx", token)
    _wait_for(server, log, tail)

    # Ended by force, at rest and in the middle of delivering.
    tail.kill()
    log.write()
    tail = server.tail(log.path, "mx", token)
    log.write()
    tail.kill()
    tail = server.tail(log.path, "mx", token)
    _wait_for(server, log, tail)

    # The server goes away and comes back: what is written meanwhile waits.
    server.kill()
    log.write()
    server.start()
    log.write()
    _wait_for(server, log, tail)
    tail.stop()


def _wait_for(server: Vedette, log: Log, tail: Process, path: Path | None = None) -> None:
    """Return once everything written to the file so far has arrived."""
    address = log.mark(path)
    wait_until(
        lambda: server.lookup(address)["profile"].get("observations", 0) > 0, CAUGHT_UP_SECONDS,
        "the log's last line has arrived", lambda: tail.running, tail.output,
    )  # fmt: skip
