"""Zone transfers: who may have a zone, how many at a time, and the way from a copy of the listings to messages.

Requests in, messages out, made in threads so that the loop stays free; the socket is the TCP server's. What was
transferred is kept for a while, so that an IXFR is answered by what has changed since, else by all (RFC 1995 §4).
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import NamedTuple

from dnsbl.errors import DnsblError
from dnsbl.listing.columns import Columns
from dnsbl.wire.transfer import (
    NOERROR,
    NOTAUTH,
    RCODES,
    REFUSED,
    SERVFAIL,
    Records,
    Request,
    check_signature,
    is_older,
    may_transfer,
    messages,
    read_request,
    refuse,
    soa_record,
)
from dnsbl.wire.tsig import Check, Keys
from dnsbl.zone.live import Copy, LiveZones
from dnsbl.zone.zone import Zone

log = logging.getLogger(__name__)

#: Each holds a copy of all listings.
TRANSFERS_AT_A_TIME = 4
#: Shorter than secondaries wait for a first message.
WAIT_SECONDS = 20.0
#: Of what was transferred, for IXFR: about 100 octets a listing.
HISTORY_COPIES = 8
HISTORY_LISTINGS = 4_000_000
NO_ZONE = "-"

#: Zone, listings and serial to records, from SOA to SOA.
Expand = Callable[[Zone, Columns, int], Iterator[Records]]
#: Zone, and serial and listings before and after, to the records of an IXFR.
Compare = Callable[[Zone, tuple[int, Columns], tuple[int, Columns]], Iterator[Records]]


class Answer(NamedTuple):
    """The messages of an answer; the zone's name (``-``: none of ours) and the rcode's to count it under."""

    messages: AsyncGenerator[bytes, None]
    zone: str
    rcode: str


class Transfers:
    """Answers requests for transfers from ``live``.

    Args:
        live: what is transferred.
        expand: makes records of a zone.
        compare: makes records of the changes of a zone.
        keys: what secondaries may sign with.
        clock: gives seconds since 1970.
        limit: so many transfers at a time.
        history_listings: so many in all are kept of what was transferred, to tell later what has changed.
        wait_seconds: so long further ones wait for their turn; then they are answered SERVFAIL, and come again.
    """

    def __init__(
        self,
        live: LiveZones,
        expand: Expand,
        compare: Compare,
        keys: Keys,
        clock: Callable[[], float],
        limit: int = TRANSFERS_AT_A_TIME,
        wait_seconds: float = WAIT_SECONDS,
        history_listings: int = HISTORY_LISTINGS,
    ) -> None:
        self._live = live
        self._expand = expand
        self._compare = compare
        self._keys = keys
        self._clock = clock
        self._free = asyncio.Semaphore(limit)
        self._wait_seconds = wait_seconds
        self._history_listings = history_listings
        self._history: deque[Copy] = deque(maxlen=HISTORY_COPIES)
        self._lock = threading.Lock()

    def answer(self, data: bytes, address: str) -> Answer | None:
        """Return the answer to a request from ``address``; None: it is malformed."""
        request = read_request(data)
        if request is None:
            return None
        now = int(self._clock())
        checked = check_signature(data, request, self._keys, now)
        zone = next((zone for zone in self._live.zones if zone.origin == request.origin), None)
        rcode = self._rcode(zone, checked, address)
        name = zone.name if zone else NO_ZONE
        if zone is None or rcode != NOERROR:
            log.info("transfer of %s to %s: %s", request.origin, address, RCODES[rcode])
            return Answer(_one(refuse(request, rcode, checked, now)), name, RCODES[rcode])
        return Answer(self._messages(zone, request, checked, address), name, RCODES[rcode])

    def _rcode(self, zone: Zone | None, checked: Check, address: str) -> int:
        if checked.error or zone is None:
            return NOTAUTH
        return NOERROR if may_transfer(zone, address, checked.key) else REFUSED

    async def _messages(
        self, zone: Zone, request: Request, checked: Check, address: str
    ) -> AsyncGenerator[bytes, None]:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            yield refuse(request, SERVFAIL, checked, int(self._clock()))
            return
        try:
            made = self._made(zone, request, checked)
            # Each message is made in a thread only when the one before has gone out.
            while (message := await asyncio.to_thread(next, made, None)) is not None:
                yield message
        except DnsblError as error:
            log.error("transfer of %s to %s broken off: %s", zone.origin, address, error)
            raise ConnectionAbortedError from error
        finally:
            self._free.release()

    def _made(self, zone: Zone, request: Request, checked: Check) -> Iterator[bytes]:
        for message in messages(request, self._records(zone, request)):
            yield checked.signer.sign(message, int(self._clock())) if checked.signer else message

    def _records(self, zone: Zone, request: Request) -> Iterator[Records]:
        new, old = self._copies(request.serial)
        if request.serial is not None and not is_older(request.serial, new.serial):
            return iter([(1, soa_record(zone, new.serial))])
        # Where the zone itself has changed, what the secondary has was made by other rules.
        if old is not None and zone in old.zones and zone in new.zones:
            return self._compare(zone, (old.serial, old.columns), (new.serial, new.columns))
        return self._expand(zone, new.columns, new.serial)

    def _copies(self, serial: int | None) -> tuple[Copy, Copy | None]:
        """Return what is served now, and what was transferred under an earlier serial, if it is kept."""
        with self._lock:
            if not self._history or self._history[-1].serial != self._live.serial:
                self._history.append(self._live.copy())
            while len(self._history) > 1 and sum(map(_size, self._history)) > self._history_listings:
                self._history.popleft()
            return self._history[-1], next((one for one in self._history if one.serial == serial), None)


async def _one(message: bytes) -> AsyncGenerator[bytes, None]:
    yield message


def _size(copy: Copy) -> int:
    return len(copy.columns)
