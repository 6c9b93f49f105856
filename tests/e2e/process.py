"""Child processes of the end-to-end tests: started in a group of their own, and always ended.

What is started here is ended by its own process id; nothing is ever ended by name.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

POLL_SECONDS = 0.02
STOP_SECONDS = 10.0


class Process:
    """A child in a session of its own, its output going to a file."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                cwd=directory, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The child's process id, which is its group's too."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child has not ended."""
        return self._child.returncode is None and not self._ended()

    def stop(self) -> int:
        """End the child politely, after a while its whole group by force; return its exit status."""
        deadline = time.monotonic() + STOP_SECONDS
        if self.running:
            self._child.terminate()
        while self.running and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.kill()
        return self._child.returncode

    def kill(self) -> None:
        """End the child's group as ``kill -9`` does."""
        if self._child.returncode is None:
            # Not reaped before, so the group's number cannot have become another's.
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def _ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Return as soon as ``ready()`` holds; fail with the child's own words if it ends or takes too long."""
        wait_until(ready, seconds, what, lambda: self.running, self.output)

    def output(self) -> str:
        """Return the end of what the child has said."""
        return self.log.read_text("utf-8", "replace")[-4000:]


def wait_until(
    ready: Callable[[], bool],
    seconds: float,
    what: str,
    alive: Callable[[], bool] = lambda: True,
    details: Callable[[], str] = lambda: "",
) -> None:
    """Poll ``ready`` until it holds.

    Raises:
        AssertionError: it did not hold within ``seconds``, or ``alive`` ceased to.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        assert alive(), f"{what}: the process ended:\n{details()}"
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s:\n{details()}"
        time.sleep(POLL_SECONDS)


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free for TCP and UDP alike on ``host``."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind((host, 0))
            port = int(tcp.getsockname()[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, suppress(OSError):
                udp.bind((host, port))
                return port
