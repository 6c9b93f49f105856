"""UDP on loopback: real sockets and threads, ports that the system chooses."""

import gc
import ipaddress
import socket
import struct
import subprocess
import threading
import time

import pytest

from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.serve.udp import UdpServer
from dnsbl.zone.live import LiveZones
from tests.dnsbl.wire.packets import A, codes, query, reverse
from tests.dnsbl.zone.test_live import URL, ZONES, entry, place

BL = "bl.vedette.test"
SECONDS = 5.0


@pytest.fixture
def live():
    live = LiveZones(ZONES, public_url=URL)
    live.apply([entry("198.51.100.7/32"), entry("2001:db8::/64")])
    return live


@pytest.fixture
def server(live):
    server = UdpServer(live, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


def client(port, host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(SECONDS)
    sock.connect((host, port))
    return sock


def test_queries_are_answered_and_counted(server):
    with client(server.port) as sock:
        for name, expected in (("198.51.100.7", ["127.0.0.4"]), ("2001:db8::1", ["127.0.0.4"]), ("192.0.2.1", [])):
            sock.send(query(reverse(name, BL)))
            assert codes(sock.recv(512)) == expected
        sock.send(b"\0" * 11)
        sock.send(query(BL) * 100)
        sock.send(query("example.org"))
        sock.recv(512)
    assert server.stats() == {
        "queries": 6,
        "dropped": 2,
        "unsent": 0,
        "answers": {("bl", "NOERROR"): 2, ("bl", "NXDOMAIN"): 1, ("-", "REFUSED"): 1},
        "limited": {"dropped": 0, "truncated": 0, "code": 0},
    }


def test_a_burst_is_answered_whole(server):
    asked = [query(reverse(f"198.51.100.{number % 256}", BL), number=number) for number in range(300)]
    with client(server.port) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for data in asked:
            sock.send(data)
        replies = {reply[:2]: reply for reply in (sock.recv(512) for _ in asked)}
    listed = [number for number in range(300) if codes(replies[struct.pack(">H", number)])]
    assert listed == [7, 263]


@pytest.mark.parametrize(("bound", "asked"), [("0.0.0.0", "127.0.0.9"), ("::1", "::1"), ("::", "::1")])
def test_the_reply_comes_from_the_address_that_was_asked(live, bound, asked):
    server = UdpServer(live, bound, 0)
    server.start()
    try:
        # A connected socket takes datagrams from its peer's address only.
        with client(server.port, asked) as sock:
            for _ in range(3):
                sock.send(query(reverse("198.51.100.7", BL)))
                assert codes(sock.recv(512)) == ["127.0.0.4"]
    finally:
        server.stop()


def test_threads_share_the_port_and_the_counts(live):
    server = UdpServer(live, "127.0.0.1", 0, threads=3)
    server.start()
    try:
        for _ in range(60):
            with client(server.port) as sock:
                sock.send(query(reverse("198.51.100.7", BL)))
                assert codes(sock.recv(512)) == ["127.0.0.4"]
        assert server.stats()["answers"] == {("bl", "NOERROR"): 60}
    finally:
        server.stop()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_taken_port_is_an_error(live, server, threads):
    second = UdpServer(live, "127.0.0.1", server.port, threads=threads)
    with pytest.raises(OSError, match="in use"):
        second.start()


def test_it_stops_and_starts_again(live):
    server = UdpServer(live, "127.0.0.1", 0)
    for _ in range(2):
        server.start()
        with client(server.port) as sock:
            sock.send(query(BL))
            assert sock.recv(512)
        before = threading.active_count()
        server.stop()
        assert threading.active_count() == before - 1
    with client(server.port) as sock:
        sock.send(query(BL))
        with pytest.raises(OSError, match="refused"):
            sock.recv(512)


def test_dig_is_content(server):
    def dig(*arguments):
        command = ["dig", "@127.0.0.1", "-p", str(server.port), "+norecurse", "+tries=1", "+time=5", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout

    listed = f"7.100.51.198.{BL}"
    assert dig("+short", listed, "A") == "127.0.0.4\n"
    assert dig("+short", listed, "TXT").startswith('"bot: spam; since 2023-')
    assert dig("+short", BL, "SOA").startswith("ns.vedette.test. hostmaster.vedette.test. ")
    assert "status: NXDOMAIN" in dig(f"8.100.51.198.{BL}", "A")
    said = dig(f"100.51.198.{BL}", "A", "+dnssec")
    assert "status: NOERROR" in said
    assert "ANSWER: 0, AUTHORITY: 1" in said
    for complaint in ("WARNING", "malformed", "Messages", ";; Got bad"):
        assert complaint not in said


def test_readers_never_see_half_a_change_or_freed_memory(live):
    """One address moves between being a host, in a range and in another layer: always listed, with one code."""
    address = int(ipaddress.ip_address("198.51.100.7"))
    host, wide = Place(Layer.BOT, True, address, 32), Place(Layer.BOT, True, address & ~0xFF, 24)
    other = Place(Layer.BOT, False, 1, 64)
    server = UdpServer(live, "127.0.0.1", 0, threads=2)
    server.start()
    stop = threading.Event()
    wrong: list[bytes] = []
    answered = [0, 0]

    def ask(number):
        data = query(reverse("198.51.100.7", BL), 16, number=number)
        with client(server.port) as sock:
            while not stop.is_set():
                sock.send(data)
                reply = sock.recv(512)
                answered[number] += 1
                if reply[7] != 1 or b"reason " not in reply:
                    wrong.append(reply)

    live.apply([Entry(host, "reason first", 0)])
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for number in range(5000):
        to, gone = (wide, host) if number % 2 else (host, wide)
        live.apply([Entry(to, f"reason {number}", number), Entry(other, f"also {number}", 0)], [gone])
        if number % 8 == 0:
            live.set_zones(ZONES)
            # Let the readers in: the interpreter's lock is held by turns.
            time.sleep(0.0005)
    stop.set()
    for thread in threads:
        thread.join(SECONDS)
    server.stop()
    assert not wrong
    assert min(answered) > 100
    assert live.count()[Layer.BOT] == 3
    live.apply([])
    assert live.snapshots.waiting == 0


def test_a_change_loses_no_query(live, server):
    """Each query of a stream is answered, while listings come and go under it."""
    stop = threading.Event()

    def change():
        number = 0
        while not stop.is_set():
            number += 1
            live.apply([entry(f"203.0.113.{number % 256}/32")], [place(f"203.0.113.{(number + 128) % 256}/32")])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        with client(server.port) as sock:
            for number in range(2000):
                sock.send(query(reverse("198.51.100.7", BL), A, number=number))
                reply = sock.recv(512)
                assert reply[:2] == struct.pack(">H", number)
                assert codes(reply) == ["127.0.0.4"]
    finally:
        stop.set()
        thread.join(SECONDS)


def test_a_server_in_a_cycle_is_collected(live):
    for _ in range(3):
        server = UdpServer(live, "127.0.0.1", 0)
        server.start()
        workers = list(server._workers)
        server.stop()
        workers.append(workers)
        del server, workers
        gc.collect()
    assert live.answer(query("2.0.0.127.bl.vedette.test")) is not None
