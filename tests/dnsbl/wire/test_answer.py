"""Golden packets: what resolvers and MTAs of every strictness ask, and the exact reply."""

import struct

import pytest

from dnsbl.listing.codes import Layer
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import Answer, NameServer, Soa, Zone
from tests.dnsbl.wire.packets import AAAA, ANY, CH, NS, SOA, TXT, A, codes, opt, parse, query, rcode, reverse
from tests.dnsbl.zone.test_live import NOW, URL, ZONES, entry

BL = "bl.vedette.test"


@pytest.fixture(scope="module")
def live() -> LiveZones:
    live = LiveZones(ZONES, public_url=URL, serial=6, clock=lambda: NOW)
    live.apply(
        [
            entry("192.0.2.4/32"),
            entry("10.20.0.0/16", Layer.DYNAMIC_DECLARED),
            entry("100.64.0.0/11", Layer.DYNAMIC_INFERRED),
            entry("2001:db8:1:2::/64"),
            entry("2a00::/64"),
            entry("2001:db8:8000::/33", Layer.DYNAMIC_INFERRED),
        ]
    )
    return live


def ask(live, name, type_=A, **options):
    return live.answer(query(name, type_, **options))


def test_a_listed_address_byte_for_byte(live):
    question = b"\x014\x012\x010\x03192\x02bL\x07vedette\x04test\0\0\1\0\1"
    asked = b"\xab\xcd\1\0\0\1\0\0\0\0\0\0" + question
    assert live.answer(asked) == (
        b"\xab\xcd\x85\0\0\1\0\1\0\0\0\0"
        + question
        + b"\xc0\x0c\0\1\0\1"
        + struct.pack(">IH", 300, 4)
        + b"\x7f\0\0\4"
    )


def test_an_address_that_is_not_listed_byte_for_byte(live):
    question = b"\x015\x012\x010\x03192\x02bl\x07vedette\x04test\0\0\1\0\1"
    soa = b"\x02ns\xc0\x19" + b"\x0ahostmaster\xc0\x19" + struct.pack(">5I", 7, 3600, 600, 604800, 60)
    assert live.answer(b"\0\1\0\0\0\1\0\0\0\0\0\0" + question) == (
        b"\0\1\x84\x03\0\1\0\0\0\1\0\0" + question + b"\xc0\x16\0\6\0\1" + struct.pack(">IH", 60, len(soa)) + soa
    )


@pytest.mark.parametrize("zone", ["bl", "dyn", "all", "wl", "class"])
def test_the_test_points_of_rfc_5782_are_in_every_zone(live, zone):
    name = f"{zone}.vedette.test"
    listed = "127.0.0.40" if zone == "wl" else "127.0.0.2"
    for address in ("127.0.0.2", "::ffff:7f00:2"):
        assert codes(ask(live, reverse(address, name))) == [listed]
        (text,) = parse(ask(live, reverse(address, name), TXT)).rr
        assert "test entry" in str(text.rdata)
    for address in ("127.0.0.1", "::ffff:7f00:1"):
        assert rcode(ask(live, reverse(address, name))) == "NXDOMAIN"
        assert rcode(ask(live, reverse(address, name), TXT)) == "NXDOMAIN"


def test_test_points_answer_in_a_dry_run_and_nothing_else_does(live):
    zones = [type(zone)(**(vars(zone) | {"dry_run": True})) for zone in ZONES]
    dry = LiveZones(zones, public_url=URL, clock=lambda: NOW)
    dry.apply([entry("192.0.2.4/32")])
    assert codes(ask(dry, reverse("127.0.0.2", BL))) == ["127.0.0.2"]
    assert rcode(ask(dry, reverse("192.0.2.4", BL))) == rcode(ask(dry, f"192.{BL}")) == "NXDOMAIN"
    assert rcode(ask(dry, f"127.{BL}")) == "NOERROR"


