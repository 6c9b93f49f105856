import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import numpy as np
import pytest

from profiler.address import parse
from profiler.errors import JournalFullError
from profiler.intake import resolver as module
from profiler.intake.resolver import AiodnsResolver, LookupFailedError, NameCollector, verify
from profiler.observation import Event, Rows, Sign
from tests.profiler.rows import START, join, row

IP = "185.44.2.66"
IP6 = "2a00:1450:4:1::25"
WAIT_SECONDS = 10.0
Zone = dict[tuple[str, str], list[str] | int | None]


class Book:
    """A resolver that reads from a dictionary; None: it does not answer."""

    def __init__(self, names: dict[str, list[str] | None], addresses: dict[str, list[str] | None]) -> None:
        self._names, self._addresses = names, addresses
        self.asked: list[str] = []

    async def names(self, address: str) -> list[str]:
        self.asked.append(address)
        return self._known(self._names.get(address, []))

    async def addresses(self, name: str) -> list[str]:
        self.asked.append(name)
        return self._known(self._addresses.get(name, []))

    def _known(self, found: list[str] | None) -> list[str]:
        if found is None:
            raise LookupFailedError("no answer")
        return found


@pytest.mark.parametrize(
    ("names", "addresses", "signs"),
    [
        ({}, {}, Sign.RDNS_NONE),
        ({IP: ["mx.example"]}, {"mx.example": [IP]}, Sign.RDNS_VERIFIED),
        ({IP: ["mx.example"]}, {"mx.example": ["185.44.2.67"]}, Sign.RDNS_UNVERIFIED),
        ({IP: ["mx.example"]}, {"mx.example": ["nonsense"]}, Sign.RDNS_UNVERIFIED),
        ({IP: ["no.example", "yes.example"]}, {"yes.example": ["45.1.1.1", IP]}, Sign.RDNS_VERIFIED),
        ({IP6: ["six.example"]}, {"six.example": ["2a00:1450:4:1::99"]}, Sign.RDNS_VERIFIED),
    ],
)
def test_a_name_counts_when_it_leads_back(names, addresses, signs) -> None:
    found = asyncio.run(verify(Book(names, addresses), parse(next(iter(names), IP))))
    assert found & (Sign.RDNS_NONE | Sign.RDNS_VERIFIED | Sign.RDNS_UNVERIFIED) == signs


@pytest.mark.parametrize("book", [Book({IP: None}, {}), Book({IP: ["mx.example"]}, {"mx.example": None})])
def test_no_answer_is_no_verdict(book) -> None:
    with pytest.raises(LookupFailedError):
        asyncio.run(verify(book, parse(IP)))


def test_of_many_names_only_a_few_are_followed() -> None:
    book = Book({IP: [f"n{i}.example" for i in range(100)]}, {})
    asyncio.run(verify(book, parse(IP)))
    assert len(book.asked) == 1 + 4


class Collected:
    """A collector at work, what it delivered, and a clock that tests turn."""

    def __init__(self, book: Book, refuse: int = 0) -> None:
        self.now = START / 1e6
        self.rows: list[Rows] = []
        self.book = book
        self._refuse = refuse

    async def deliver(self, rows: Rows) -> None:
        if self._refuse:
            self._refuse -= 1
            raise JournalFullError("full")
        self.rows.append(rows)

    async def run(self, *steps) -> NameCollector:
        collector = NameCollector(self.book, self.deliver, concurrency=2, clock=lambda: self.now)
        task = asyncio.create_task(collector.run())
        for step in steps:
            step(collector)
            await asyncio.sleep(0.02)
        assert not task.done(), "nothing that is asked may end the collector"
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return collector


def see(*rows: Rows):
    return lambda collector: collector.see(join(*rows))


def test_addresses_that_no_record_names_are_asked_once_and_handed_on() -> None:
    it = Collected(Book({IP: ["mx.example"]}, {"mx.example": [IP]}))
    asyncio.run(it.run(see(row(IP, Event.CONNECT), row(IP, Event.MESSAGE)), see(row(IP, Event.CONNECT))))
    [made] = it.rows
    assert (made["event"][0], made["time"][0], made["count"][0]) == (Event.NAMED, START, 1)
    assert (made["ip_hi"][0], made["ip_lo"][0]) == parse(IP)
    assert made["signs"][0] & Sign.RDNS_VERIFIED


def test_what_is_known_reserved_or_without_an_address_is_not_asked() -> None:
    it = Collected(Book({}, {}))
    named = row(IP, Event.CONNECT, signs=Sign.RDNS_NONE)
    asyncio.run(it.run(see(named, row("10.1.2.3", Event.CONNECT), row("", Event.BOUNCE, queue=5))))
    assert it.book.asked == []


def test_an_address_is_asked_again_when_the_answer_is_old() -> None:
    it = Collected(Book({}, {}))

    def wait(collector: NameCollector) -> None:
        it.now += module.CACHE_SECONDS + 1

    asyncio.run(it.run(see(row(IP, Event.CONNECT)), wait, see(row(IP, Event.CONNECT))))
    assert it.book.asked == [IP, IP]
    assert [rows["signs"][0] for rows in it.rows] == [Sign.RDNS_NONE] * 2


