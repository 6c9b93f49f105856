"""Listings made from a seed, dense enough that prefixes, hosts and exclusions of all layers meet; their answers."""

import ipaddress
import random
from collections.abc import Iterable, Iterator

import dnslib

from dnsbl.listing.codes import Layer
from dnsbl.listing.columns import Columns
from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry, Place
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import Zone, load_zones, packaged_zones
from tests.dnsbl.wire.packets import TXT, A, query

NOW = 1_793_491_200
URL = "https://l.example"
ORIGIN = "vedette.test"
ZONES = {zone.name: zone for zone in load_zones(packaged_zones(), ORIGIN, URL)}
REASONS = ("spam", "", 'say "no"', "back\\slash; and # more", "5 $ a day", "caf\u00e9")
#: Where listings crowd: the upper octets of IPv4 addresses, the upper words of IPv6 addresses.
_CROWDS = {True: (0x0B2C, 0x0B2D, 0xB92C), False: (0x2A001450, 0x2A001451, 0x2A0F0000)}
_LENGTHS = {
    True: (32,) * 12 + (8, 12, 16, 17, 20, 23, 24, 24, 25, 28, 31),
    False: (64,) * 8 + (20, 32, 45, 48, 60, 63),
}
_LAYERS = (
    *(Layer.OPERATOR, Layer.BOT, Layer.BOT, Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED, Layer.DYNAMIC_INFERRED),
    *(Layer.MTA, Layer.MTA, Layer.EXCLUDED),
)
#: Prefixes wider than these hold so much that they would hide what is below.
_WIDE = {True: 16, False: 32}

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Records = tuple[str, frozenset[tuple[int, int, str]]]


def entries(seed: int, count: int, *, ending: bool = True, wide: int = 3) -> list[Entry]:
    """Return entries; some have expired, and with ``ending`` some will soon. At most ``wide`` are very wide."""
    source = random.Random(seed)
    # Around the test points, which no listing may change.
    made = [Entry(Place(Layer.BOT, True, 0x7F000000, 8), "loopback", NOW)]
    while len(made) < count:
        is_v4 = source.random() < 0.6
        bits = V4_BITS if is_v4 else V6_BITS
        length = source.choice(_LENGTHS[is_v4])
        if length <= _WIDE[is_v4]:
            wide -= 1
            if wide < 0:
                continue
        layer = source.choice(_LAYERS)
        place = Place(layer, is_v4, _value(source, is_v4) >> (bits - length) << (bits - length), length)
        ends = (0, 0, 0, NOW - 5, NOW, *((NOW + 40, NOW + 10**7) if ending else ()))
        trust = source.randrange(4) if layer is Layer.MTA else 0
        since = NOW - source.randrange(10**6)
        made.append(Entry(place, source.choice(REASONS), since, source.choice(ends), trust))
    return made


def _value(source: random.Random, is_v4: bool) -> int:
    crowd = source.choice(_CROWDS[is_v4])
    if is_v4:
        return crowd << 16 | source.choice((7, 8, source.randrange(256))) << 8 | source.randrange(256)
    return crowd << 32 | source.choice((0, 1, source.randrange(1 << 16))) << 16 | source.randrange(1 << 12)


def columns(listed: Iterable[Entry], now: int = NOW) -> Columns:
    made = Columns(now)
    made.add_entries(listed)
    return made


def live(listed: Iterable[Entry], zones: Iterable[Zone] = ZONES.values()) -> LiveZones:
    """Return a server of these listings, whose serial is that of an export at the same moment."""
    served = LiveZones(list(zones), public_url=URL, serial=NOW - 1, clock=lambda: NOW)
    served.replace(listed)
    return served


def asked(listed: Iterable[Entry], seed: int, count: int) -> list[IPAddress]:
    """Return addresses: the test points, strangers, and ends, insides and neighbours of what is listed."""
    source = random.Random(seed)
    always = [
        ipaddress.ip_address(text)
        for text in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "::ffff:7f00:1", "::ffff:7f00:2", "9.9.9.9", "2620::1")
    ]
    found: set[IPAddress] = set()
    for (_, is_v4, value, length), *_ in listed:
        bits = V4_BITS if is_v4 else V6_BITS
        width = 1 << bits - length
        for near in (value, value + width - 1, value + source.randrange(width), value - 1, value + width):
            one = near % (1 << bits)
            low = source.choice((0, 1, source.getrandbits(64)))
            found.add(ipaddress.IPv4Address(one) if is_v4 else ipaddress.IPv6Address(one << 64 | low))
    near = sorted(found, key=lambda one: (one.version, one))
    return always + source.sample(near, min(count, len(near)))


def name_of(address: IPAddress, zone: Zone) -> str:
    return f"{address.reverse_pointer.rsplit('.', 2)[0]}.{zone.origin}"


def ours(served: LiveZones, name: str, type_: int) -> Records:
    """Return what we answer: rcode, and types, TTLs and data."""
    reply = served.answer(query(name, type_), tcp=True)
    assert reply is not None
    return said(dnslib.DNSRecord.parse(reply))


def said(reply: dnslib.DNSRecord) -> Records:
    """Return rcode and answers of a reply; of several strings of a TXT record only the whole counts."""
    records = frozenset(
        (one.rtype, one.ttl, b"".join(one.rdata.data).decode() if one.rtype == TXT else str(one.rdata))
        for one in reply.rr
    )
    return str(dnslib.RCODE[reply.header.rcode]), records


def questions(addresses: Iterable[IPAddress], zone: Zone) -> Iterator[tuple[str, int]]:
    """Yield name and type of what is asked about addresses."""
    for address in addresses:
        for type_ in (A, TXT):
            yield name_of(address, zone), type_
