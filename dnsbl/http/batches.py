"""``POST /v1/feeds/{feed}/batches``: bytes of traffic records in, a durable acknowledgement out.

The body is decompressed and parsed piece by piece in a thread as it arrives, so that the event loop stays free
and neither the compressed nor the decompressed body is ever in memory whole: only the rows are.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import msgspec
import numpy as np
from aiohttp import web
from aiohttp.http import HttpProcessingError

from dnsbl.http.auth import require
from dnsbl.http.encoding import Decoder, open_decoder
from dnsbl.http.keys import GATE, SERVICE
from dnsbl.http.problems import Kind, ProblemError
from dnsbl.registry import Feed
from profiler.errors import FormatError
from profiler.journal import Ack
from profiler.observation import Rows, empty
from profiler.parse.registry import REJECTED_KEPT, Parser

IDEMPOTENCY_KEY_BYTES = 255
#: Longest silence within a body, and longest time for all of it.
STALL_SECONDS = 20.0
BODY_SECONDS = 600.0
#: Compressed bytes that are handed to a thread at once.
STEP_BYTES = 1 << 18
_DIGEST_BYTES = 32


class Intake:
    """One body on its way: compressed bytes in, rows out. Sans-io; one call at a time, from any thread."""

    def __init__(self, decoder: Decoder, parser: Parser, limit_bytes: int, key: bytes | None) -> None:
        self._decoder = decoder
        self._parser = parser
        self._limit_bytes = limit_bytes
        self._taken_bytes = 0
        self._key = key
        self._content = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._parts: list[Rows] = []
        self.held_bytes = 0
        self.records = 0
        self.rejected: list[tuple[int, str]] = []
        self.rejected_count = 0

    def take(self, data: bytes) -> None:
        """Decompress and parse what has come.

        Raises:
            ProblemError: too large, corrupt, or not of the format.
        """
        for piece in self._decoder.feed(data):
            self._taken_bytes += len(piece)
            if self._taken_bytes > self._limit_bytes:
                raise too_large(self._limit_bytes)
            if self._key is None:
                self._content.update(piece)
            self._parse(piece, final=False)

    def finish(self) -> Rows:
        """Return all rows; the body has ended. ProblemError as :meth:`take`, or if it was cut short."""
        self._decoder.finish()
        self._parse(b"", final=True)
        return np.concatenate(self._parts) if self._parts else empty()

    @property
    def key(self) -> bytes:
        """The key that was given, or one that equal content has too, however it was compressed."""
        return self._key or b"content:" + self._content.digest()

    def _parse(self, piece: bytes, *, final: bool) -> None:
        try:
            parsed = self._parser.feed(piece, final)
        except FormatError as error:
            raise ProblemError(Kind.BAD_FORMAT, str(error)) from None
        if len(parsed.rows):
            self._parts.append(parsed.rows)
            self.held_bytes += parsed.rows.nbytes
        self.records += parsed.records
        self.rejected += parsed.rejected[: REJECTED_KEPT - len(self.rejected)]
        self.rejected_count += parsed.rejected_count


async def post_batch(request: web.Request) -> web.Response:
    """Take a batch in; 202 with its acknowledgement when it is durable."""
    feed = await _feed_of(request)
    key = _idempotency_key(request)
    decoder = open_decoder(request.headers.get("Content-Encoding"))
    limit_bytes = request.app[SERVICE].config.http.batch_bytes
    if request.content_length is not None and request.content_length > limit_bytes:
        raise too_large(limit_bytes)
    with request.app[GATE].enter(feed.name) as ticket:
        earlier = await _acknowledged(request, feed, key)
        if earlier:
            async for _ in _steps(request, limit_bytes):
                pass
            return _accepted(earlier)
        parser = request.app[SERVICE].open_parser(feed, request.content_type)
        intake = Intake(decoder, parser, limit_bytes, key)
        async for data in _steps(request, limit_bytes):
            await asyncio.to_thread(intake.take, data)
            request.app[GATE].hold(ticket, intake.held_bytes)
        rows = await asyncio.to_thread(intake.finish)
        ack = await request.app[SERVICE].append(
            feed, intake.key, rows, intake.records, intake.rejected, intake.rejected_count
        )
    return _accepted(ack)


def too_large(limit_bytes: int) -> ProblemError:
    """Return the problem of a body that goes past its bound."""
    return ProblemError(
        Kind.TOO_LARGE, f"at most {limit_bytes} bytes are taken at once, after decompression: split the batch"
    )


async def _feed_of(request: web.Request) -> Feed:
    principal = await require(request, "feed")
    name = request.match_info["feed"]
    if principal.name != name:
        raise ProblemError(Kind.NOT_ALLOWED, f"this token is that of feed {principal.name!r}, not of {name!r}")
    feed = request.app[SERVICE].feed(name)
    if feed is None:
        raise ProblemError(Kind.NOT_FOUND, f"feed {name!r} was removed: ask the operator for another")
    return feed


def _idempotency_key(request: web.Request) -> bytes | None:
    values = request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    key = values[0].strip().encode("utf-8", "surrogateescape")
    if len(values) > 1 or not 0 < len(key) <= IDEMPOTENCY_KEY_BYTES:
        raise ProblemError(
            Kind.BAD_REQUEST,
            f"Idempotency-Key must be given once and have 1 to {IDEMPOTENCY_KEY_BYTES} bytes: a UUID will do",
        )
    return b"key:" + key


async def _acknowledged(request: web.Request, feed: Feed, key: bytes | None) -> Ack | None:
    if key is None:
        return None
    return await asyncio.to_thread(request.app[SERVICE].acknowledged, feed, key)


async def _steps(request: web.Request, limit_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body as it arrives, in steps large enough to be worth a thread."""
    gathered: list[bytes] = []
    gathered_bytes = received_bytes = 0
    clock = asyncio.get_running_loop().time
    deadline = clock() + BODY_SECONDS
    while data := await _read(request, min(deadline, clock() + STALL_SECONDS)):
        received_bytes += len(data)
        if received_bytes > limit_bytes:
            raise too_large(limit_bytes)
        gathered.append(data)
        gathered_bytes += len(data)
        if gathered_bytes >= STEP_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            gathered_bytes = 0
    if gathered:
        yield b"".join(gathered)


async def _read(request: web.Request, deadline: float) -> bytes:
    try:
        async with asyncio.timeout_at(deadline):
            return await request.content.readany()
    except TimeoutError:
        raise ProblemError(
            Kind.TOO_SLOW,
            f"a body may stall for {STALL_SECONDS:g} s and take {BODY_SECONDS:g} s: send less at once",
        ) from None
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError):
        raise ProblemError(Kind.BAD_BODY, "the body ended before its announced end: send it again") from None


def _accepted(ack: Ack) -> web.Response:
    return web.Response(status=202, body=msgspec.json.encode(ack), content_type="application/json")
