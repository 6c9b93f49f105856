"""``vedette up``: the process, its banner and its demo, and who looks addresses up beside it."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl.cli.banner import SAMPLE_IP, banner
from dnsbl.cli.client import URL_FILE
from dnsbl.cli.up import TOKEN_FILE
from dnsbl.config import Config
from profiler import simulate
from tests.dnsbl.cli.conftest import Run

START_SECONDS = 30.0
STOP_SECONDS = 20.0
ROOT = Path(__file__).parents[3]
CONFIGURATION = "[dns]\nport = 0\n[http]\nport = 0\n[flow]\nport = 0\n"


class Up:
    """A server in a process of its own, on ports that the system chose."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"
        self._log = directory / "up.out"
        self._configuration = directory / "vedette.toml"
        self._configuration.write_text(CONFIGURATION)
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, *words: str, until: str = "Try at once:") -> str:
        """Start, and return what it printed by the time that it printed ``until``."""
        self._log.unlink(missing_ok=True)
        with self._log.open("wb") as output:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "dnsbl.cli", "up", "--config", str(self._configuration), "--data",
                 str(self.data), *words],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while until not in (said := self._log.read_text("utf-8")):
            assert self._child.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.05)
        return said

    def stop(self) -> int:
        """End it as Ctrl-C does; return its exit status."""
        assert self._child is not None
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
        try:
            return self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    server = Up(tmp_path)
    yield server
    server.stop()


def test_the_first_start_makes_a_feed_that_works_and_the_second_keeps_it(up: Up, run: Run, tmp_path: Path) -> None:
    said = up.start()
    token = (up.data / TOKEN_FILE).read_text().strip()
    assert (up.data / TOKEN_FILE).stat().st_mode & 0o777 == 0o600
    assert token in said
    url = (up.data / URL_FILE).read_text().strip()
    assert url in said
    log = tmp_path / "one.ndjson"
    log.write_text(json.dumps({"time": time.time(), "ip": "185.44.9.20", "event": "connect"}) + "\n")
    words = ("tail", str(log), "--feed", "default", "--token", token, "--once", "--data", str(up.data))
    assert run(*words).exit_code == 0

    deadline = time.monotonic() + START_SECONDS
    asked: dict[str, dict[str, int]] = {"profile": {}}
    while not asked["profile"] and time.monotonic() < deadline:
        asked = json.loads(run("lookup", "185.44.9.20", "--data", str(up.data), "--json").stdout)
    assert asked["profile"]["observations"] == 1
    # Two servers on one data directory would be a disaster.
    second = run("up", "--data", str(up.data))
    assert second.exit_code == 1
    assert "a running Vedette has this data directory" in second.stderr
    assert up.stop() == 0
    assert not (up.data / URL_FILE).exists()

    # Without a server the files are read, and say the same.
    read = json.loads(run("lookup", "185.44.9.20", "--data", str(up.data), "--json").stdout)
    assert read["profile"]["observations"] == 1
    assert "185.44.9.20: unknown" in run("lookup", "185.44.9.20", "--data", str(up.data)).stdout
    assert token in up.start()


def test_the_lines_to_try_at_once_work_as_they_stand(up: Up) -> None:
    lines = [line.strip() for line in up.start().partition("Try at once:")[2].splitlines()]
    tried = {
        word: shell(line) for line in lines for word in (line.partition(" ")[0],) if word and shutil.which(word)
    }
    if "dig" in tried:
        assert "test" in tried["dig"]
    if "curl" in tried:
        # The last of the two: what the first one posted is about this address.
        assert json.loads(tried["curl"])["ip"] == SAMPLE_IP
    posting = next(line for line in lines if "batches" in line)
    if shutil.which("curl"):
        assert json.loads(shell(posting))["observations"] == 1


def shell(line: str) -> str:
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=START_SECONDS, check=True)
    return done.stdout


def test_what_was_set_up_before_the_first_start_gets_no_feed_beside_it(up: Up, run: Run) -> None:
    run("feed", "add", "mx1", "--data", str(up.data))
    assert "token" not in up.start()
    assert [feed["name"] for feed in json.loads(run("feed", "list", "--data", str(up.data), "--json").stdout)] == [
        "mx1"
    ]


def test_the_demo_shows_bots_servers_and_dynamic_space(up: Up, run: Run) -> None:
    begun = time.monotonic()
    said = up.start("--demo", until="/infected")
    assert time.monotonic() - begun < START_SECONDS
    for host in simulate.BOTS:
        assert f"/ip/{host.address}  bot: judged bot" in said
    for host in simulate.SERVERS:
        assert f"/ip/{host.address}  mail server: judged mta" in said
    assert f"/ip/{simulate.CUSTOMERS[0].address}  customer's machine: judged dynamic" in said
    data = str(up.data / "demo")
    found = json.loads(run("lookup", simulate.BOTS[0].address, "--data", data, "--json").stdout)
    assert {listing["code"] for listing in found["listings"]} >= {"127.0.0.4", "127.0.0.10"}
    assert run("doctor", "--data", data).exit_code == 0
    assert not (up.data / TOKEN_FILE).exists(), "the sample must not mix with real data"


def test_a_port_that_is_taken_is_told_in_one_line(run: Run, tmp_path: Path, data: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = tmp_path / "vedette.toml"
        file.write_text(f"[dns]\nport = 0\n[flow]\nport = 0\n[http]\nport = {taken.getsockname()[1]}\n")
        child = subprocess.run(
            [sys.executable, "-m", "dnsbl.cli", "up", "--config", str(file), "--data", data],
            capture_output=True, text=True, cwd=ROOT, timeout=START_SECONDS, check=False,
        )  # fmt: skip
    assert child.returncode == 1
    assert child.stderr.count("\n") == 1, child.stderr
    assert "[http] port" in child.stderr


def test_the_banner_without_a_token_names_none() -> None:
    class Where:
        dns, flow, url = ("127.0.0.1", 5353), None, "http://127.0.0.1:8053"

    said = banner(Config(), [], Where(), None)
    assert "Bearer" not in said
    assert "flows" not in said