@pytest.mark.parametrize(
    ("address", "zone"), [("192.0.2.4", "bl"), ("10.20.0.0", "dyn"), ("2001:db8:1:2::1", "bl"), ("127.0.0.2", "wl")]
)
def test_every_name_above_a_listing_is_nodata(live, address, zone):
    labels = reverse(address, f"{zone}.vedette.test").split(".")
    for number in range(1, len(labels) - 2):
        reply = parse(ask(live, ".".join(labels[number:])))
        assert (reply.header.rcode, reply.rr, len(reply.auth)) == (0, [], 1), labels[number:]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("192.bl", "NOERROR"),
        ("193.bl", "NXDOMAIN"),
        ("0.192.bl", "NOERROR"),
        ("1.192.bl", "NXDOMAIN"),
        ("3.0.192.bl", "NXDOMAIN"),
        ("192.dyn", "NXDOMAIN"),  # each zone for itself
        ("100.dyn", "NOERROR"),
        ("64.100.dyn", "NOERROR"),
        ("95.100.dyn", "NOERROR"),
        ("96.100.dyn", "NXDOMAIN"),
        ("7.20.10.dyn", "NOERROR"),
        ("2.bl", "NOERROR"),  # 2000::/4
        ("2.wl", "NXDOMAIN"),
        ("0.0.2.bl", "NOERROR"),
        ("1.0.0.2.bl", "NOERROR"),  # 2001::/16
        ("1.0.0.2.dyn", "NOERROR"),  # of 2001:db8:8000::/33
        ("1.0.0.2.wl", "NXDOMAIN"),
        ("2.0.0.2.bl", "NXDOMAIN"),
        ("8.b.d.0.1.0.0.2.bl", "NOERROR"),
        ("a.2.bl", "NOERROR"),
        ("b.2.bl", "NXDOMAIN"),
        ("9.b.d.0.1.0.0.2.bl", "NXDOMAIN"),
        ("8.8.b.d.0.1.0.0.2.dyn", "NOERROR"),
        ("7.8.b.d.0.1.0.0.2.dyn", "NXDOMAIN"),
        ("5.4.2.0.192.bl", "NXDOMAIN"),
        ("04.2.0.192.bl", "NXDOMAIN"),
        ("4.2.0.0192.bl", "NXDOMAIN"),
        ("256.2.0.192.bl", "NXDOMAIN"),
        ("4.2.0.-92.bl", "NXDOMAIN"),
        ("x.bl", "NXDOMAIN"),
        ("bl", "NOERROR"),
        ("xbl", "REFUSED"),
        ("vedette.test", "REFUSED"),
    ],
)
def test_a_name_exists_only_if_something_is_below(live, name, expected):
    name = name if name == "vedette.test" else f"{name}.vedette.test"
    for type_ in (A, TXT, 65280):
        assert rcode(ask(live, name, type_)) == expected


def test_a_name_that_is_an_ipv4_address_and_a_part_of_an_ipv6_one_is_answered_for_both():
    live = LiveZones(ZONES, public_url=URL, clock=lambda: NOW)
    assert rcode(ask(live, f"1.0.0.2.{BL}")) == "NXDOMAIN"
    live.apply([entry("2001:db8::/64")])
    reply = parse(ask(live, f"1.0.0.2.{BL}"))
    assert (reply.header.rcode, reply.rr) == (0, [])
    live.apply([entry("2.0.0.1/32")])
    assert codes(ask(live, f"1.0.0.2.{BL}")) == ["127.0.0.4"]


def test_the_families_never_answer_for_each_other(live):
    mapped = f"{'.'.join(reversed('00000000000000000000ffffc0000204'))}.{BL}"
    assert rcode(ask(live, mapped)) == "NXDOMAIN"


def test_nibbles_in_capitals_are_nibbles(live):
    assert codes(ask(live, reverse("2001:db8:1:2:abcd::", BL).upper())) == ["127.0.0.4"]


