"""Response rate limiting: what a network may have in a second."""

import random
from collections import Counter

import pytest

from dnsbl.wire.rate import RateTable

PASSED, DROPPED, TRUNCATED = 0, 1, 2
V4 = bytes([192, 0, 2, 1])
V6 = bytes.fromhex("20010db8000001" + "00" * 9)
NOW = 1_700_000_000


@pytest.mark.parametrize(("address", "near", "far"), [(V4, -1, 2), (V6, 7, 6)])
def test_a_network_has_its_replies_each_second(address, near, far):
    table = RateTable(5, 0, False)
    neighbour, stranger = bytearray(address), bytearray(address)
    neighbour[near] ^= 0xFF
    stranger[far] ^= 1
    for now in (NOW, NOW + 1, NOW + 100):
        asked = [table.take(one, now) for one in [address, bytes(neighbour)] * 4]
        assert asked == [PASSED] * 5 + [DROPPED] * 3
        assert table.take(bytes(stranger), now) == PASSED


@pytest.mark.parametrize(("slip", "truncated"), [(0, 0), (1, 12), (2, 6), (3, 4)])
def test_each_slip_th_is_truncated(slip, truncated):
    table = RateTable(1, slip, False)
    found = Counter(table.take(V4, NOW) for _ in range(13))
    assert found == Counter({PASSED: 1, TRUNCATED: truncated, DROPPED: 12 - truncated})


def test_many_networks_make_room_for_each_other():
    """More networks than the table holds: the quiet ones go, and who asks all the time stays limited."""
    table = RateTable(2, 0, False)
    random_ = random.Random(1)
    passed = 0
    for number in range(200_000):
        now = NOW + number // 10_000
        table.take(random_.randbytes(16), now)
        if number % 10 == 0:
            passed += table.take(V4, now) == PASSED
    assert 2 * 20 <= passed < 2 * 20 + 20


def test_an_address_has_four_or_sixteen_octets():
    with pytest.raises(ValueError, match="4 or 16"):
        RateTable(1, 0, False).take(b"12345", NOW)
