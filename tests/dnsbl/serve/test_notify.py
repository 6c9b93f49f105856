"""NOTIFY on loopback: what a secondary hears, and when it hears it again."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import dns.flags
import dns.message
import dns.opcode
import dns.rdatatype

from dnsbl.serve.notify import Notifier
from dnsbl.zone.live import LiveZones
from tests.dnsbl.zone.test_live import NOW, URL, ZONES, entry

SECONDS = 10.0
BL = next(zone for zone in ZONES if zone.name == "bl")


class Secondary(asyncio.DatagramProtocol):
    """Hears, and answers what it is told to; nothing to the first ``deaf`` messages."""

    def __init__(self, deaf: int = 0, rcode: int = 0) -> None:
        self.heard: asyncio.Queue[dns.message.Message] = asyncio.Queue()
        self._deaf = deaf
        self._rcode = rcode

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data, addr) -> None:
        message = dns.message.from_wire(data)
        self.heard.put_nowait(message)
        self._deaf -= 1
        if self._deaf < 0:
            answer = dns.message.make_response(message)
            answer.set_rcode(self._rcode)
            self._transport.sendto(b"\0" * 12, addr)
            self._transport.sendto(answer.to_wire(), addr)

    async def serial(self) -> int:
        async with asyncio.timeout(SECONDS):
            return (await self.heard.get()).answer[0][0].serial


def run(
    scenario: Callable[[LiveZones, Secondary], Awaitable[None]], first_wait_seconds: float = 0.05, **options: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, secondary = await loop.create_datagram_endpoint(
            lambda: Secondary(**options), local_addr=("127.0.0.1", 0)
        )
        target = transport.get_extra_info("sockname")[:2]
        zones = [dataclasses.replace(BL, notify=(target,)), *(zone for zone in ZONES if zone is not BL)]
        live = LiveZones(zones, public_url=URL, clock=lambda: NOW)
        task = asyncio.create_task(Notifier(live, first_wait_seconds=first_wait_seconds).run())
        try:
            await scenario(live, secondary)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            transport.close()

    asyncio.run(main())


def test_a_secondary_hears_the_start_and_each_change():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        async with asyncio.timeout(SECONDS):
            message = await secondary.heard.get()
        assert message.opcode() == dns.opcode.NOTIFY
        assert message.flags & dns.flags.AA
        assert (str(message.question[0].name), message.question[0].rdtype) == (f"{BL.origin}.", dns.rdatatype.SOA)
        assert message.answer[0][0].serial == live.serial
        assert live.apply([entry("198.51.100.7/32")]) == await secondary.serial()

    run(scenario)


def test_many_changes_at_once_are_told_together():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        await secondary.serial()
        for last in range(50):
            live.apply([entry(f"198.51.100.{last}/32")])
        assert await secondary.serial() == live.serial
        await asyncio.sleep(0.3)
        assert secondary.heard.empty()

    run(scenario)


def test_a_silent_secondary_is_told_again():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        told = [await secondary.serial() for _ in range(3)]
        assert told == [live.serial] * 3
        await asyncio.sleep(0.5)
        assert secondary.heard.empty()

    run(scenario, deaf=2)


def test_news_does_not_wait_for_the_next_try():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        told = [await secondary.serial() for _ in range(2)]
        assert told == [live.serial] * 2
        async with asyncio.timeout(2):
            assert live.apply([entry("198.51.100.7/32")]) == await secondary.serial()

    run(scenario, deaf=2, first_wait_seconds=0.7)


def test_a_secondary_that_refuses_is_told_of_the_next_change_only():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        await secondary.serial()
        await asyncio.sleep(0.3)
        assert secondary.heard.empty()
        assert live.apply([entry("198.51.100.7/32")]) == await secondary.serial()

    run(scenario, rcode=5)


def test_a_secondary_that_is_taken_off_hears_no_more():
    async def scenario(live: LiveZones, secondary: Secondary) -> None:
        await secondary.serial()
        live.set_zones(ZONES)
        await asyncio.sleep(0.3)
        live.apply([entry("198.51.100.7/32")])
        await asyncio.sleep(1.2)
        assert secondary.heard.empty()

    run(scenario)
