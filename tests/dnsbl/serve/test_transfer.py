"""Transfers over TCP on loopback, taken by dnspython: all that is published, for those who may have it."""

import asyncio
import dataclasses
import random
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rdtypes.ANY.TXT
import dns.tsig
import dns.xfr
import dns.zone
import numpy as np
import pytest

from dnsbl.errors import ExportError
from dnsbl.export import bind, transfer
from dnsbl.listing.codes import Layer
from dnsbl.listing.columns import Columns
from dnsbl.listing.entry import Entry
from dnsbl.serve.tcp import TcpServer
from dnsbl.serve.transfer import Transfers
from dnsbl.wire.transfer import HEADER_BYTES, Records, is_transfer
from dnsbl.wire.tsig import ALGORITHMS, make_key
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import Zone
from tests.dnsbl.export.scenes import NOW, URL, ZONES, columns, entries
from tests.dnsbl.wire.packets import SOA, TXT, opt, query
from tests.dnsbl.zone.test_live import entry

AXFR, IXFR = 252, 251
ORIGIN = "bl.vedette.test"
SECONDS = 10.0
SECRETS = ("c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IQ==", "b3RoZXIg" * 8)
OPEN = [dataclasses.replace(zone, transfer=("127.0.0.0/8",)) for zone in ZONES.values()]


def with_key(name: str = "key:one") -> list[Zone]:
    return [dataclasses.replace(zone, transfer=(name,)) for zone in ZONES.values()]


def served(zones: Iterable[Zone], listed: Iterable[Entry] = ()) -> LiveZones:
    live = LiveZones(list(zones), public_url=URL, serial=NOW, clock=lambda: NOW)
    live.replace(listed)
    return live


def expand(zone: Zone, listed: Columns, serial: int) -> Iterator[Records]:
    return transfer.records(zone, listed, serial, URL)


def compare(zone: Zone, old: tuple[int, Columns], new: tuple[int, Columns]) -> Iterator[Records]:
    return transfer.changes(zone, old, new, URL)


def run(live: LiveZones, scenario: Callable[[int], object], **options: Any) -> TcpServer:
    """Run a scenario that blocks, in a thread, beside a server on ``live``."""

    async def main() -> TcpServer:
        keys = {"one": make_key("one", options.pop("algorithm", "hmac-sha256"), SECRETS[0])}
        given = {"expand": expand, "compare": compare, "keys": keys, "clock": time.time} | options
        server = TcpServer(live, "127.0.0.1", 0, transfers=Transfers(live, **given))
        await server.start()
        try:
            async with asyncio.timeout(60):
                await asyncio.to_thread(scenario, server.port)
        finally:
            await server.stop()
        return server

    return asyncio.run(main())


def taken(port: int, origin: str = ORIGIN, serial: int | None = None, **options: Any) -> dns.zone.Zone:
    zone = dns.zone.Zone(origin, relativize=False)
    made, _ = dns.xfr.make_query(zone, serial=serial, **options)
    dns.query.inbound_xfr("127.0.0.1", zone, made, port=port, timeout=SECONDS, lifetime=30)
    return zone


def reply(port: int, asked: dns.message.Message | bytes) -> dns.message.Message:
    made = dns.message.from_wire(asked) if isinstance(asked, bytes) else asked
    return dns.query.tcp(made, "127.0.0.1", port=port, timeout=SECONDS)


def form(zone: dns.zone.Zone) -> dict[tuple[dns.name.Name, int], tuple[int, frozenset[Any]]]:
    """Return a zone's records but for its SOA; of several strings of a TXT record only the whole counts."""
    return {
        (name, rdataset.rdtype): (
            rdataset.ttl,
            frozenset(b"".join(one.strings) if rdataset.rdtype == TXT else one.to_text() for one in rdataset),
        )
        for name, rdataset in zone.iterate_rdatasets()
        if rdataset.rdtype != SOA
    }


