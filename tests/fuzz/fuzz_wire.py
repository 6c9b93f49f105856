"""Fuzz entry for atheris: any bytes through the compiled answer path and its twin, which must agree.

Run as ``python -m tests.fuzz.fuzz_wire -max_total_time=60``.
"""

import sys

import atheris

from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.wire.twin import Twin
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import load_zones, packaged_zones
from tests.property.test_wire_properties import NOW, PUBLIC_URL, check

ZONES = load_zones(packaged_zones(), "t", PUBLIC_URL)
ENTRIES = [
    Entry(Place(Layer.BOT, True, 0x01020304, 32), "host", NOW),
    Entry(Place(Layer.DYNAMIC_DECLARED, True, 0x01000000, 8), "range", NOW, NOW + 9),
    Entry(Place(Layer.BOT, False, 0x20010DB8 << 32, 64), "host6", NOW),
    Entry(Place(Layer.MTA, True, 0x01020305, 32), "server", NOW, 0, 3),
]
LIVE = LiveZones(ZONES, public_url=PUBLIC_URL, serial=1, clock=lambda: NOW)
TWIN = Twin(ZONES, ENTRIES, PUBLIC_URL, LIVE.replace(ENTRIES))


def one_input(data: bytes) -> None:
    check(LIVE, TWIN, data, bool(data and data[0] & 1))


if __name__ == "__main__":
    atheris.instrument_func(one_input)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
