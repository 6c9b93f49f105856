"""TCP on loopback: framing, pipelining, and the bounds that keep one client from the others' way."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable

import pytest

from dnsbl.serve.tcp import TcpServer
from dnsbl.zone.live import LiveZones
from tests.dnsbl.wire.packets import SOA, TXT, codes, query, reverse
from tests.dnsbl.zone.test_live import URL, ZONES, entry

BL = "bl.vedette.test"
LISTED = query(reverse("198.51.100.7", BL))
SECONDS = 5.0


def run(scenario: Callable[[TcpServer], Awaitable[None]], **options: float) -> None:
    async def main() -> None:
        live = LiveZones(ZONES, public_url=URL)
        live.apply([entry("198.51.100.7/32")])
        server = TcpServer(live, "127.0.0.1", 0, **options)  # type: ignore[arg-type]
        await server.start()
        try:
            async with asyncio.timeout(30):
                await scenario(server)
        finally:
            await server.stop()

    asyncio.run(main())


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


async def reply_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SECONDS):
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            return await reader.read() == b""
    except ConnectionResetError:
        return True


def test_many_queries_on_one_connection_in_one_write():
    async def scenario(server: TcpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        asked = [query(reverse(f"198.51.100.{number}", BL), number=number) for number in range(200)]
        writer.write(b"".join(map(framed, asked)))
        writer.write_eof()
        replies = {reply[:2]: codes(reply) for reply in [await reply_of(reader) for _ in asked]}
        assert [key for key, found in replies.items() if found] == [b"\0\7"]
        assert await is_closed(reader)
        writer.close()
        assert server.stats()["answers"] == {("bl", "NOERROR"): 1, ("bl", "NXDOMAIN"): 199}

    run(scenario)


def test_a_message_may_come_in_pieces():
    async def scenario(server: TcpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for octet in framed(LISTED):
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0)
        assert codes(await reply_of(reader)) == ["127.0.0.4"]
        writer.close()

    run(scenario)


@pytest.mark.parametrize("begun", [b"", b"\0", framed(LISTED)[:-1]])
def test_an_idle_or_dripping_connection_is_closed(begun):
    async def scenario(server: TcpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(begun)
        assert await is_closed(reader)
        writer.close()

    run(scenario, idle_seconds=0.1)


@pytest.mark.parametrize("rubbish", [b"\0\0", framed(b"\0" * 11), framed(query(BL, flags=0x8000))])
def test_what_is_no_query_ends_the_connection(rubbish):
    async def scenario(server: TcpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(rubbish)
        assert await is_closed(reader)
        writer.close()

    run(scenario)


def test_connections_beyond_the_cap_are_closed_and_counted():
    async def scenario(server: TcpServer) -> None:
        first = await asyncio.open_connection("127.0.0.1", server.port)
        first[1].write(framed(LISTED))
        assert await reply_of(first[0])
        second = await asyncio.open_connection("127.0.0.1", server.port)
        assert await is_closed(second[0])
        first[1].write(framed(LISTED))
        assert await reply_of(first[0])
        for _, writer in (first, second):
            writer.close()
        assert (server.stats()["connections"], server.stats()["refused"]) == (1, 1)

    run(scenario, connections=1)


def test_a_client_that_does_not_read_is_cut_off():
    async def scenario(server: TcpServer) -> None:
        text = framed(query(reverse("198.51.100.7", BL), TXT)) * 1000
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1)

        async def write_on() -> None:
            while True:
                writer.write(text)
                await writer.drain()

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await write_on()
        # Its place is free for others.
        reader, other = await asyncio.open_connection("127.0.0.1", server.port)
        other.write(framed(LISTED))
        assert codes(await reply_of(reader)) == ["127.0.0.4"]
        other.close()

    run(scenario, connections=1, idle_seconds=0.2)


def test_dig_over_tcp():
    async def scenario(server: TcpServer) -> None:
        command = ["dig", "+tcp", "@127.0.0.1", "-p", str(server.port), "+short", "+tries=1", BL, "SOA"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20, check=True)
        assert done.stdout.startswith(b"ns.vedette.test. hostmaster.vedette.test. ")

    run(scenario)


def test_a_stop_ends_connections_at_once():
    async def scenario(server: TcpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(framed(query(BL, SOA)))
        assert await reply_of(reader)
        await server.stop()
        assert await is_closed(reader)
        writer.close()

    run(scenario)
