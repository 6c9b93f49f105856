"""Limits and access over real sockets: the address that counts is the one the kernel says."""

import asyncio
import struct
from dataclasses import replace

import pytest

from dnsbl.serve.tcp import TcpServer
from dnsbl.serve.udp import UdpServer
from dnsbl.wire.rate import RateTable
from dnsbl.zone.access import Access
from dnsbl.zone.live import LiveZones
from dnsbl.zone.manners import Manners
from tests.dnsbl.serve.test_udp import BL, client
from tests.dnsbl.wire.packets import TXT, codes, opt, parse, query, rcode, reverse
from tests.dnsbl.wire.test_options import COOKIE, option, options
from tests.dnsbl.zone.test_live import URL, ZONES, entry

LISTED = reverse("198.51.100.7", BL)
LIMIT = 3


def zones(**access):
    return [replace(zone, access=Access(**access)) for zone in ZONES]


def live(made=ZONES):
    # The clock is the threads' own: a rate is counted in their seconds.
    served = LiveZones(
        made, public_url=URL, manners=Manners(cookie_secret=b"0123456789abcdef", cookie_rotates=True)
    )
    served.apply([entry("198.51.100.7/32")])
    return served


@pytest.fixture
def limited(request):
    slip, with_code = request.param
    server = UdpServer(live(), "127.0.0.1", 0, make_rates=lambda: RateTable(LIMIT, slip, with_code))
    server.start()
    yield server
    server.stop()


def burst(sock, data: bytes, count: int) -> list[bytes]:
    """Send at once and take what comes: every query here gets a reply."""
    for _ in range(count):
        sock.send(data)
    return [sock.recv(1232) for _ in range(count)]


@pytest.mark.parametrize("limited", [(1, False)], indirect=True)
def test_beyond_the_limit_replies_are_truncated(limited):
    with client(limited.port) as sock:
        replies = burst(sock, query(LISTED, additional=(opt(),)), 40)
    truncated = [reply for reply in replies if parse(reply).header.tc]
    # The burst may lie in two seconds.
    assert 40 - 2 * LIMIT <= len(truncated) <= 40 - LIMIT
    for reply in truncated:
        assert codes(reply) == []
        assert options(reply) == {}
        assert rcode(reply) == "NOERROR"
    assert limited.stats()["limited"] == {"dropped": 0, "truncated": len(truncated), "code": 0}
    assert limited.stats()["dropped"] == 0


@pytest.mark.parametrize("limited", [(0, False)], indirect=True)
def test_beyond_the_limit_replies_are_dropped_but_not_to_a_client_with_a_cookie(limited):
    with client(limited.port) as sock:
        (cookie,) = options(
            burst(sock, query(LISTED, additional=(opt(options=option(COOKIE, b"c" * 8)),)), 1)[0]
        ).values()
        for _ in range(40):
            sock.send(query(LISTED))
        known = query(LISTED, number=7, additional=(opt(options=option(COOKIE, cookie)),))
        for _ in range(40):
            sock.send(known)
        replies = []
        while sum(reply[:2] == b"\0\7" for reply in replies) < 40:
            replies.append(sock.recv(1232))
    assert all(codes(reply) == ["127.0.0.4"] for reply in replies)
    assert len(replies) - 40 <= 2 * LIMIT
    assert limited.stats()["limited"]["dropped"] == 80 - len(replies)


@pytest.mark.parametrize("limited", [(1, True)], indirect=True)
def test_beyond_the_limit_an_address_gets_a_code_that_is_no_listing(limited):
    with client(limited.port) as sock:
        found = [codes(reply) for reply in burst(sock, query(LISTED), 40)]
        texts = burst(sock, query(LISTED, TXT), 10)
    assert found.count(["127.255.255.255"]) >= 40 - 2 * LIMIT
    assert all(one in (["127.0.0.4"], ["127.255.255.255"]) for one in found)
    assert any(parse(reply).header.tc for reply in texts)
    assert limited.stats()["limited"]["code"] == found.count(["127.255.255.255"])


@pytest.mark.parametrize(("host", "allow"), [("127.0.0.1", "127.0.0.0/8"), ("::1", "::1/128")])
def test_the_clients_address_decides_over_udp(host, allow):
    for prefix, expected in ((allow, "NOERROR"), ("192.0.2.0/24", "REFUSED")):
        server = UdpServer(live(zones(allow=(prefix,))), host, 0)
        server.start()
        try:
            with client(server.port, host) as sock:
                assert rcode(burst(sock, query(LISTED), 1)[0]) == expected
        finally:
            server.stop()


def test_the_clients_address_decides_over_tcp():
    async def ask(prefix):
        server = TcpServer(live(zones(allow=(prefix,))), "127.0.0.1", 0)
        await server.start()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            data = query(LISTED)
            writer.write(struct.pack(">H", len(data)) + data)
            reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            writer.close()
            await writer.wait_closed()
            return rcode(reply)
        finally:
            await server.stop()

    assert asyncio.run(ask("127.0.0.0/8")) == "NOERROR"
    assert asyncio.run(ask("192.0.2.0/24")) == "REFUSED"
