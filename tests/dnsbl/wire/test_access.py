"""Zones that are not for all: by the client's prefix, and by a key in the name."""

from dataclasses import replace

import pytest

from dnsbl.zone.access import Access
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import NameServer
from tests.dnsbl.wire.packets import NS, SOA, TXT, A, codes, opt, parse, query, rcode, reverse
from tests.dnsbl.wire.test_options import EDE, ask, options
from tests.dnsbl.zone.test_live import NOW, URL, ZONES, entry

BL = "bl.vedette.test"
KEY = "f00dfeed1"


def served(**access):
    zones = [replace(zone, access=Access(**access)) if zone.origin == BL else zone for zone in ZONES]
    live = LiveZones(zones, public_url=URL, clock=lambda: NOW)
    live.apply([entry("192.0.2.4/32")])
    return live


@pytest.mark.parametrize(
    ("client", "may"),
    [
        ("198.51.100.0", True),
        ("198.51.100.127", True),
        ("198.51.100.128", False),
        ("2001:db8:7fff::1", True),
        ("2001:db8:8000::1", False),
        ("::c633:6400", False),
    ],
)
def test_only_clients_in_a_prefix_may_ask_a_zone(client, may):
    live = served(allow=("198.51.100.0/25", "2001:db8::/33"))
    for name in (reverse("192.0.2.4", BL), reverse("127.0.0.2", BL), BL):
        reply = live.answer(query(name, additional=(opt(),)), client=client)
        assert (rcode(reply) == "NOERROR") is may
        assert rcode(reply) in ("NOERROR", "REFUSED")
        assert options(reply) == ({} if may else {EDE: b"\0\x12"})
        assert bool(parse(reply).header.aa) is may
    assert codes(live.answer(query(reverse("192.0.2.4", "all.vedette.test")), client=client)) == ["127.0.0.4"]


def test_a_refusal_by_code_is_no_listing():
    live = served(allow=("198.51.100.0/25",), refused_with_code=True)
    for address in ("192.0.2.4", "192.0.2.5", "2001:db8::1"):
        reply = live.answer(query(reverse(address, BL), additional=(opt(),)), client="203.0.113.1")
        assert codes(reply) == ["127.255.255.254"]
        assert options(reply) == {EDE: b"\0\x12"}
    for name, type_ in ((reverse("192.0.2.4", BL), TXT), (BL, A), (BL, SOA), (f"192.{BL}", A), (f"x.{BL}", A)):
        assert rcode(live.answer(query(name, type_), client="203.0.113.1")) == "REFUSED"


def test_below_a_key_stands_the_whole_zone():
    live = served(keys=("another-key", KEY))
    for key in (KEY, KEY.upper(), "another-key"):
        keyed = f"{key}.{BL}"
        assert codes(ask(live, reverse("192.0.2.4", keyed))) == ["127.0.0.4"]
        assert codes(ask(live, reverse("127.0.0.2", keyed))) == ["127.0.0.2"]
        missing = ask(live, reverse("192.0.2.5", keyed))
        assert rcode(missing) == "NXDOMAIN"
        (soa,) = parse(missing).auth
        assert str(soa.rname) == f"{BL}."
        for name in (keyed, f"192.{keyed}"):
            assert rcode(ask(live, name)) == "NOERROR"
            assert parse(ask(live, name)).rr == []


@pytest.mark.parametrize("below", ["", "unknownkey.", "f00dfee.", f"{KEY}2.", f"x.{KEY}x.", f"{KEY}.unknownkey."])
def test_without_a_key_an_address_is_refused(below):
    live = served(keys=("another-key", KEY))
    for address in ("192.0.2.4", "127.0.0.2", "2001:db8::1"):
        reply = ask(live, reverse(address, f"{below}{BL}"))
        assert rcode(reply) == "REFUSED"
        assert options(reply) == {EDE: b"\0\x12"}


def test_without_a_key_the_zone_itself_can_be_found():
    live = served(keys=(KEY,))
    assert parse(ask(live, BL, type_=SOA)).rr
    assert parse(ask(live, BL, type_=NS)).rr
    zone = next(zone for zone in live.zones if zone.origin == BL)
    live.set_zones([replace(zone, nameservers=(NameServer(f"ns.a.{BL}", ("192.0.2.53",)),))])
    assert codes(ask(live, f"ns.a.{BL}")) == ["192.0.2.53"]
    assert rcode(ask(live, f"a.{BL}")) == "NOERROR"


def test_keys_change_with_the_zones():
    live = served(keys=(KEY,))
    live.set_zones([replace(zone, access=Access(keys=("another-key",))) for zone in live.zones])
    assert rcode(ask(live, reverse("192.0.2.4", f"{KEY}.{BL}"))) == "REFUSED"
    assert codes(ask(live, reverse("192.0.2.4", f"another-key.{BL}"))) == ["127.0.0.4"]
