"""What was acknowledged is kept and counted once, wherever ``kill -9`` falls."""

import datetime
import http.client
import random
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.maillog import MailLog
from tests.e2e.server import Vedette

pytestmark = pytest.mark.e2e

SEED = 3
BATCHES = 200
KILLS = 20
#: Of the kills, so many fall on a server that is still starting.
KILLS_AT_START = 5
MOST_DELAY_SECONDS = 0.02
MOST_STARTED_SECONDS = 1.0
RETRY_SECONDS = 0.01
GIVE_UP_SECONDS = 60.0
# Batches large enough and checkpoints often enough that most kills fall on a batch under way, and that a server
# which lives for a dozen batches has written checkpoints.
SESSIONS_A_BATCH = 200
CHECKPOINT_SECONDS = 0.1


def test_profiles_after_twenty_kills_equal_those_of_an_uninterrupted_run(tmp_path: Path) -> None:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    log = MailLog(SEED, start, SESSIONS_A_BATCH)
    batches = [log.batch() for _ in range(BATCHES)]
    quiet = Vedette(tmp_path / "quiet", checkpoint_seconds=CHECKPOINT_SECONDS)
    killed = Vedette(tmp_path / "killed", checkpoint_seconds=CHECKPOINT_SECONDS)
    try:
        quiet.start()
        token = quiet.add_feed("mx")
        quiet.stop()
        # Both begin from one directory: the key of the hashes is made anew in each.
        shutil.copytree(quiet.data, killed.data)

        quiet.start()
        expected = [_post(quiet, token, number, body) for number, body in enumerate(batches)]
        quiet.stop()

        acknowledged = _post_while_killing(killed, token, batches)
        assert _post(killed, token, 0, batches[0])["duplicate"]
        killed.stop()

        _assert_none_lost(acknowledged, expected)
        assert killed.dump() == quiet.dump()
        assert len(quiet.dump()) > 0
    finally:
        quiet.close()
        killed.close()


def _post_while_killing(server: Vedette, token: str, batches: list[bytes]) -> list[dict[str, Any]]:
    done = threading.Semaphore(0)
    server.start()
    acknowledged = []
    with ThreadPoolExecutor(1) as threads:
        killing = threads.submit(_kill_at_random, server, done)
        try:
            for number, body in enumerate(batches):
                acknowledged.append(_post(server, token, number, body))
                done.release()
        finally:
            done.release(BATCHES)
        assert killing.result() == KILLS
    return acknowledged


def _kill_at_random(server: Vedette, done: threading.Semaphore) -> int:
    """Kill after so many acknowledgements and a little, while the next batch is under way; return how often."""
    randomness = random.Random(SEED)
    moments = sorted(randomness.sample(range(1, BATCHES), KILLS - KILLS_AT_START))
    at_start = set(randomness.sample(moments, KILLS_AT_START))
    seen = kills = 0
    for moment in moments:
        while seen < moment:
            done.acquire()
            seen += 1
        time.sleep(randomness.uniform(0.0, MOST_DELAY_SECONDS))
        server.kill()
        kills += 1
        if moment in at_start:
            server.start(wait=False)
            time.sleep(randomness.uniform(0.0, MOST_STARTED_SECONDS))
            server.kill()
            kills += 1
        server.start()
    return kills


def _post(server: Vedette, token: str, number: int, body: bytes) -> dict[str, Any]:
    """Post a batch until it is acknowledged."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            status, answer = server.post_batch("mx", token, body, f"batch-{number}")
        except (OSError, http.client.HTTPException):
            status, answer = 0, None
        if status == 202:
            return dict(answer)
        assert status in (0, 429, 503), answer
        assert time.monotonic() < deadline, f"batch {number}: not acknowledged:\n{server.server_log()}"
        time.sleep(RETRY_SECONDS)


def _assert_none_lost(acknowledged: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(acknowledged) == BATCHES
    assert len({ack["batch"] for ack in acknowledged}) == BATCHES
    for ack, as_before in zip(acknowledged, expected, strict=True):
        assert ack["records"] == as_before["records"] > 0
        assert ack["observations"] == as_before["observations"] > 0
        assert ack["rejected"] == as_before["rejected"] == []