@pytest.mark.parametrize("zone", OPEN, ids=lambda zone: zone.name)
def test_a_transfer_is_the_master_file_whatever_meets_in_it(zone):
    listed = entries(3, 1200, wide=1)
    lines = "".join(bind.lines(zone, columns(listed), public_url=URL))
    expected = dns.zone.from_text(lines, zone.origin, relativize=False)
    live = served(OPEN, listed)

    def scenario(port: int) -> None:
        found = taken(port, zone.origin)
        assert form(found) == form(expected)
        assert len(form(found)) > 100
        # What an answer says of the zone, the transfer says too.
        (answered,) = reply(port, query(zone.origin, SOA)).answer
        assert found.get_rdataset(found.origin, "SOA") == answered.to_rdataset()

    assert run(live, scenario).stats()["answers"][zone.name, "NOERROR"] == 2


def test_a_zone_in_dry_run_transfers_the_test_points_only():
    zone = dataclasses.replace(OPEN[0], dry_run=True)

    def scenario(port: int) -> None:
        names = {name for name, type_ in form(taken(port, zone.origin)) if type_ == TXT}
        assert {str(name).split(".")[:4] == ["2", "0", "0", "127"] for name in names} == {True, False}
        assert len(names) == 2

    run(served([zone], entries(3, 300)), scenario)


def test_a_large_zone_comes_in_many_messages_with_the_soa_first_and_last():
    live = served(OPEN)
    hosts = np.arange(1 << 26, (1 << 26) + 20_000)
    live.load_columns(Layer.BOT, True, hosts, "100 % spam", NOW)

    def scenario(port: int) -> None:
        asked = dns.message.make_query(ORIGIN, AXFR, use_edns=0)
        sizes, records = [], []
        with dns.query.socket_factory(2, 1, 0) as connection:
            connection.settimeout(SECONDS)
            connection.connect(("127.0.0.1", port))
            dns.query.send_tcp(connection, asked)
            while len([one for one in records if one.rdtype == SOA]) < 2:
                message, _ = dns.query.receive_tcp(connection, one_rr_per_rrset=True)
                sizes.append((len(message.to_wire(max_size=65535)), message.edns))
                assert message.id == asked.id
                assert message.flags & 0x0400
                records += message.answer
        assert [records[0].rdtype, records[-1].rdtype] == [SOA, SOA]
        assert len(records) == 2 * len(hosts) + 2 * 2 + 1 + 2
        assert len(sizes) > 20
        assert [edns for _, edns in sizes] == [0] + [-1] * (len(sizes) - 1)
        assert {str(one[0]) for one in records if str(one.name).startswith("9.0.0.4.")} >= {"127.0.0.4"}

    run(live, scenario)


@pytest.mark.parametrize(
    ("allowed", "asked", "rcode"),
    [
        ((), query(ORIGIN, AXFR), "REFUSED"),
        (("10.0.0.0/8", "::1/128"), query(ORIGIN, AXFR, additional=(opt(),)), "REFUSED"),
        (("key:one",), query(ORIGIN, AXFR), "REFUSED"),
        (("127.0.0.1/32",), query(f"2.0.0.127.{ORIGIN}", AXFR), "NOTAUTH"),
        (("127.0.0.1/32",), query("example.org", AXFR), "NOTAUTH"),
        # Of another class, and IXFR without the serial that it is about: as any other query.
        (("127.0.0.1/32",), query(ORIGIN, AXFR, 3), "REFUSED"),
        (("127.0.0.1/32",), query(ORIGIN, IXFR), "REFUSED"),
    ],
)
def test_who_may_not_have_it_is_told_so(allowed, asked, rcode):
    live = served([dataclasses.replace(zone, transfer=allowed) for zone in ZONES.values()])

    def scenario(port: int) -> None:
        told = reply(port, asked)
        assert dns.rcode.to_text(told.rcode()) == rcode
        assert not told.answer

    run(live, scenario)


def test_more_transfers_than_fit_come_again_later():
    def scenario(port: int) -> None:
        assert reply(port, query(ORIGIN, AXFR)).rcode() == dns.rcode.SERVFAIL

    run(served(OPEN), scenario, limit=0, wait_seconds=0.05)