def test_what_failed_is_counted_said_by_nobody_and_asked_again() -> None:
    it = Collected(Book({IP: None}, {}))
    collector = asyncio.run(it.run(see(row(IP, Event.CONNECT)), see(row(IP, Event.CONNECT))))
    assert (collector.failed, it.rows, len(it.book.asked)) == (2, [], 2)


def test_a_full_journal_ends_nothing() -> None:
    it = Collected(Book({}, {}), refuse=1)
    collector = asyncio.run(it.run(see(row(IP, Event.CONNECT)), see(row(IP, Event.CONNECT))))
    assert (collector.failed, len(it.rows)) == (1, 1)


def test_what_does_not_fit_the_queue_is_skipped_and_counted(monkeypatch) -> None:
    monkeypatch.setattr(module, "QUEUE_ADDRESSES", 5)
    it = Collected(Book({}, {}))
    rows = [row(f"185.44.2.{last}", Event.CONNECT) for last in range(1, 5)]
    more = [row(f"185.44.3.{last}", Event.CONNECT) for last in range(1, 5)]

    def flood(collector: NameCollector) -> None:
        collector.see(join(*rows))
        collector.see(join(*more))

    collector = asyncio.run(it.run(flood))
    assert collector.skipped == 3
    assert len(it.rows) == 5


def test_the_cache_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(module, "CACHE_ADDRESSES", 2)
    it = Collected(Book({}, {}))
    steps = [see(row(f"185.44.2.{last}", Event.CONNECT)) for last in (1, 2, 3, 3, 1)]
    asyncio.run(it.run(*steps))
    assert it.book.asked == ["185.44.2.1", "185.44.2.2", "185.44.2.3", "185.44.2.1"]


# Over the wire.

NXDOMAIN, SERVFAIL = dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL


@contextlib.contextmanager
def dns_server(zone: Zone) -> Iterator[int]:
    """A server on loopback that answers from ``zone``: records, an rcode, or None for silence; else NODATA."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                packet, peer = bound.recvfrom(4096)
            except OSError:
                return
            if not packet:
                return
            query = dns.message.from_wire(packet)
            question = query.question[0]
            name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
            found = zone.get((name, kind), [])
            if found is None:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if isinstance(found, int):
                answer.set_rcode(found)
            elif found:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
            bound.sendto(answer.to_wire(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield bound.getsockname()[1]
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", bound.getsockname())
        thread.join()
        bound.close()


POINTER = "66.2.44.185.in-addr.arpa."
POINTER6 = "5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.4.0.0.0.0.5.4.1.0.0.a.2.ip6.arpa."


async def _verify(port: int, ip: str) -> Sign:
    resolver = AiodnsResolver([f"127.0.0.1:{port}"], 0.2)
    try:
        return await asyncio.wait_for(verify(resolver, parse(ip)), WAIT_SECONDS)
    finally:
        await resolver.close()


@pytest.mark.parametrize(
    ("ip", "zone", "signs"),
    [
        (IP, {(POINTER, "PTR"): ["h.example."], ("h.example.", "A"): [IP]}, Sign.RDNS_VERIFIED),
        (IP6, {(POINTER6, "PTR"): ["h.example."], ("h.example.", "AAAA"): [IP6]}, Sign.RDNS_VERIFIED),
        (IP, {(POINTER, "PTR"): ["h.example."], ("h.example.", "A"): ["45.1.1.1"]}, Sign.RDNS_UNVERIFIED),
        (
            IP,
            {(POINTER, "PTR"): ["h.example."], ("h.example.", "A"): NXDOMAIN, ("h.example.", "AAAA"): NXDOMAIN},
            Sign.RDNS_UNVERIFIED,
        ),
        (IP, {(POINTER, "PTR"): NXDOMAIN}, Sign.RDNS_NONE),
        (IP, {}, Sign.RDNS_NONE),
    ],
)
def test_the_resolver_is_asked_over_the_wire(ip, zone, signs) -> None:
    with dns_server(zone) as port:
        assert asyncio.run(_verify(port, ip)) == signs


@pytest.mark.parametrize("trouble", [SERVFAIL, None])
def test_trouble_of_the_resolver_is_no_answer(trouble) -> None:
    with dns_server({(POINTER, "PTR"): trouble}) as port, pytest.raises(LookupFailedError):
        asyncio.run(_verify(port, IP))


@pytest.mark.parametrize("name", ["a..b", "x" * 300 + ".example", "b\udc00.example"])
def test_a_name_that_is_none_leads_nowhere(name) -> None:
    async def ask(port: int) -> list[str]:
        resolver = AiodnsResolver([f"127.0.0.1:{port}"], 0.2)
        try:
            return await resolver.addresses(name)
        finally:
            await resolver.close()

    with dns_server({}) as port:
        assert asyncio.run(ask(port)) == []


def test_rows_are_seen_from_any_thread() -> None:
    it = Collected(Book({}, {}))

    def from_a_thread(collector: NameCollector) -> None:
        thread = threading.Thread(target=collector.see, args=(row(IP, Event.CONNECT),))
        thread.start()
        thread.join()

    asyncio.run(it.run(from_a_thread))
    assert np.concatenate(it.rows)["ip_lo"].tolist() == [parse(IP).lo]
