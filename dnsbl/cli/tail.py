"""``vedette tail``: posts what is appended to a log file, each line once, whatever breaks in between."""

import contextlib
import hashlib
import logging
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from dnsbl.cli.client import Answer, Api, UnreachableError, url_of
from dnsbl.cli.options import with_config
from dnsbl.config import Config
from dnsbl.errors import DnsblError
from profiler.intake.tail import Follower

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

POLL_SECONDS = 0.05
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 10.0
#: Rejected lines are told at most this often.
REJECTED_SECONDS = 60.0
ACCEPTED = 202
#: What will be otherwise later: timeouts, too many requests, and all that the server blames on itself.
_PASSING = frozenset({408, 429, *range(500, 600)})

log = logging.getLogger(__name__)


class RefusedError(DnsblError):
    """The server will never take this batch."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--feed", required=True, metavar="NAME", help="Feed that the lines are of.")
@click.option("--token", metavar="TOKEN", help="The feed's token; others on this machine can see it in `ps`.")
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="File that holds the token.")
@click.option("--url", help="Server to post to, instead of the one that serves the data directory.")
@click.option("--state", type=click.Path(path_type=Path), metavar="FILE", help="Where it notes how far it came.")
@click.option("--from-end", is_flag=True, help="The first time, only what is written from now on.")
@click.option("--once", is_flag=True, help="End when everything that is there was taken.")
@with_config
def command(
    config: Config,
    file: Path,
    feed: str,
    token: str | None,
    token_file: Path | None,
    url: str | None,
    state: Path | None,
    from_end: bool,
    once: bool,
) -> None:
    """Follow a log file into a running server.

    Goes on where it ended, through rotation and truncation of FILE, and through restarts of either side; no line is
    lost and none counts twice. How far it came is noted below the data directory, or in the file --state.
    """
    logging.basicConfig(level=config.log_level.upper(), format="vedette: %(message)s")
    secret = _secret(token, token_file)
    state = state or _state_of(config, file, feed)
    state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = threading.Event()
    with (
        _set_by_signals(stop),
        closing(Api(url or url_of(config), secret)) as api,
        closing(Follower(file.absolute(), state, from_end=from_end)) as follower,
    ):
        Tail(api, feed, follower, stop).run(once=once)


class Tail:
    """Takes portions from a follower and posts each until it is taken."""

    def __init__(self, api: Api, feed: str, follower: Follower, stop: threading.Event) -> None:
        self._api = api
        self._path = f"/v1/feeds/{quote(feed, safe='')}/batches"
        self._follower = follower
        self._stop = stop
        self._rejected = 0
        self._told_at = -REJECTED_SECONDS

    def run(self, *, once: bool) -> None:
        """Go on until told to stop, or with ``once`` until nothing is left.

        Raises:
            RefusedError: the server will never take what it is sent.
        """
        while not self._stop.is_set():
            portion = self._follower.next(time.monotonic())
            if portion is not None:
                if self._deliver(portion.data, portion.key):
                    self._follower.done()
            elif once:
                return
            else:
                self._stop.wait(POLL_SECONDS)

    def _deliver(self, data: bytes, key: str) -> bool:
        """Post until the batch is taken, or until told to stop: then False, and it is sent again next time."""
        body = zstd.compress(data)
        headers = {"Idempotency-Key": key, "Content-Encoding": "zstd", "Content-Type": "text/plain"}
        wait = FIRST_RETRY_SECONDS
        while not self._stop.is_set():
            asked = None
            try:
                answer = self._api.request("POST", self._path, body, headers)
            except UnreachableError as error:
                trouble = str(error)
            else:
                if answer.status == ACCEPTED:
                    self._note(answer)
                    return True
                trouble, asked = f"{answer.status}: {_detail(answer)}", answer.retry_after
                if answer.status not in _PASSING:
                    raise RefusedError(f"{self._api.url}{self._path}: {trouble}")
            log.log(logging.WARNING if wait > FIRST_RETRY_SECONDS else logging.DEBUG, "%s; trying again", trouble)
            self._stop.wait(asked if asked is not None else wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, LAST_RETRY_SECONDS)
            self._follower.look(time.monotonic())
        return False

    def _note(self, answer: Answer) -> None:
        ack = msgspec.json.decode(answer.body)
        if ack["duplicate"] or not ack["rejected_count"]:
            return
        self._rejected += ack["rejected_count"]
        if time.monotonic() - self._told_at >= REJECTED_SECONDS:
            first = ack["rejected"][0]["error"] if ack["rejected"] else "see the server's log"
            log.warning("%d lines could not be understood; one of them: %s", self._rejected, first)
            self._told_at, self._rejected = time.monotonic(), 0


@contextlib.contextmanager
def _set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Have TERM and INT set ``stop``, so that what is under way is finished."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _secret(token: str | None, token_file: Path | None) -> str:
    if (token is None) == (token_file is None):
        raise click.UsageError("Name the feed's token with either --token or --token-file.")
    return token if token is not None else Path(str(token_file)).read_text("utf-8").strip()


def _state_of(config: Config, file: Path, feed: str) -> Path:
    """Return where the position is noted: below the data directory, a file for each pair of feed and log."""
    digest = hashlib.blake2b(f"{feed}\0{file.absolute()}".encode(), digest_size=8).hexdigest()
    return config.data_path / "tail" / f"{file.name}-{digest}.json"


def _detail(answer: Answer) -> str:
    try:
        return str(msgspec.json.decode(answer.body)["detail"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return answer.body[:200].decode("utf-8", "replace") or "no reason given"