def test_more_transfers_than_fit_wait_for_their_turn():
    def scenario(port: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: len(form(taken(port))), range(8)))
        assert len(set(found)) == 1

    run(served(OPEN, entries(3, 300, wide=1)), scenario, limit=1)


def test_a_zone_that_cannot_be_written_ends_the_connection():
    def fail(zone: Zone, listed: Columns, serial: int) -> Iterator[Records]:
        raise ExportError("too much")

    def scenario(port: int) -> None:
        with pytest.raises((EOFError, OSError)):
            reply(port, query(ORIGIN, AXFR))
        assert reply(port, query(ORIGIN, SOA)).rcode() == dns.rcode.NOERROR

    run(served(OPEN), scenario, expand=fail)


def test_a_secondary_that_asks_for_changes_gets_the_soa_or_the_whole():
    live = served(OPEN, [entry("198.51.100.7/32")])

    def scenario(port: int) -> None:
        for serial in (live.serial, live.serial + 5):
            message = dns.message.make_query(ORIGIN, IXFR)
            soa = dns.rrset.from_text(ORIGIN + ".", 0, "IN", "SOA", f". . {serial} 0 0 0 0")
            message.authority.append(soa)
            (answer,) = reply(port, message).answer
            assert (answer.rdtype, answer[0].serial) == (SOA, live.serial)
        old = dns.zone.from_text(f"@ 1 SOA . . {live.serial - 1} 0 0 0 0\n@ 1 NS .", ORIGIN, relativize=False)
        made, serial = dns.xfr.make_query(old)
        dns.query.inbound_xfr("127.0.0.1", old, made, port=port, timeout=SECONDS)
        assert old.get_rdataset(f"7.100.51.198.{ORIGIN}.", "A") is not None

    run(live, scenario)


def forms(port: int, secondary: dns.zone.Zone) -> tuple[int, int]:
    """Bring a secondary's zone up to date by IXFR; return how many records came, how many an AXFR has."""
    made, _ = dns.xfr.make_query(secondary)
    count = 0
    with dns.query.socket_factory(2, 1, 0) as connection:
        connection.settimeout(SECONDS)
        connection.connect(("127.0.0.1", port))
        dns.query.send_tcp(connection, made)
        with dns.xfr.Inbound(secondary, IXFR, secondary.get_soa().serial) as inbound:
            done = False
            while not done:
                message, _ = dns.query.receive_tcp(connection, one_rr_per_rrset=True)
                count += len(message.answer)
                done = inbound.process_message(message)
    whole = taken(port, secondary.origin.to_text())
    assert form(secondary) == form(whole)
    assert secondary.get_soa() == whole.get_soa()
    return count, sum(len(one) for _, one in whole.iterate_rdatasets())


@pytest.mark.parametrize("zone", OPEN, ids=lambda zone: zone.name)
def test_changes_lead_to_the_same_as_the_whole(zone):
    listed = entries(3, 1000, wide=1)
    live = served(OPEN, listed[:500])

    def scenario(port: int) -> None:
        secondary = taken(port, zone.origin)
        for first in range(500, 1000, 100):
            live.apply(listed[first : first + 100], [one.place for one in listed[first - 500 : first - 460]])
            forms(port, secondary)
        live.apply([entry("203.0.113.9/32", layer) for layer in Layer if layer is not Layer.EXCLUDED])
        came, all_ = forms(port, secondary)
        assert 4 + 2 <= came < 20 < all_

    run(live, scenario)


def test_what_is_no_longer_kept_comes_as_a_whole():
    live = served(OPEN, entries(3, 300, wide=1))

    def scenario(port: int) -> None:
        secondary = taken(port)
        live.apply([entry("203.0.113.9/32")])
        came, all_ = forms(port, secondary)
        assert came == all_ + 1

    run(live, scenario, history_listings=0)


