"""Tells secondaries of changes (RFC 1996): soon, at most once a second each, again until they have heard it.

What is served goes in, datagrams go out. A secondary that stays silent is given up after some tries, until the next
change: it asks by itself when its refresh is due.
"""

import asyncio
import contextlib
import logging
import secrets
from typing import NamedTuple

from dnsbl.wire.notify import notify, rcode_of
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import Zone

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
BETWEEN_SECONDS = 1.0
FIRST_WAIT_SECONDS = 1.0
TRIES = 6


class Secondary(NamedTuple):
    """Who is told of a zone."""

    origin: str
    address: str
    port: int


class Notifier:
    """Tells the secondaries of all zones of ``live``, one task each, and looks after them when zones change."""

    def __init__(self, live: LiveZones, *, first_wait_seconds: float = FIRST_WAIT_SECONDS) -> None:
        self._live = live
        self._first_wait_seconds = first_wait_seconds
        self._tasks: dict[Secondary, asyncio.Task[None]] = {}
        self._zones: tuple[Zone, ...] = ()

    async def run(self) -> None:
        """Tell, until cancelled."""
        try:
            while True:
                if self._zones is not self._live.zones:
                    self._zones = self._live.zones
                    self._look_after(self._zones)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _look_after(self, zones: tuple[Zone, ...]) -> None:
        wanted = {Secondary(zone.origin, *target) for zone in zones for target in zone.notify}
        for gone in self._tasks.keys() - wanted:
            self._tasks.pop(gone).cancel()
        for new in wanted - self._tasks.keys():
            self._tasks[new] = asyncio.create_task(self._tell_always(new))

    async def _tell_always(self, secondary: Secondary) -> None:
        told = None
        while True:
            await self._changed(told)
            told = await self._tell(secondary)
            await asyncio.sleep(BETWEEN_SECONDS)

    async def _changed(self, serial: int | None) -> None:
        """Wait until another serial is served."""
        # Publishing threads know no loop, so that there is no event to wait for.
        while self._live.serial == serial:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self, secondary: Secondary) -> int:
        """Tell a secondary until it has answered, each time later; return the last serial that it was told."""
        serial, silent = self._live.serial, 0
        while silent < TRIES:
            zone = next((zone for zone in self._live.zones if zone.origin == secondary.origin), None)
            if zone is None:
                return serial
            serial = self._live.serial
            message = notify(zone, serial, secrets.randbelow(1 << 16))
            if (rcode := await _ask(secondary, message, self._first_wait_seconds)) is not None:
                if rcode:
                    log.warning("NOTIFY of %s to %s port %s: it answers rcode %s", *secondary, rcode)
                return serial
            silent += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._first_wait_seconds * ((1 << silent) - 1)):
                    # It may be back by now, and news is not to wait for long.
                    await self._changed(serial)
                    silent = 0
        log.warning("NOTIFY of %s to %s port %s: no answer; told again at the next change", *secondary)
        return serial


class _Replies(asyncio.DatagramProtocol):
    """Waits for the reply to one message."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.rcode: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        rcode = rcode_of(data, self._sent)
        if rcode is not None and not self.rcode.done():
            self.rcode.set_result(rcode)

    def error_received(self, exc: Exception) -> None:
        # Nobody listens there now: the wait for the next try goes on.
        pass


async def _ask(secondary: Secondary, message: bytes, wait_seconds: float) -> int | None:
    """Send a message; return the rcode of the reply, None if there is none in time."""
    loop = asyncio.get_running_loop()
    try:
        transport, replies = await loop.create_datagram_endpoint(
            lambda: _Replies(message), remote_addr=(secondary.address, secondary.port)
        )
    except OSError:
        await asyncio.sleep(wait_seconds)
        return None
    with contextlib.closing(transport):
        transport.sendto(message)
        try:
            async with asyncio.timeout(wait_seconds):
                return await replies.rcode
        except TimeoutError:
            return None