def test_the_apex_has_soa_and_ns_and_no_address(live):
    (soa,) = parse(ask(live, BL, SOA)).rr
    assert str(soa.rdata) == "ns.vedette.test. hostmaster.vedette.test. 7 3600 600 604800 60"
    assert soa.ttl == 300
    (ns,) = parse(ask(live, BL, NS)).rr
    assert str(ns.rdata) == "ns.vedette.test."
    reply = parse(ask(live, BL, A))
    assert (reply.header.rcode, reply.rr, reply.auth[0].ttl) == (0, [], 60)
    assert [record.rtype for record in parse(ask(live, BL, ANY)).rr] == [SOA]


def test_name_servers_in_the_zone_come_with_their_addresses():
    servers = (
        NameServer("ns1.x.test", ("192.0.2.1", "2001:db8::1")),
        NameServer("a.ns.x.test"),
        NameServer("ns.y.test"),
    )
    zone = Zone(
        "x",
        "x.test",
        "block",
        300,
        60,
        Soa("ns1.x.test", "h.x.test"),
        servers,
        (Answer(Layer.BOT, 0x7F000004, 300, "x"),),
    )
    live = LiveZones([zone], public_url="", clock=lambda: NOW)
    reply = parse(ask(live, "x.test", NS))
    assert [str(record.rdata) for record in reply.rr] == ["ns1.x.test.", "a.ns.x.test.", "ns.y.test."]
    assert [(str(record.rname), str(record.rdata)) for record in reply.ar] == [
        ("ns1.x.test.", "192.0.2.1"),
        ("ns1.x.test.", "2001:db8::1"),
    ]
    assert codes(ask(live, "NS1.x.test", A)) == codes(ask(live, "ns1.x.test", ANY)) == ["192.0.2.1"]
    assert [str(record.rdata) for record in parse(ask(live, "ns1.x.test", AAAA)).rr] == ["2001:db8::1"]
    assert rcode(ask(live, "ns1.x.test", TXT)) == rcode(ask(live, "ns.x.test")) == "NOERROR"
    assert rcode(ask(live, "b.ns.x.test")) == rcode(ask(live, "s.x.test")) == "NXDOMAIN"


def test_any_is_answered_with_one_rrset(live):
    reply = parse(ask(live, reverse("192.0.2.4", BL), ANY))
    assert [record.rtype for record in reply.rr] == [A]


def test_what_is_not_served_is_refused(live):
    assert rcode(ask(live, "example.org")) == "REFUSED"
    assert rcode(ask(live, BL, 252)) == rcode(ask(live, BL, 251)) == "REFUSED"
    assert rcode(ask(live, reverse("192.0.2.4", BL), klass=CH)) == "REFUSED"
    assert rcode(ask(live, reverse("192.0.2.4", BL), klass=255)) == "REFUSED"
    assert not parse(ask(live, "example.org")).header.aa
    (version,) = parse(ask(live, "VERSION.bind", TXT, klass=CH)).rr
    assert str(version.rdata) == '"vedette"'


def test_other_opcodes_are_not_implemented_and_echo_the_question(live):
    reply = ask(live, BL, SOA, flags=0x2000)
    assert rcode(reply) == "NOTIMP"
    assert reply[12:] == query(BL, SOA)[12:]


