"""What is published by columns is what the answers' oracle says, address by address."""

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbl.export.published import NOTHING, blocks, segments, tries
from dnsbl.listing.codes import Layer
from dnsbl.listing.columns import Columns
from dnsbl.listing.entry import Entry, Place
from dnsbl.wire.twin import Part, Twin
from dnsbl.zone.zone import Zone
from tests.dnsbl.export.scenes import NOW, URL, ZONES, IPAddress, asked, columns, entries
from tests.dnsbl.zone.test_live import entry


def found(zone: Zone, listed: Columns, address: IPAddress) -> list[tuple[int, int]]:
    """Return code and since of each hit, looked up in the segments."""
    is_v4 = address.version == 4
    value = np.uint64(int(address) if is_v4 else int(address) >> 64)
    made = tries(zone, listed, is_v4)
    parts = segments(made, is_v4)
    at = int(np.searchsorted(parts.firsts, value, "right")) - 1
    if at < 0 or parts.lasts[at] < value:
        return []
    return [
        (trie.answer.code + int(trie.column.trusts[row]), int(trie.column.since[row]))
        for trie, row in zip(made, parts.hits[at].tolist(), strict=True)
        if row != NOTHING
    ]


def wanted(twin: Twin, zone: Zone, address: IPAddress) -> list[tuple[int, int]]:
    part = Part(address.version, int(address), address.max_prefixlen)
    return [(code, one.since) for code, one in twin._hits(zone, part, NOW)]


def is_test_point(address: IPAddress) -> bool:
    return int(address) in (0x7F000001, 0x7F000002) if address.version == 4 else int(address) >> 64 == 0


@pytest.mark.parametrize("name", list(ZONES))
@pytest.mark.parametrize("seed", range(4))
def test_every_address_is_listed_as_the_answers_say(name: str, seed: int) -> None:
    listed = entries(seed, 150)
    twin = Twin([ZONES[name]], listed, URL, 1)
    made = columns(listed)
    hits = 0
    for address in asked(listed, seed, 150):
        if not is_test_point(address):
            expected = wanted(twin, ZONES[name], address)
            assert found(ZONES[name], made, address) == expected, address
            hits += bool(expected)
    assert hits > 10


@st.composite
def _any_entries(draw: st.DrawFn) -> Entry:
    """Few values and lengths, so that exclusions, ranges and hosts fall on and beside one another."""
    is_v4, value = draw(st.booleans()), draw(st.integers(0, 3))
    bits = 32 if is_v4 else 64
    length = bits - draw(st.sampled_from([0, 0, 1, 2, 8, bits - 8, bits - 7, bits - 1, bits]))
    value = (value << bits - 8 | value) >> (bits - length) << (bits - length)
    return Entry(Place(draw(st.sampled_from(list(Layer))), is_v4, value, length), "x", draw(st.integers(0, 3)))


@given(st.lists(_any_entries(), max_size=8), st.sampled_from(list(ZONES)))
def test_any_places_at_all(listed: list[Entry], name: str) -> None:
    twin, made = Twin([ZONES[name]], listed, URL, 1), columns(listed)
    for address in asked(listed, 1, 40):
        if not is_test_point(address):
            assert found(ZONES[name], made, address) == wanted(twin, ZONES[name], address), address


@pytest.mark.parametrize("is_v4", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_blocks_hold_what_is_listed_and_as_few_as_can_be(seed: int, is_v4: bool) -> None:
    listed = [one for one in entries(seed, 300) if one.place.is_v4 == is_v4]
    made, zone = columns(listed), ZONES["all"]
    found_blocks = blocks(zone, made, is_v4)
    shift = 0 if is_v4 else 64
    networks = [
        ipaddress.ip_network((value << shift, length)) if is_v4 else ipaddress.IPv6Network((value << 64, length))
        for value, length in zip(found_blocks.values.tolist(), found_blocks.lengths.tolist(), strict=True)
    ]
    assert networks == list(ipaddress.collapse_addresses(networks))
    twin = Twin([zone], listed, URL, 1)
    for address in asked(listed, seed, 200):
        if address.version == (4 if is_v4 else 6) and not is_test_point(address):
            assert any(address in network for network in networks) == bool(wanted(twin, zone, address)), address


def test_the_last_of_equal_places_counts_and_what_has_expired_does_not() -> None:
    old, new = entry("192.0.2.4/32", reason="old"), entry("192.0.2.4/32", reason="new")
    gone = entry("192.0.2.5/32", expires=NOW)
    made = columns([old, gone, new])
    column = made.column(Layer.BOT, True)
    assert [made.reasons[number] for number in column.reasons] == ["new"]
    assert column.values.tolist() == [0xC0000204]


def test_rows_of_the_store_and_entries_give_the_same_column() -> None:
    by_rows = Columns(NOW)
    by_rows.add_rows(Layer.BOT, True, [("192.0.2.4", 32, "spam", 5, 0, 0), ("10.0.0.0", 8, "spam", 6, NOW + 1, 2)])
    by_rows.add_rows(Layer.BOT, False, [("2001:db8:1:2::", 64, "spam", 7, 0, 0)])
    by_entries = columns(
        [
            Entry(Place(Layer.BOT, True, 0xC0000204, 32), "spam", 5),
            Entry(Place(Layer.BOT, True, 10 << 24, 8), "spam", 6, NOW + 1, 2),
            Entry(Place(Layer.BOT, False, 0x20010DB800010002, 64), "spam", 7),
        ]
    )
    for is_v4 in (True, False):
        one, two = ([part.tolist() for part in made.column(Layer.BOT, is_v4)] for made in (by_rows, by_entries))
        assert one == two


def test_a_zone_in_its_dry_run_publishes_nothing() -> None:
    dry = Zone(**(vars(ZONES["bl"]) | {"dry_run": True}))
    assert tries(dry, columns([entry("192.0.2.4/32")]), True) == []
    assert blocks(dry, columns([entry("192.0.2.4/32")]), True).values.tolist() == []