def test_a_zone_that_has_changed_itself_comes_as_a_whole():
    live = served(OPEN, entries(3, 300, wide=1))

    def scenario(port: int) -> None:
        secondary = taken(port)
        live.set_zones([dataclasses.replace(zone, ttl=99) for zone in OPEN])
        came, all_ = forms(port, secondary)
        assert came == all_ + 1

    run(live, scenario)


# TSIG


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_whoever_signs_with_the_key_gets_all_signed(algorithm):
    live = served(with_key())
    live.load_columns(Layer.BOT, True, np.arange(1 << 26, (1 << 26) + 3000), "spam", NOW)

    def scenario(port: int) -> None:
        # dnspython checks the signature of each message over the one before.
        zone = taken(port, keyring=make_key("one", algorithm, SECRETS[0]), keyname=dns.name.from_text("one"))
        assert len(form(zone)) > 6000

    run(live, scenario, algorithm=algorithm)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (make_key("one", "hmac-sha256", SECRETS[1]), dns.tsig.PeerBadSignature),
        (make_key("one", "hmac-sha512", SECRETS[0]), dns.tsig.PeerBadKey),
        (make_key("two", "hmac-sha256", SECRETS[0]), dns.tsig.PeerBadKey),
    ],
)
def test_a_wrong_key_is_told_what_is_wrong(key, error):
    def scenario(port: int) -> None:
        asked = dns.message.make_query(ORIGIN, AXFR)
        asked.use_tsig(key)
        with pytest.raises(error):
            reply(port, asked)

    # Even where no key is asked for.
    run(served(OPEN), scenario)


def test_a_clock_that_is_wrong_is_told_with_a_signature():
    def scenario(port: int) -> None:
        asked = dns.message.make_query(ORIGIN, AXFR)
        asked.use_tsig(make_key("one", "hmac-sha256", SECRETS[0]))
        with pytest.raises(dns.tsig.PeerBadTime):
            reply(port, asked)

    run(served(with_key()), scenario, clock=lambda: time.time() + 1000)


def test_a_key_for_another_zone_does_not_open_this_one():
    def scenario(port: int) -> None:
        asked = dns.message.make_query(ORIGIN, AXFR)
        asked.use_tsig(make_key("one", "hmac-sha256", SECRETS[0]))
        told = reply(port, asked)
        assert told.rcode() == dns.rcode.REFUSED
        assert told.had_tsig

    run(served(with_key("key:two")), scenario)


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_broken_request_is_no_transfer(cut):
    asked = dns.message.make_query(ORIGIN, AXFR)
    asked.use_tsig(make_key("one", "hmac-sha256", SECRETS[0]))
    data = asked.to_wire()[:-cut]

    def scenario(port: int) -> None:
        with dns.query.socket_factory(2, 1, 0) as connection:
            connection.settimeout(SECONDS)
            connection.connect(("127.0.0.1", port))
            connection.sendall(struct.pack(">H", len(data)) + data)
            message, _ = dns.query.receive_tcp(connection)
            assert message.rcode() == dns.rcode.FORMERR

    run(served(OPEN), scenario)


def test_requests_with_any_octets_changed_are_answered_or_not_understood():
    source = random.Random(1)
    keys = {"one": make_key("one", "hmac-sha256", SECRETS[0])}
    transfers = Transfers(served(OPEN), expand, compare, keys, time.time)
    signed = dns.message.make_query(ORIGIN, IXFR, use_edns=0)
    signed.authority.append(dns.rrset.from_text(f"{ORIGIN}.", 0, "IN", "SOA", ". . 1 0 0 0 0"))
    signed.use_tsig(keys["one"])
    whole = signed.to_wire()
    answered = 0
    for length in range(HEADER_BYTES):
        assert not is_transfer(whole[:length])
    for _ in range(5000):
        data = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            data[source.randrange(len(data))] = source.randrange(256)
        data = data[: source.choice((len(data), len(data), source.randrange(len(data))))]
        if is_transfer(bytes(data)):
            answered += transfers.answer(bytes(data), "127.0.0.1") is not None
    assert answered > 500
