"""The compiled answers and the twin's agree, field by field, for any zones, entries and queries."""

import random
import struct
from typing import Any

import dnslib
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.wire.twin import Twin, read_question
from dnsbl.zone.access import Access
from dnsbl.zone.live import LiveZones
from dnsbl.zone.manners import Manners
from dnsbl.zone.zone import Answer, NameServer, Soa, Zone, load_zones, packaged_zones
from tests.dnsbl.wire.packets import form, opt, parse, query, wire

NOW = 1_700_000_000
SERIAL = 77
PUBLIC_URL = "https://list.example/v"
#: The compiled path compresses fewer names than dnslib does.
COMPRESSION_BYTES = 300
TEXTS = (
    "$class: $reason; since $since; $url",
    "$$ ${reason}${reason}${reason} $address " + "long " * 60,
    "plain",
)
ORIGINS = ("bl.example", "wl.example", "a.bl.example", "127.example", "bl.other")

manners = st.builds(
    Manners,
    nsid=st.sampled_from([b"", b"a", b"n" * 128]),
    version=st.sampled_from([b"", b"vedette", b"v" * 255]),
    cookie_secret=st.sampled_from([b"", b"0123456789abcdef"]),
    cookie_rotates=st.booleans(),
)
clients = st.sampled_from(["", "192.0.2.1", "192.0.3.129", "2001:db8::1", "2001:db8:8000::1"])
ALLOWED = ("192.0.2.0/23", "192.0.3.0/25", "2001:db8::/33", "0.0.0.0/0", "2001:db8::1/128")
KEYS = ("secretkey1", "longersecret-2")
access = st.builds(
    Access,
    allow=st.just(()) | st.lists(st.sampled_from(ALLOWED), max_size=3).map(tuple),
    keys=st.sampled_from([(), (), (), KEYS]),
    refused_with_code=st.booleans(),
)
origins = st.sampled_from(ORIGINS)
# Few addresses, so that entries nest, repeat, meet in several layers and meet the queries; some names spell both
# an IPv4 address and the beginning of an IPv6 one.
v4_values = st.tuples(
    st.sampled_from([2, 10, 127]), st.just(0), st.sampled_from([0, 10]), st.sampled_from([1, 2, 255])
).map(lambda octets: int.from_bytes(bytes(octets), "big"))
v6_values = st.tuples(st.sampled_from([0, 0x2001, 0x2A00]), st.sampled_from([0, 0xFF00])).map(
    lambda ends: ends[0] << 48 | ends[1]
)


