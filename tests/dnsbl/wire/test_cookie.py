"""DNS cookies: the vectors of RFC 9018, and what a client sees."""

import ipaddress

import pytest

from dnsbl.wire.cookie import make
from dnsbl.zone.live import LiveZones
from dnsbl.zone.manners import Manners
from tests.dnsbl.wire.packets import opt, query, rcode
from tests.dnsbl.wire.test_options import BL, COOKIE, ask, option, options
from tests.dnsbl.zone.test_live import NOW, URL, ZONES

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = b"cookie01"


@pytest.mark.parametrize(
    ("client", "address", "secret", "moment", "server"),
    [
        # RFC 9018, appendix A.1 and A.4.
        ("2464c4abcf10c957", "198.51.100.100", SECRET.hex(), 0x5CF79F11, "010000005cf79f111f8130c3eee29480"),
        (
            "22681ab97d52c298", "2001:db8:220:1:59de:d0f4:8769:82b8", "445536bcd2513298075a5d379663c962",
            0x5CF7C609, "010000005cf7c609a6bb79d16625507a",
        ),
    ],
)  # fmt: skip
def test_the_vectors_of_rfc_9018(client, address, secret, moment, server):
    packed = ipaddress.ip_address(address).packed
    made = make(bytes.fromhex(secret), False, bytes.fromhex(client), packed, moment)
    assert made.hex() == client + server


def test_a_rotating_secret_makes_another_cookie_each_day_and_for_each_client():
    made = {
        make(SECRET, rotates, CLIENT, address, moment)[16:]
        for rotates in (False, True)
        for address in (b"\1\2\3\4", b"\1\2\3\5")
        for moment in (NOW, NOW + 86_400)
    }
    assert len(made) == 8


@pytest.fixture
def live():
    manners = Manners(cookie_secret=SECRET, cookie_rotates=True)
    return LiveZones(ZONES, public_url=URL, manners=manners, clock=lambda: NOW)


@pytest.mark.parametrize("rest", [b"", b"s" * 8, b"s" * 16, b"s" * 32])
def test_any_cookie_of_a_right_length_gets_a_fresh_one(live, rest):
    asked = query(BL, additional=(opt(options=option(COOKIE, CLIENT + rest)),))
    (cookie,) = options(live.answer(asked, client="192.0.2.9")).values()
    assert cookie == make(SECRET, True, CLIENT, b"\xc0\0\2\x09", NOW)


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 41])
def test_a_cookie_of_a_wrong_length_is_malformed(live, size):
    assert rcode(ask(live, BL, option(COOKIE, b"c" * size))) == "FORMERR"


def test_cookies_are_ignored_unless_they_are_switched_on():
    live = LiveZones(ZONES, public_url=URL, clock=lambda: NOW)
    assert options(ask(live, BL, option(COOKIE, b"c"))) == {}
    assert options(ask(live, BL, option(COOKIE, CLIENT))) == {}
