"""Lines a second of Postfix logs parsed and folded into profiles, beside a naive regular expression and a dict.

Run: ``taskset -c 1 python tests/bench/bench_fold.py [lines]``. The figure is the best of the rounds, as other work
on the machine only slows a round down. It fails if the two disagree about how often any address was refused.
"""

import sys
import time

import numpy as np

from profiler.address import Key, parse
from profiler.engine import Profiles
from profiler.parse.registry import Context, open_parser
from profiler.profile.record import PROFILE, Slow
from profiler.profile.table import Table
from profiler.sources.networks import DeclaredNetworks
from tests.bench.bench_parse import NOW, made_log, naive

LINES = 300_000
#: Of these some are judged as well; half of the made sessions are bots, so this is the worst of days.
JUDGED_LINES = 60_000
ROUNDS = 5
GOAL_LINES_A_SECOND = 1_000_000
CHUNK_BYTES = 1 << 20


def parsed_and_folded(log: bytes) -> Table:
    """Return the profiles of a log, as replay and the server make them but for judging."""
    parser, table = open_parser("postfix", Context(bytes(16), NOW)), Table()
    for at in range(0, len(log) + 1, CHUNK_BYTES):
        chunk = log[at : at + CHUNK_BYTES]
        data = parser.feed(chunk, final=at + CHUNK_BYTES > len(log)).rows.view(np.uint8)
        table.fold(data)
        table.resume(data, patient=False)
    return table


def judged(log: bytes) -> Profiles:
    """Return the profiles of a log, every address judged as soon as its verdict may turn."""
    parser, profiles = open_parser("postfix", Context(bytes(16), NOW)), Profiles(DeclaredNetworks())
    for at in range(0, len(log) + 1, CHUNK_BYTES):
        rows = parser.feed(log[at : at + CHUNK_BYTES], final=at + CHUNK_BYTES > len(log)).rows
        for _ in profiles.fold(rows, own=True):
            pass
    return profiles


def best(work, log: bytes, rounds: int = ROUNDS) -> tuple[float, object]:
    """Return the least processor time of the rounds, in seconds, and what the work returned."""
    times, result = [], None
    for _ in range(rounds):
        start = time.process_time()
        result = work(log)
        times.append(time.process_time() - start)
    return min(times), result


def refused(table: Table) -> dict[str, int]:
    """Return how many failures of the last two hours each profile holds, by address."""
    counted = {}
    for profile in table.profiles():
        if profile["slow"][0][Slow.BAD]:
            counted[str(Key(int(profile["ip_hi"]), int(profile["ip_lo"])))] = int(profile["recent"][:, 1].sum())
    return counted


def main() -> None:
    """Print the rates, their ratio and whether the goal is met."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    log = made_log(lines)
    ours, table = best(parsed_and_folded, log)
    some = b"".join(log.splitlines(keepends=True)[:JUDGED_LINES])
    with_verdicts, profiles = best(judged, some, rounds=1)
    theirs, expected = best(naive, log, rounds=1)
    wrong = _disagreements(table, expected)
    if wrong:
        sys.exit(f"the two disagree about {len(wrong)} addresses, as {wrong[0]}")
    print(
        f"log: {lines} lines, {len(log) / lines:.0f} bytes each; {len(table)} profiles of {PROFILE.itemsize} bytes"
    )
    print(f"vedette parse + fold: {lines / ours / 1e6:.2f}M lines/s of one core (best of {ROUNDS})")
    print(
        f"the same, and judged: {some.count(10) / with_verdicts / 1e6:.3f}M lines/s of the first {some.count(10)}; "
        f"{_bots(profiles)} bots found"
    )
    print(f"naive re and dict:    {lines / theirs / 1e6:.2f}M lines/s; ours is {theirs / ours:.1f} times as fast")
    goal = "met" if lines / ours >= GOAL_LINES_A_SECOND else "MISSED"
    print(f"goal of {GOAL_LINES_A_SECOND / 1e6:.0f}M lines/s: {goal}")


def _disagreements(table: Table, expected) -> list[tuple[str, int, int]]:
    counted = refused(table)
    public = {ip: count for ip, count in expected.items() if table.find(*parse(ip)) >= 0}
    return [
        (ip, counted.get(ip, 0), public.get(ip, 0))
        for ip in counted.keys() | public.keys()
        if counted.get(ip, 0) != public.get(ip, 0)
    ]


def _bots(profiles: Profiles) -> int:
    own = profiles.tables["own"]
    return int((own.standings_of(own.standing_slots())["classes"] & 1).sum())


if __name__ == "__main__":
    main()
