"""Asks the operator's resolver for the reverse names of addresses that no log names, and confirms them forward.

Rows of new batches come in; rows of event NAMED go out, to be journalled like any other. A lookup that fails says
nothing: it is never counted as guilt. Everything is bounded: what does not fit the queue is asked another time.
"""

import asyncio
import contextlib
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import aiodns
import aiodns.error
import numpy as np
import pycares.errno

from profiler.address import Key, is_reserved, parse
from profiler.errors import AddressError, JournalError
from profiler.observation import Event, Rows, Sign, empty
from profiler.sources.fcrdns import MAX_NAMES, signs_of

QUEUE_ADDRESSES = 10_000
CACHE_ADDRESSES = 200_000
CACHE_SECONDS = 6 * 3600
#: A reverse name that is no name cannot lead back: that too is an answer.
_NOTHING_THERE = frozenset({pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_EBADNAME})
_TYPES = {"A": 1, "PTR": 12, "AAAA": 28}
_KNOWN = int(Sign.RDNS_NONE | Sign.RDNS_UNVERIFIED | Sign.RDNS_VERIFIED)


class LookupFailedError(Exception):
    """The resolver did not answer: nothing is known."""


class Resolver(Protocol):
    """What asks the DNS."""

    async def names(self, address: str) -> list[str]:
        """Return the PTR names, empty if there are none; LookupFailedError if nobody knows."""

    async def addresses(self, name: str) -> list[str]:
        """Return the A and AAAA addresses, empty if there are none; LookupFailedError if nobody knows."""


class NameCollector:
    """Collects addresses to ask about, asks, and hands rows on."""

    def __init__(
        self,
        resolver: Resolver,
        deliver: Callable[[Rows], Awaitable[None]],  # what it refuses with JournalError is asked again later
        *,
        concurrency: int,
        clock: Callable[[], float],
    ) -> None:
        self._resolver = resolver
        self._deliver = deliver
        self._clock = clock
        self._concurrency = concurrency
        self._asked: OrderedDict[Key, float] = OrderedDict()
        self._queue: asyncio.Queue[Key] = asyncio.Queue(QUEUE_ADDRESSES)
        self._loop = asyncio.get_running_loop()
        self.skipped = 0
        self.failed = 0

    def see(self, rows: Rows) -> None:
        """Note the addresses of ``rows`` that no record names; may be called from any thread."""
        nameless = rows[((rows["signs"] & _KNOWN) == 0) & ((rows["ip_hi"] | rows["ip_lo"]) != 0)]
        if len(nameless):
            pairs = np.unique(nameless[["ip_hi", "ip_lo"]])
            keys = [Key(int(hi), int(lo)) for hi, lo in pairs[:QUEUE_ADDRESSES]]
            self._loop.call_soon_threadsafe(self._enqueue, keys)

    def _enqueue(self, keys: list[Key]) -> None:
        now = self._clock()
        for key in keys:
            if is_reserved(key) or self._asked.get(key, 0) > now - CACHE_SECONDS:
                continue
            try:
                self._queue.put_nowait(key)
            except asyncio.QueueFull:
                self.skipped += 1
                continue
            self._asked[key] = now
            self._asked.move_to_end(key)
            while len(self._asked) > CACHE_ADDRESSES:
                self._asked.popitem(last=False)

    async def run(self) -> None:
        """Ask until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                signs = await verify(self._resolver, key)
                row = empty(1)
                row["time"], row["event"], row["signs"] = int(self._clock() * 1e6), Event.NAMED, signs
                row["ip_hi"], row["ip_lo"], row["count"] = *key, 1
                await self._deliver(row)
            except (LookupFailedError, JournalError):
                self.failed += 1
                self._asked.pop(key, None)


async def verify(resolver: Resolver, key: Key) -> Sign:
    """Return the RDNS signs of an address by FCrDNS (RFC 8499 §6): each name must lead back to it.

    Raises:
        LookupFailedError: nothing is known.
    """
    names = (await resolver.names(str(key)))[:MAX_NAMES]
    confirmed = []
    for name in names:
        for text in await resolver.addresses(name):
            with contextlib.suppress(AddressError):
                if parse(text).unit() == key.unit():
                    confirmed.append(name)
                    break
    return signs_of(key, confirmed, names)


def _server(text: str) -> str:
    """Return ``address@port``, or an address alone, in the form that c-ares reads."""
    address, _, port = text.partition("@")
    if not port:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class AiodnsResolver:
    """Asks the named servers with c-ares; an answer that there is nothing is an answer."""

    def __init__(self, nameservers: Sequence[str], timeout_seconds: float) -> None:
        servers = [_server(text) for text in nameservers]
        self._resolver = aiodns.DNSResolver(nameservers=servers, timeout=timeout_seconds, tries=2)

    async def close(self) -> None:
        """Close the channel."""
        await self._resolver.close()

    async def names(self, address: str) -> list[str]:
        """See :meth:`Resolver.names`."""
        pointer = ipaddress.ip_address(address).reverse_pointer
        return [record.data.dname for record in await self._ask(pointer, "PTR")]

    async def addresses(self, name: str) -> list[str]:
        """See :meth:`Resolver.addresses`."""
        answers = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        return [record.data.addr for records in answers for record in records]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            result = await self._resolver.query_dns(name, kind)
        except UnicodeError:
            return []
        except aiodns.error.DNSError as error:
            if error.args and error.args[0] in _NOTHING_THERE:
                return []
            raise LookupFailedError(f"{name} {kind}: {error}") from None
        wanted = _TYPES[kind]
        return [record for record in result.answer if record.type == wanted]
