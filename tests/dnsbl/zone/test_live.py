import ipaddress
import random
import subprocess
import sys

import numpy as np
import pytest

from dnsbl.errors import ZoneError
from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import load_zones, packaged_zones
from tests.dnsbl.wire.packets import SOA, TXT, codes, parse, query, rcode, reverse

URL = "https://list.example"
NOW = 1_700_000_000
ZONES = load_zones(packaged_zones(), "vedette.test", URL)


def place(text: str, layer: Layer = Layer.BOT) -> Place:
    network = ipaddress.ip_network(text)
    value = int(network.network_address)
    return Place(layer, network.version == 4, value if network.version == 4 else value >> 64, network.prefixlen)


def entry(text: str, layer: Layer = Layer.BOT, reason: str = "spam", expires: int = 0, trust: int = 0) -> Entry:
    return Entry(place(text, layer), reason, NOW, expires, trust)


@pytest.fixture
def live() -> LiveZones:
    return LiveZones(ZONES, public_url=URL, clock=lambda: NOW)


def asked(live: LiveZones, address: str, zone: str = "bl") -> list[str]:
    return codes(live.answer(query(reverse(address, f"{zone}.vedette.test"))))


def test_a_change_is_answered_at_once_under_the_next_serial(live):
    before = live.serial
    assert asked(live, "198.51.100.7") == []
    assert live.apply([entry("198.51.100.7/32"), entry("2001:db8::/64")]) == before + 1
    assert asked(live, "198.51.100.7") == asked(live, "2001:db8::99") == ["127.0.0.4"]
    assert live.apply([], [place("198.51.100.7/32")]) == live.serial == before + 2
    assert asked(live, "198.51.100.7") == []
    assert live.count()[Layer.BOT] == 1
    (soa,) = parse(live.answer(query("bl.vedette.test", SOA))).rr
    assert soa.rdata.times[0] == live.serial


def test_a_place_in_both_lists_of_a_change_is_listed(live):
    live.apply([entry("198.51.100.7/32")], [place("198.51.100.7/32")])
    assert asked(live, "198.51.100.7") == ["127.0.0.4"]


def test_the_longest_live_prefix_gives_the_reason(live):
    def reason() -> str:
        (record,) = parse(live.answer(query(reverse("198.51.100.7", "bl.vedette.test"), TXT))).rr
        return str(record.rdata)

    live.apply([entry("198.51.0.0/16", reason="wide"), entry("198.51.100.0/24", reason="narrow")])
    assert "narrow" in reason()
    live.apply([entry("198.51.100.7/32", reason="host", expires=NOW + 1)])
    assert "host" in reason()
    live.apply([entry("198.51.100.7/32", reason="host", expires=NOW), entry("198.51.100.0/24", expires=NOW)])
    assert "wide" in reason()


def test_a_listing_ends_by_itself_and_its_ttl_never_passes_its_end(live):
    live.apply([entry("198.51.100.7/32", expires=NOW + 17), entry("198.51.100.8/32", expires=NOW)])
    (record,) = parse(live.answer(query(reverse("198.51.100.7", "bl.vedette.test")))).rr
    assert record.ttl == 17
    assert asked(live, "198.51.100.8") == []


def test_a_mail_server_is_in_no_blocking_zone_unless_by_hand(live):
    live.apply(
        [
            entry("198.51.100.0/24", Layer.DYNAMIC_DECLARED),
            entry("198.51.100.7/32"),
            entry("198.51.100.7/32", Layer.MTA, trust=2),
            entry("198.51.100.8/32", Layer.DYNAMIC_INFERRED),
            entry("198.51.100.8/32", Layer.MTA),
        ]
    )
    for zone in ("bl", "dyn", "all"):
        assert asked(live, "198.51.100.7", zone) == []
    assert asked(live, "198.51.100.7", "wl") == ["127.0.0.42"]
    assert asked(live, "198.51.100.7", "class") == ["127.0.0.4", "127.0.0.42"]
    # The prefix merely covers it; a finding about itself counts.
    assert asked(live, "198.51.100.8", "class") == ["127.0.0.11", "127.0.0.40"]
    live.apply([entry("198.51.100.7/32", Layer.OPERATOR)])
    assert asked(live, "198.51.100.7", "all") == ["127.0.0.2"]


