"""The made network: the same for the same seed, and judged as what it plays."""

import itertools
from pathlib import Path

from profiler import simulate
from profiler.address import parse
from profiler.classify.evidence import Class
from profiler.keyed import KEY_BYTES
from profiler.parse.registry import Context, open_parser
from profiler.replay import Replay
from tests.test_architecture import imports

END = 1_772_366_400.0


def judged() -> dict[str, Class]:
    replay = Replay(open_parser("postfix", Context(bytes(KEY_BYTES), int(END * 1e6))))
    classes = {str(verdict.key): Class(verdict.classes) for verdict in replay.run(simulate.mail_log(END))}
    assert replay.rejected == 0
    return classes


def test_is_judged_as_what_it_plays() -> None:
    classes = judged()
    of = {host: classes.get(str(parse(host.address).unit()), Class(0)) for host in (
        *simulate.SERVERS, simulate.TURNED, *simulate.CUSTOMERS, *simulate.BOTS
    )}  # fmt: skip
    assert all(of[host] == Class.MTA for host in simulate.SERVERS), of
    assert all(of[host] == Class.DYNAMIC for host in simulate.CUSTOMERS), of
    assert all(of[host] & Class.BOT for host in (*simulate.BOTS, simulate.TURNED)), of


def test_is_the_same_for_the_same_seed_and_ends_when_told() -> None:
    first, again, other = (b"".join(simulate.mail_log(END, seed)) for seed in (1, 1, 2))
    assert first == again != other
    times = [line.split(b" ", 1)[0] for line in first.splitlines()]
    assert times == sorted(times)
    assert times[-1] < b"2026-03-01T12:00:00"
    assert times[0] >= b"2026-02-27T12:00:00"


def test_comes_in_batches_that_follow_each_other() -> None:
    batches = list(simulate.mail_log(END))
    assert len(batches) > 10
    assert all(batch.endswith(b"\n") for batch in batches)
    assert all(one.splitlines()[-1] <= two.splitlines()[0] for one, two in itertools.pairwise(batches))


def test_does_not_know_how_it_is_judged() -> None:
    path = Path(simulate.__file__)
    assert [one for one in imports("profiler.simulate", path) if one.imported.startswith("profiler.")] == []
