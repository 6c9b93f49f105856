"""The real ``vedette`` command as the tests run it: a server in a data directory, and whoever talks to it."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.e2e.process import Process, free_port

ROOT = Path(__file__).parents[2]
#: The installed command of this environment; where only the tree is there, the same from its package.
SCRIPT = Path(sys.executable).with_name("vedette")
VEDETTE = (str(SCRIPT),) if SCRIPT.exists() else (sys.executable, "-m", "dnsbl.cli")
START_SECONDS = 30.0
COMMAND_SECONDS = 60.0
REQUEST_SECONDS = 30.0
ORIGIN = "vedette.test"

CONFIGURATION = """\
origin = "{origin}"
data = "{data}"
log_level = "info"
[dns]
port = {dns}
[http]
port = {http}
[flow]
port = {flow}
[intake]
checkpoint_seconds = {checkpoint_seconds}
"""

Reply = tuple[int, Any]


class Vedette:
    """One data directory and the server that runs on it, which may be ended and started again."""

    def __init__(self, directory: Path, *, checkpoint_seconds: float = 10.0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.data = directory / "data"
        self.dns_port, self.http_port, self.flow_port = free_port(), free_port(), free_port()
        self._configuration = directory / "vedette.toml"
        self._configuration.write_text(
            CONFIGURATION.format(
                origin=ORIGIN, data=self.data, dns=self.dns_port, http=self.http_port, flow=self.flow_port,
                checkpoint_seconds=checkpoint_seconds,
            )
        )  # fmt: skip
        self._server: Process | None = None
        self._children: list[Process] = []

    @property
    def url(self) -> str:
        """Where its HTTP API is."""
        return f"http://127.0.0.1:{self.http_port}"

    def configure(self, more: str) -> None:
        """Add to the configuration; before the start."""
        with self._configuration.open("a") as file:
            file.write(more)

    # Its life

    def start(self, *, wait: bool = True) -> None:
        """Start ``vedette up``; return when it is ready, or at once."""
        self._server = self._spawn("server.log", "up", "--config", str(self._configuration))
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Return when the server says that it is ready."""
        assert self._server is not None
        self._server.wait_until(self._is_ready, START_SECONDS, "Vedette is ready")

    def kill(self) -> None:
        """End the server as ``kill -9`` does."""
        assert self._server is not None
        self._server.kill()

    def stop(self) -> None:
        """End the server politely; it has to leave with status 0."""
        assert self._server is not None
        status = self._server.stop()
        assert status == 0, f"vedette up ended with {status}:\n{self._server.output()}"

    def close(self) -> None:
        """End everything that was started here, whatever its state."""
        for child in self._children:
            child.stop()

    def server_log(self) -> str:
        """Return the end of what the server said."""
        return (self.directory / "server.log").read_text("utf-8", "replace")[-4000:]

    # Its commands

    def command(self, *arguments: str) -> bytes:
        """Run ``vedette`` on the data directory and return what it prints; it has to succeed."""
        done = subprocess.run(
            [*VEDETTE, *arguments, "--data", str(self.data)],
            cwd=ROOT, env=_environment(), capture_output=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"vedette {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout

    def add_feed(self, name: str, format: str = "postfix") -> str:
        """Add a feed and return its token."""
        return str(json.loads(self.command("feed", "add", name, "--format", format, "-o", "json"))["token"])

    def add_isp(self, name: str, *networks: str) -> str:
        """Add an ISP and return its token."""
        options = [word for network in networks for word in ("--network", network)]
        return str(json.loads(self.command("isp", "add", name, *options, "-o", "json"))["token"])

    def tail(self, log: Path, feed: str, token: str) -> Process:
        """Start ``vedette tail`` on a log; it is ended by :meth:`close` at the latest."""
        return self._spawn(
            "tail.log", "tail", str(log), "--feed", feed, "--token", token, "--url", self.url,
            "--data", str(self.data),
        )  # fmt: skip

    def dump(self) -> bytes:
        """Return all profiles as bytes, ordered by address, of a server that was stopped."""
        return self.command("profile", "dump")

    # Its API

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Ask the API once.

        Returns:
            The status and the decoded JSON (None for an empty body).

        Raises:
            OSError, http.client.HTTPException: the server is away, or went away while answering.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=REQUEST_SECONDS)
        try:
            sent = dict(headers or {})
            if token:
                sent["Authorization"] = f"Bearer {token}"
            connection.request(method, path, body or None, sent)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return response.status, json.loads(text) if text else None

    def post_batch(self, feed: str, token: str, body: bytes, key: str) -> Reply:
        """Post one batch under an idempotency key."""
        headers = {"Idempotency-Key": key, "Content-Type": "text/plain"}
        return self.request("POST", f"/v1/feeds/{feed}/batches", token=token, body=body, headers=headers)

    def lookup(self, address: str) -> dict[str, Any]:
        """Return what is known of an address."""
        status, answer = self.request("GET", f"/v1/ip/{address}")
        assert status == 200, answer
        return dict(answer)

    def infected(self, network: str, token: str) -> Reply:
        """Ask for the infected addresses of a prefix."""
        return self.request("GET", f"/v1/networks/{quote(network, safe='')}/infected", token=token)

    def _spawn(self, log: str, *arguments: str) -> Process:
        child = Process([*VEDETTE, *arguments], self.directory / log, _environment(), ROOT)
        self._children.append(child)
        return child

    def _is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException, ValueError):
            return self.request("GET", "/readyz")[0] == 200
        return False


def _environment() -> dict[str, str]:
    """Return the environment without Vedette's own keys, which would win over the configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VEDETTE_")}