@st.composite
def zones(draw: st.DrawFn) -> list[Zone]:
    made = []
    for origin in draw(st.lists(origins, min_size=2, max_size=5, unique=True)):
        kind = draw(st.sampled_from(["block", "block", "allow", "class"]))
        possible = {
            "block": [Layer.OPERATOR, Layer.BOT, Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED],
            "allow": [Layer.MTA],
            "class": [Layer.OPERATOR, Layer.BOT, Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED, Layer.MTA],
        }[kind]
        layers = draw(st.lists(st.sampled_from(possible), min_size=1, unique=True))
        answers = tuple(
            Answer(
                layer,
                0x7F000002 + 10 * layer,
                draw(st.sampled_from([1, 300, 3600])),
                draw(st.sampled_from(TEXTS)),
            )
            for layer in layers
        )
        servers = draw(
            st.lists(
                st.sampled_from([f"ns.{origin}", f"b.9.{origin}", "ns.example", "ns.example.net"]), unique=True
            )
        )
        addresses = st.lists(
            st.sampled_from(["192.0.2.1", "192.0.2.2", "2001:db8::1"]), unique=True, max_size=3
        ).map(tuple)
        made.append(
            Zone(
                origin,
                origin,
                kind,
                draw(st.sampled_from([30, 300])),
                60,
                Soa(draw(st.sampled_from([f"ns.{origin}", "ns.example", "x.y"])), f"hostmaster.{origin}"),
                tuple(NameServer(name, draw(addresses)) for name in servers),
                answers,
                draw(st.sampled_from([False] * 7 + [True])),
                access=draw(access),
            )
        )
    return made


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    layer = draw(st.sampled_from(list(Layer)))
    is_v4 = draw(st.booleans())
    bits = 32 if is_v4 else 64
    length = draw(st.sampled_from([bits, bits, bits, bits - 1, bits - 8, bits // 2, bits // 2 - 3, 8, 1, 0]))
    value = draw(v4_values if is_v4 else v6_values)
    value = value >> (bits - length) << (bits - length)
    expires = draw(st.sampled_from([0, 0, 0, NOW - 1, NOW, NOW + 1, NOW + 200, NOW + 10**6]))
    reason = draw(st.sampled_from(["", "spam", "x" * 120]))
    trust = draw(st.integers(0, 3)) if layer is Layer.MTA else 0
    return Entry(
        Place(layer, is_v4, value, length),
        reason,
        draw(st.sampled_from([0, NOW - 86_400 * 59, NOW])),
        expires,
        trust,
    )


@st.composite
def names(draw: st.DrawFn) -> list[bytes]:
    kind = draw(st.integers(0, 9))
    if kind < 4:
        value = draw(v4_values)
        digits = draw(st.sampled_from([b"%d"] * 9 + [b"0%d"]))
        labels = [digits % (value >> shift & 255) for shift in (0, 8, 16, 24)]
    elif kind < 7:
        value = draw(v6_values) << 64 | draw(
            st.sampled_from([0, 1, 0xFFFF7F000001, 0xFFFF7F000002, 0xFFFF7F00000200])
        )
        labels = [b"%x" % (value >> shift & 15) for shift in range(0, 128, 4)]
    else:
        label = st.sampled_from(
            [b"01", b"266", b"1", b"2", b"a", b"g", b"", b"ns", b"b", b"9", b"x.y", b"\xc3", b"-1", b"1" * 63]
        )
        labels = [one for one in draw(st.lists(label, max_size=6)) if one]
    labels = labels[draw(st.integers(0, len(labels))) if draw(st.integers(0, 2)) == 0 else 0 :]
    labels = draw(st.sampled_from([[], [], [], [], [], [], [b"x"], [b"5"]])) + labels
    labels += draw(st.sampled_from([[], [], [KEYS[0].encode()], [KEYS[1].encode()], [b"wrongkey"]]))
    name = draw(st.sampled_from([*ORIGINS * 3, "example", "version.bind", "id.server", "ns.example.net"]))
    labels += [part.encode() for part in name.split(".")]
    is_shouted = draw(st.integers(0, 3)) == 0
    return [label.upper() if is_shouted and draw(st.booleans()) else label for label in labels]


@st.composite
def queries(draw: st.DrawFn) -> bytes:
    mostly = st.sampled_from([True] * 30 + [False])
    type_ = draw(st.sampled_from([1, 1, 1, 16, 16, 2, 6, 28, 255, 251, 252, 65280]))
    klass = 1 if draw(mostly) else draw(st.sampled_from([3, 4, 255]))
    records = draw(
        st.sampled_from(
            [
                (),
                (),
                (opt(),),
                (opt(512, do=True),),
                (opt(0),),
                (opt(4096, options=b"\0\x0a\0\x08abcdefgh"),),
                (opt(version=1),),
                (opt(), opt()),
                (opt(options=b"\0\x0a\0\x08abc"),),
                (opt(options=b"\0\3\0\0"),),
                (opt(512, options=b"\0\x13\0\0\0\3\0\0"),),
                (opt(options=b"\0\x13\0\1x"),),
                (opt(options=b"\0\x0a\0\x18" + b"c" * 24 + b"\0\3\0\0\0\x0a\0\1c"),),
                (b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4abcd", opt()),
            ]
        )
    )
    flags = (
        draw(st.sampled_from([0x0100, 0x0000, 0x0120, 0x01B0])) if draw(mostly) else draw(st.integers(0, 0xFFFF))
    )
    head = struct.pack(">6H", draw(st.integers(0, 0xFFFF)), flags, 1 if draw(mostly) else 2, 0, 0, len(records))
    data = bytearray(head + wire(draw(names())) + struct.pack(">HH", type_, klass) + b"".join(records))
    if not draw(mostly):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    if not draw(mostly):
        data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=3))
    return bytes(data)


def check(live: LiveZones, twin: Twin, data: bytes, is_tcp: bool, client: str = "") -> None:
    got = live.answer(data, tcp=is_tcp, client=client)
    wanted = twin.answer(data, NOW, client)
    if wanted is None:
        assert got is None
        return
    assert got is not None
    parsed = parse(got)
    expected: dict[str, Any] = form(wanted)
    if parsed.header.tc:
        # What does not fit goes whole.
        assert len(wanted.pack()) > twin.limit(data, is_tcp) - COMPRESSION_BYTES
        wanted.rr, wanted.auth = [], []
        wanted.ar = [record for record in wanted.ar if record.rtype == dnslib.QTYPE.OPT]
        wanted.header.tc = 1
        expected = form(wanted)
    elif len(parsed.ar) < len(wanted.ar):
        # So do the addresses of name servers.
        assert len(wanted.pack()) > twin.limit(data, is_tcp) - COMPRESSION_BYTES
        expected["additional"] = [record for record in expected["additional"] if record[0] == "OPT"]
    assert form(parsed) == expected
    if wanted.questions:
        question = read_question(data)[0].raw
        assert got[12 : 12 + len(question)] == question
        if not wanted.header.opcode:
            assert len(got) <= twin.limit(data, is_tcp)


@settings(max_examples=600, deadline=None)
@given(
    zones(),
    st.lists(entries(), min_size=4, max_size=16),
    st.lists(queries(), min_size=1, max_size=12),
    st.booleans(),
    manners,
    clients,
)
def test_the_compiled_path_answers_as_the_twin(
    made: list[Zone], listed: list[Entry], asked: list[bytes], is_tcp: bool, said: Manners, client: str
) -> None:
    live = LiveZones(made, public_url=PUBLIC_URL, serial=SERIAL - 1, manners=said, clock=lambda: NOW)
    live.replace(listed)
    twin = Twin(made, listed, PUBLIC_URL, SERIAL, said)
    for data in asked:
        check(live, twin, data, is_tcp, client)


@settings(max_examples=200, deadline=None)
@given(
    zones(),
    st.lists(st.tuples(st.lists(entries(), max_size=6), st.lists(entries(), max_size=3)), max_size=6),
    st.lists(queries(), min_size=1, max_size=6),
)
def test_changes_one_after_the_other_leave_the_same_as_one_load(
    made: list[Zone], changes: list[tuple[list[Entry], list[Entry]]], asked: list[bytes]
) -> None:
    live = LiveZones(made, public_url=PUBLIC_URL, serial=SERIAL - len(changes), clock=lambda: NOW)
    listed: dict[Place, Entry] = {}
    for add, gone in changes:
        live.apply(add, [entry.place for entry in gone])
        for entry in gone:
            listed.pop(entry.place, None)
        listed |= {entry.place: entry for entry in add}
    twin = Twin(made, listed.values(), PUBLIC_URL, SERIAL)
    for data in asked:
        check(live, twin, data, False)
    assert sum(live.count().values()) == len(listed)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
@example(b"\0" * 12)
@example(b"\0\0\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1")
def test_any_bytes_get_what_the_twin_says(data: bytes) -> None:
    zone = Zone(
        "bl",
        "bl.example",
        "block",
        300,
        60,
        Soa("ns.example", "h.example"),
        (),
        (Answer(Layer.BOT, 0x7F000004, 300, "x"),),
    )
    check(LiveZones([zone], public_url="", serial=1, clock=lambda: NOW), Twin([zone], [], "", 1), data, False)


def likely_name(random_: random.Random, listed: list[Entry]) -> list[bytes]:
    """Return a name that is at, or near, or above what is listed."""
    place = random_.choice(listed).place
    bits = 32 if place.is_v4 else 64
    value = (
        place.value
        | random_.choice([0, 1, 0xFF, random_.getrandbits(bits)]) & (1 << bits - place.prefix_length) - 1
    )
    if place.is_v4:
        labels = [b"%d" % (value >> shift & 255) for shift in (0, 8, 16, 24)]
    else:
        whole = value << 64 | random_.getrandbits(64)
        labels = [b"%x" % (whole >> shift & 15) for shift in range(0, 128, 4)]
    if random_.random() < 0.1:
        labels[random_.randrange(len(labels))] = random_.choice([b"0", b"01", b"1", b"g", b"ff", b"266", b"F"])
    return labels[random_.choice([0, 0, random_.randrange(len(labels))]) :]


@pytest.mark.parametrize("seed", range(6))
def test_likely_queries_get_what_the_twin_says(seed: int) -> None:
    random_ = random.Random(seed)
    every = load_zones(packaged_zones(), "example", PUBLIC_URL)
    hits = 0
    for _ in range(40):
        listed = []
        for _ in range(30):
            layer, is_v4 = random_.choice(list(Layer)), random_.random() < 0.6
            bits = 32 if is_v4 else 64
            value = random_.choice([0x02000001, 0x02000A01]) if is_v4 else random_.choice([0x2A00, 0x2001]) << 48
            length = random_.choice([bits, bits, bits - 1, bits - 8, bits // 2, 3])
            value = (value ^ random_.choice([0, 1, 2, 1 << bits - 7])) >> (bits - length) << (bits - length)
            expires = random_.choice([0, 0, NOW - 1, NOW, NOW + 1, NOW + 400])
            trust = random_.randrange(4) if layer is Layer.MTA else 0
            listed.append(Entry(Place(layer, is_v4, value, length), random_.choice("abc"), NOW, expires, trust))
        live = LiveZones(every, public_url=PUBLIC_URL, serial=1, clock=lambda: NOW)
        twin = Twin(every, listed, PUBLIC_URL, live.replace(listed))
        for _ in range(60):
            name = [*likely_name(random_, listed), *random_.choice(every).origin.encode().split(b".")]
            data = query(name, random_.choice([1, 1, 16, 255, 28]), additional=random_.choice([(), (opt(),)]))
            check(live, twin, data, random_.random() < 0.2)
            wanted = twin.answer(data, NOW)
            assert wanted is not None
            hits += bool(wanted.rr)
    assert hits > 300