@pytest.mark.parametrize(
    "data",
    [
        b"\0\1\0\0\0\0\0\0\0\0\0\0",
        b"\0\1\0\0\0\2\0\0\0\0\0\0" + query(BL)[12:] * 2,
        query(BL)[:-1],
        query(BL) + b"\0",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\2bl\xc0\x0c\0\1\0\1",
        b"\0\1\0\0\0\1\0\0\0\0\0\0\x40" + b"x" * 64 + b"\0\0\1\0\1",
        query([b"x" * 63] * 4),
        query(BL, additional=(opt(), opt())),
        query(BL, additional=(opt(options=b"\0\3\0\5abcd"),)),
        query(BL, additional=(b"\1x" + opt(),)),
    ],
)
def test_what_cannot_be_read_whole_is_a_format_error_with_a_bare_header(live, data):
    assert live.answer(data) == data[:2] + struct.pack(">BB4H", 0x80 | data[2] & 1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize("data", [b"", b"\0" * 11, query(BL, flags=0x8000), b"\xff" * 40])
def test_what_is_no_query_gets_no_reply(live, data):
    assert live.answer(data) is None


def test_the_longest_possible_name_is_answered(live):
    labels = [b"x" * 63, b"x" * 63, b"x" * 63, b"x" * 45, b"bl", b"vedette", b"test"]
    assert sum(map(len, labels)) + len(labels) + 1 == 255
    assert rcode(live.answer(query(labels))) == "NXDOMAIN"


def test_edns_is_answered_iff_it_is_asked(live):
    name = reverse("192.0.2.4", BL)
    assert parse(ask(live, name)).ar == []
    (record,) = parse(ask(live, name, additional=(opt(4096, do=True, options=b"\0\x0a\0\2ab"),))).ar
    assert (record.rclass, record.ttl, record.rdata) == (1232, 0x8000, [])


def test_an_unknown_edns_version_is_refused_with_ours(live):
    reply = parse(ask(live, reverse("192.0.2.4", BL), additional=(opt(version=1),)))
    assert (reply.header.rcode, reply.rr, reply.ar[0].ttl) == (0, [], 0x01000000)
    assert len(reply.questions) == 1


def long_text_zone() -> LiveZones:
    answers = tuple(
        Answer(layer, 0x7F000002 + layer, 300, f"{layer} " + "x" * 300)
        for layer in (Layer.OPERATOR, Layer.BOT, Layer.DYNAMIC_DECLARED)
    )
    zone = Zone("x", "x.test", "block", 300, 60, Soa("ns.test", "h.test"), (), answers)
    live = LiveZones([zone], public_url="", clock=lambda: NOW)
    live.apply([entry("192.0.2.4/32", answer.layer) for answer in answers])
    return live


@pytest.mark.parametrize(
    ("additional", "is_tcp", "fits"),
    [
        ((), False, False),
        ((opt(100),), False, False),
        ((opt(900),), False, False),
        ((opt(1232),), False, True),
        ((), True, True),
    ],
)
def test_a_reply_that_does_not_fit_is_cut_whole(additional, is_tcp, fits):
    data = query("4.2.0.192.x.test", TXT, additional=additional)
    reply = long_text_zone().answer(data, tcp=is_tcp)
    parsed = parse(reply)
    assert bool(parsed.header.tc) is not fits
    assert len(parsed.rr) == (3 if fits else 0)
    assert len(parsed.ar) == len(additional)
    if fits:
        assert [len(part) for part in parsed.rr[0].rdata.data] == [255, 47]


def test_rrsets_have_one_ttl(live):
    listed = LiveZones(ZONES, public_url=URL, clock=lambda: NOW)
    listed.apply([entry("192.0.2.4/32", expires=NOW + 40), entry("192.0.2.0/24", Layer.DYNAMIC_INFERRED)])
    for type_ in (A, TXT):
        assert [
            record.ttl for record in parse(ask(listed, reverse("192.0.2.4", "all.vedette.test"), type_)).rr
        ] == [40, 40]


def test_the_zone_with_the_longest_name_answers():
    answers = (Answer(Layer.BOT, 0x7F000004, 300, "x"),)
    inner, outer = (
        Zone(name, name, "block", 300, 60, Soa("ns.test", "h.test"), (), answers)
        for name in ("192.x.test", "x.test")
    )
    live = LiveZones([outer, inner], public_url="", clock=lambda: NOW)
    live.apply([entry("192.0.2.4/32")])
    assert parse(ask(live, "192.x.test", SOA)).rr[0].rname == "192.x.test."
    assert rcode(ask(live, "4.2.0.192.x.test")) == "NXDOMAIN"  # 4.2.0 of the inner zone is no whole address
    assert live.answer_counted(query("x.192.x.test")).zone == "192.x.test"
