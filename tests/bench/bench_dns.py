"""CPU a UDP query, beside rbldnsd and a bare echo, in one run: rounds of each in turn, as machines are noisy.

Run as ``python -m tests.bench.bench_dns [--listings N] [--rounds N] [--seconds N] [--json]``. The server runs on
core 0, dnsperf on core 1. CPU is user and system time of the server's process over the queries it answered; the
median of the rounds is printed. "all on" is Vedette with cookies, NSID and rate limiting, asked with EDNS and a
cookie. Needs Debian's rbldnsd, dnsperf and gcc; all traffic is on loopback.
"""

import argparse
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ORIGIN = "vedette.test"
ZONE = f"bl.{ORIGIN}"
QUERIES = 200_000
OUTSTANDING = 200
START_SECONDS = 60.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 0, 1
#: The second Vedette, with all that may be switched on, asked with EDNS and a client cookie (RFC 7873).
ALL_ON = "all on"
COOKIE_OPTIONS = ("-e", "-E", "10:0123456789abcdef")
UNREACHED_A_SECOND = 1_000_000
TOOLS = ("rbldnsd", "dnsperf", "gcc", "taskset")


def addresses(count: int, seed: int) -> npt.NDArray[np.uint32]:
    """Return distinct random unicast addresses in ascending order."""
    random = np.random.default_rng(seed)
    drawn = random.integers(0x0B000000, 0xDF000000, size=count + count // 8, dtype=np.uint32)
    outside = drawn[(drawn >> 24) != 127]
    return np.sort(random.permutation(np.unique(outside))[:count])


def dotted(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def write_queries(path: Path, listed: npt.NDArray[np.uint32]) -> None:
    """Write A queries, half of them for listed addresses."""
    random = np.random.default_rng(2)
    half = QUERIES // 2
    asked = np.concatenate([random.choice(listed, half), addresses(half, 3)])
    random.shuffle(asked)
    with path.open("w") as file:
        for value in asked.tolist():
            file.write(f"{'.'.join(reversed(dotted(value).split('.')))}.{ZONE} A\n")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def resident_mebibytes(pid: int) -> float:
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024  # type: ignore[index]


@contextmanager
def process(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    pinned = ["taskset", "-c", str(SERVER_CORE), *command]
    with subprocess.Popen(
        pinned, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options
    ) as server:
        try:
            yield server
        finally:
            server.kill()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answering(port: int) -> None:
    """Ask for the test point until it is answered."""
    query = b"\0\1\1\0\0\1\0\0\0\0\0\0\0012\0010\0010\003127" + b"".join(
        bytes([len(label)]) + label.encode() for label in ZONE.split(".")
    )
    end = time.monotonic() + START_SECONDS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        while time.monotonic() < end:
            try:
                client.sendto(query + b"\0\0\1\0\1", ("127.0.0.1", port))
                client.recv(512)
                return
            except OSError:
                time.sleep(0.05)
    raise SystemExit(f"nothing answers on port {port}")


@contextmanager
def rbldnsd(directory: Path, dataset: str) -> Iterator[tuple[int, int]]:
    port = free_port()
    listen = f"127.0.0.1/{port}"
    command = ["rbldnsd", "-n", "-b", listen, "-w", str(directory), f"{ZONE}:{dataset}:listed"]
    if os.geteuid() == 0:
        command[1:1] = ["-u", "nobody"]
    with process(command) as server:
        wait_until_answering(port)
        yield server.pid, port


@contextmanager
def vedette(directory: Path, *options: str) -> Iterator[tuple[int, int]]:
    command = [sys.executable, "-m", "tests.bench.bench_dns", "--serve", str(directory / "listed.npy"), *options]
    with process(command) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        wait_until_answering(port)
        yield server.pid, port


@contextmanager
def echo(directory: Path) -> Iterator[tuple[int, int]]:
    binary = directory / "echo"
    source = Path(__file__).with_name("echo.c.in")
    subprocess.run(["gcc", "-O2", "-o", str(binary), "-x", "c", str(source)], check=True)
    with process([str(binary)]) as server:
        assert server.stdout is not None
        yield server.pid, int(server.stdout.readline())


def serve(listed: Path, *, all_on: bool) -> None:
    """Answer from the addresses in a file until killed: the process that is measured.

    ``all_on``: with cookies, NSID and rate limiting, at a limit that the load does not reach.
    """
    from dnsbl.listing.codes import Layer
    from dnsbl.serve.udp import UdpServer
    from dnsbl.wire.rate import RateTable
    from dnsbl.zone.live import LiveZones
    from dnsbl.zone.manners import COOKIE_SECRET_BYTES, DEFAULT_MANNERS, Manners
    from dnsbl.zone.zone import load_zones, packaged_zones

    secret = os.urandom(COOKIE_SECRET_BYTES)
    manners = Manners(nsid=b"bench", cookie_secret=secret, cookie_rotates=True) if all_on else DEFAULT_MANNERS
    zones = load_zones(packaged_zones(), ORIGIN, "http://127.0.0.1")
    live = LiveZones(zones, public_url="http://127.0.0.1", manners=manners)
    live.load_columns(Layer.BOT, True, np.load(listed), "bench", 1_700_000_000)
    make_rates = (lambda: RateTable(UNREACHED_A_SECOND, 2, False)) if all_on else None
    server = UdpServer(live, "127.0.0.1", 0, make_rates=make_rates)
    server.start()
    print(server.port, flush=True)
    while True:
        time.sleep(3600)


def round_of(pid: int, port: int, queries: Path, seconds: float, more: Sequence[str]) -> dict[str, float]:
    """Ask for some seconds; return queries a second, CPU microseconds a query and the share that was lost."""
    before = cpu_seconds(pid)
    load = ["taskset", "-c", str(LOAD_CORE), "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", str(queries)]
    said = subprocess.run(
        [*load, "-l", str(seconds), "-q", str(OUTSTANDING), "-c", "4", "-t", "1", *more],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    used = cpu_seconds(pid) - before
    sent, completed = (int(re.search(rf"Queries {word}:\s+(\d+)", said)[1]) for word in ("sent", "completed"))  # type: ignore[index]
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", said)[1])  # type: ignore[index]
    return {"qps": rate, "us": used / completed * 1e6, "lost": 1 - completed / sent}


def measure(listings: int, rounds: int, seconds: float, dataset: str) -> dict[str, dict[str, float]]:
    """Return for each server the medians of its rounds, its memory and its ratio to rbldnsd and to the echo."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        listed = addresses(listings, 1)
        np.save(directory / "listed.npy", listed)
        with (directory / "listed").open("w") as file:
            file.write(":127.0.0.4:bot: bench; http://127.0.0.1/ip/$\n127.0.0.2\n")
            file.writelines(f"{dotted(value)}\n" for value in listed.tolist())
        write_queries(directory / "queries", listed)
        servers = {
            "rbldnsd": stack.enter_context(rbldnsd(directory, dataset)),
            "vedette": stack.enter_context(vedette(directory)),
            ALL_ON: stack.enter_context(vedette(directory, "--all-on")),
            "echo": stack.enter_context(echo(directory)),
        }
        results: dict[str, list[dict[str, float]]] = {server: [] for server in servers}
        for _ in range(rounds):
            for server, (pid, port) in servers.items():
                more = COOKIE_OPTIONS if server == ALL_ON else ()
                results[server].append(round_of(pid, port, directory / "queries", seconds, more))
        medians = {
            server: {key: statistics.median(one[key] for one in found) for key in ("qps", "us", "lost")}
            for server, found in results.items()
        }
        for server, (pid, _) in servers.items():
            medians[server]["mib"] = resident_mebibytes(pid)
            medians[server]["to_rbldnsd"] = medians[server]["us"] / medians["rbldnsd"]["us"]
            medians[server]["to_echo"] = medians[server]["us"] / medians["echo"]["us"]
        return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listings", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--dataset", choices=["ip4set", "ip4trie"], default="ip4set")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--all-on", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, all_on=options.all_on)
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise SystemExit(f"not installed: {', '.join(missing)}: run tests/install-peers.sh")
    found = measure(options.listings, options.rounds, options.seconds, options.dataset)
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{options.listings} listings, {options.dataset}; medians of {options.rounds} rounds of {options.seconds} s"
    )
    print(f"{'':10}{'queries/s':>12}{'CPU µs':>10}{'lost':>8}{'MiB':>8}{'/rbldnsd':>10}{'/echo':>8}")
    for server, one in found.items():
        print(
            f"{server:10}{one['qps']:12.0f}{one['us']:10.2f}{one['lost']:8.2%}{one['mib']:8.1f}"
            f"{one['to_rbldnsd']:10.2f}{one['to_echo']:8.2f}"
        )


if __name__ == "__main__":
    main()