def test_of_the_never_list_only_good_is_said(live):
    live.apply(
        [
            entry("198.51.100.7/32", Layer.OPERATOR),
            entry("198.51.100.7/32"),
            entry("198.51.100.9/32", Layer.MTA),
            entry("198.51.100.0/24", Layer.EXCLUDED),
        ]
    )
    assert asked(live, "198.51.100.7", "all") == asked(live, "198.51.100.7", "class") == []
    assert asked(live, "198.51.100.9", "wl") == asked(live, "198.51.100.9", "class") == ["127.0.0.40"]


def test_two_classes_give_two_codes(live):
    live.apply([entry("198.51.100.7/32"), entry("198.51.100.0/24", Layer.DYNAMIC_INFERRED)])
    assert asked(live, "198.51.100.7", "all") == ["127.0.0.4", "127.0.0.11"]
    texts = parse(live.answer(query(reverse("198.51.100.7", "all.vedette.test"), TXT))).rr
    assert [str(record.rdata) for record in texts] == [
        f'"bot: spam; since 2023-11-14 22:13 UTC; {URL}/ip/198.51.100.7"',
        f'"dynamic, inferred: spam; since 2023-11-14 22:13 UTC; {URL}/ip/198.51.100.7"',
    ]


def test_a_full_load_replaces_everything(live):
    live.apply([entry("198.51.100.7/32"), entry("2001:db8::/64"), entry("203.0.113.0/24", Layer.DYNAMIC_DECLARED)])
    live.replace([entry("198.51.100.9/32")])
    assert asked(live, "198.51.100.7") == asked(live, "2001:db8::1") == asked(live, "203.0.113.1", "dyn") == []
    assert asked(live, "198.51.100.9") == ["127.0.0.4"]
    assert sum(live.count().values()) == 1


def test_zones_change_while_serving(live):
    live.apply([entry("198.51.100.7/32")])
    before = live.serial
    live.set_zones([zone for zone in ZONES if zone.name != "bl"])
    assert rcode(live.answer(query(reverse("198.51.100.7", "bl.vedette.test")))) == "REFUSED"
    assert asked(live, "198.51.100.7", "all") == ["127.0.0.4"]
    assert live.serial == before + 1
    assert len(live.zones) == 4


def test_columns_load_as_entries_do(live):
    values = np.array([5, 3, 0xC6336407, 3], np.uint32)
    live.load_columns(Layer.BOT, True, values, "bulk", NOW, np.array([0, 1, 0, NOW + 9]))
    assert live.count()[Layer.BOT] == 3
    assert asked(live, "198.51.100.7") == ["127.0.0.4"]
    (record,) = parse(live.answer(query(reverse("0.0.0.3", "bl.vedette.test")))).rr
    assert record.ttl == 9
    live.load_columns(Layer.BOT, False, np.array([0x20010DB8 << 32], np.uint64), "bulk", NOW)
    assert asked(live, "2001:db8::1") == ["127.0.0.4"]


@pytest.mark.parametrize(
    "wrong",
    [
        Entry(Place(Layer.BOT, True, 1 << 32, 32), "", 0),
        Entry(Place(Layer.BOT, True, 1, 24), "", 0),
        Entry(Place(Layer.BOT, False, 0, 65), "", 0),
        Entry(Place(Layer.BOT, True, 1, 32), "", -1),
        Entry(Place(Layer.BOT, True, 1, 32), "", 0, 1 << 32),
        Entry(Place(Layer.MTA, True, 1, 32), "", 0, 0, 4),
    ],
)
def test_a_wrong_entry_changes_nothing(live, wrong):
    before = live.serial
    with pytest.raises(ValueError, match=r"(Entry|Place)\("):
        live.apply([entry("198.51.100.7/32"), wrong])
    assert live.serial == before
    assert asked(live, "198.51.100.7") == []


