"""What EDNS options and class CHAOS get: extended errors, and who answered from which version of a zone."""

import dnslib
import pytest

from dnsbl.wire.answer import EDNS_PAYLOAD_BYTES
from dnsbl.zone.live import LiveZones
from dnsbl.zone.manners import Manners
from tests.dnsbl.wire.packets import ANY, CH, SOA, TXT, A, opt, parse, query, rcode, reverse
from tests.dnsbl.zone.test_live import NOW, URL, ZONES, entry

BL = "bl.vedette.test"
NSID, COOKIE, EDE, ZONEVERSION = 3, 10, 15, 19


def option(code: int, data: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


def server(**manners):
    live = LiveZones(ZONES, public_url=URL, serial=6, manners=Manners(**manners), clock=lambda: NOW)
    live.apply([entry("192.0.2.4/32")])
    return live


def options(reply: bytes) -> dict[int, bytes]:
    """Return the options of a reply's one OPT record."""
    (record,) = (one for one in parse(reply).ar if one.rtype == dnslib.QTYPE.OPT)
    assert record.rclass == EDNS_PAYLOAD_BYTES
    return {one.code: bytes(one.data) for one in record.rdata}


def ask(live, name, *asked: bytes, type_=A, size=1232):
    return live.answer(query(name, type_, additional=(opt(size, options=b"".join(asked)),)))


def test_a_name_outside_the_zones_is_refused_as_not_authoritative():
    live = server()
    reply = ask(live, "example.org")
    assert rcode(reply) == "REFUSED"
    assert options(reply) == {EDE: b"\0\x14"}
    assert parse(live.answer(query("example.org"))).ar == []
    assert options(ask(live, BL)) == {}


def test_who_answered_is_said_to_those_who_ask():
    live = server(nsid=b"ns1.example")
    listed = reverse("192.0.2.4", BL)
    assert options(ask(live, listed, option(NSID))) == {NSID: b"ns1.example"}
    assert options(ask(live, "example.org", option(NSID))) == {NSID: b"ns1.example", EDE: b"\0\x14"}
    assert options(ask(live, listed)) == {}
    assert options(ask(server(), listed, option(NSID))) == {}


def test_the_version_of_the_zone_is_the_serial_of_its_soa():
    live = server()
    expected = {ZONEVERSION: b"\3\0\0\0\0\7"}
    for name in (reverse("192.0.2.4", BL), reverse("192.0.2.5", BL), f"192.{BL}", BL):
        assert options(ask(live, name, option(ZONEVERSION))) == expected
    (soa,) = parse(ask(live, BL, type_=SOA)).rr
    assert soa.rdata.times[0] == 7
    assert options(ask(live, "example.org", option(ZONEVERSION))) == {EDE: b"\0\x14"}
    assert rcode(ask(live, BL, option(ZONEVERSION, b"x"))) == "FORMERR"


def test_options_stay_in_what_the_client_takes():
    live = server(nsid=b"n" * 128)
    live.apply([entry("192.0.2.0/24"), entry("192.0.2.4/32")])
    for room in range(512, 700, 7):
        reply = ask(live, reverse("192.0.2.4", BL), option(NSID), option(ZONEVERSION), type_=TXT, size=room)
        assert len(reply) <= room
        assert set(options(reply)) == {NSID, ZONEVERSION}


@pytest.mark.parametrize("type_", [TXT, ANY])
def test_class_chaos_says_what_is_configured(type_):
    live = server(nsid=b"ns1", version=b"v" * 255)
    for name, text in (("version.bind", b"v" * 255), ("ID.server", b"ns1")):
        (record,) = parse(live.answer(query(name, type_, CH))).rr
        assert (record.rclass, record.rdata.data) == (CH, [text])
    for name in ("version.bind", "id.server"):
        assert rcode(server(version=b"").answer(query(name, type_, CH))) == "REFUSED"
    assert rcode(live.answer(query("hostname.other", type_, CH))) == "REFUSED"
    assert rcode(live.answer(query("version.bind", A, CH))) == "REFUSED"