def test_more_zone_names_than_counters_are_refused(live):
    first = ZONES[0]
    many = [type(first)(**(vars(first) | {"origin": f"z{number}.test"})) for number in range(256)]
    with pytest.raises(ZoneError, match="restart"):
        live.set_zones(many)
    assert live.zones == ZONES


def test_odd_reasons_are_answered_in_ascii(live):
    live.apply([entry("198.51.100.7/32", reason="grün\n" + "x" * 200)])
    (record,) = parse(live.answer(query(reverse("198.51.100.7", "bl.vedette.test"), TXT))).rr
    assert f'"bot: gr?n?{"x" * 115};' in str(record.rdata)


def test_what_changes_have_replaced_is_freed(live):
    random_ = random.Random(4)
    hosts = [f"198.51.100.{number}/32" for number in range(64)] + ["2001:db8::/64", "203.0.113.0/24"]
    for number in range(2000):
        live.apply(
            [entry(random_.choice(hosts), reason=f"reason {number}", expires=NOW + number + 1)],
            [place(random_.choice(hosts))],
        )
        assert live.snapshots.waiting < 20
    live.apply([], [place(text) for text in hosts])
    live.apply([])
    assert live.snapshots.records_held == live.snapshots.waiting == sum(live.count().values()) == 0


def test_names_above_the_last_listing_end_with_it(live):
    names = ["198.bl.vedette.test", "51.198.bl.vedette.test", "100.51.198.bl.vedette.test"]
    live.apply([entry("198.51.100.7/32"), entry("198.51.101.7/32"), entry("198.52.0.0/16")])
    assert [rcode(live.answer(query(name))) for name in names] == ["NOERROR"] * 3
    live.apply([], [place("198.51.100.7/32")])
    assert [rcode(live.answer(query(name))) for name in names] == ["NOERROR", "NOERROR", "NXDOMAIN"]
    live.apply([], [place("198.51.101.7/32"), place("198.52.0.0/16")])
    assert [rcode(live.answer(query(name))) for name in names] == ["NXDOMAIN"] * 3


@pytest.mark.parametrize(
    ("module", "user"),
    [
        ("dnsbl.wire.answer", "dnsbl.zone.live"),
        ("dnsbl.zone.snapshot", "dnsbl.zone.live"),
        ("dnsbl.serve.udp", "dnsbl.serve"),
    ],
)
def test_without_the_compiled_code_nothing_starts(module, user):
    code = f"import sys; sys.modules[{module!r}] = None; import {user}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "missing: build with `make build`" in done.stderr


def test_a_copy_holds_all_that_is_live_under_its_serial(live):
    listed = [
        entry("198.51.100.7/32", reason="host"),
        entry("2001:db8:0:5::/64", Layer.MTA, trust=3),
        entry("198.51.100.0/24", Layer.DYNAMIC_DECLARED, reason="wide", expires=NOW + 9),
        entry("2001:db8::/32", Layer.EXCLUDED),
        entry("198.51.100.8/32", reason="over", expires=NOW),
    ]
    live.apply([*listed, entry("198.51.100.9/32")])
    live.apply([], [place("198.51.100.9/32")])
    serial, zones, columns = live.copy()
    assert (serial, zones) == (live.serial, live.zones)
    live.replace([])
    found = [
        Entry(Place(layer, is_v4, value, length), columns.reasons[reason], since, expires, trust)
        for layer in Layer
        for is_v4 in (True, False)
        for value, length, reason, since, expires, trust in zip(
            *(part.tolist() for part in columns.column(layer, is_v4)), strict=True
        )
    ]
    assert sorted(found) == sorted(listed[:-1])
    assert live.copy().columns.column(Layer.BOT, True).values.tolist() == []
