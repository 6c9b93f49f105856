"""NetFlow v5, v9 and IPFIX to rows: golden datagrams made here, captures, and what other projects recorded."""

import ipaddress
import itertools
import json
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from profiler.address import Key, parse
from profiler.keyed import keyed_hash
from profiler.observation import OBSERVATION, Event, Reason
from profiler.parse.flow import EXPORTER_TEMPLATES_MAX, TEMPLATES_MAX, FlowParser
from profiler.parse.registry import REJECTED_KEPT, Context, Parsed

KEY = bytes(range(16))
EXPORT_SECONDS = 1_700_000_000
NOW = EXPORT_SECONDS * 1_000_000
UPTIME_MS = 5_000_000
EXPORTER = bytes([192, 0, 2, 1, 8, 7])
CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "lines.ndjson"

# Elements with the lengths that exporters usually give them.
SRC4, DST4, SRC6, DST6 = (8, 4), (12, 4), (27, 16), (28, 16)
PROTO, SPORT, DPORT, FLAGS = (4, 1), (7, 2), (11, 2), (6, 1)
PACKETS, BYTES = (2, 4), (1, 4)
FIRST, LAST = (22, 4), (21, 4)
BASIC = (SRC4, DST4, PROTO, SPORT, DPORT, PACKETS, BYTES)


def parser(now: int = NOW) -> FlowParser:
    return FlowParser(Context(KEY, now))


def v4(text: str) -> bytes:
    return ipaddress.IPv4Address(text).packed


def v6(text: str) -> bytes:
    return ipaddress.IPv6Address(text).packed


def source(row: np.void) -> str:
    return str(Key(int(row["ip_hi"]), int(row["ip_lo"])))


def v5_record(src: str = "198.51.100.7", dst: str = "203.0.113.9", **change: int) -> bytes:
    value = {"packets": 3, "bytes": 180, "first": UPTIME_MS - 2500, "last": UPTIME_MS - 500, "sport": 40_001}
    value |= {"dport": 25, "flags": 0x1B, "proto": 6} | change
    return struct.pack(
        ">4s4s4xHHIIIIHHxBBBHHBBxx", v4(src), v4(dst), 1, 2, value["packets"], value["bytes"], value["first"],
        value["last"], value["sport"], value["dport"], value["flags"], value["proto"], 0, 0, 0, 24, 24,
    )  # fmt: skip


def v5(*records: bytes, uptime: int = UPTIME_MS, sampling: int = 0, nanoseconds: int = 0) -> bytes:
    head = struct.pack(">HHIIIIBBH", 5, len(records), uptime, EXPORT_SECONDS, nanoseconds, 1, 0, 0, sampling)
    return head + b"".join(records)


def set_of(set_id: int, body: bytes) -> bytes:
    return struct.pack(">HH", set_id, len(body) + 4) + body


def definition(template_id: int, *fields: tuple[int, ...]) -> bytes:
    specifiers = b"".join(
        struct.pack(">HH", field[0], field[1])
        if len(field) == 2
        else struct.pack(">HHI", 0x8000 | field[0], field[1], field[2])
        for field in fields
    )
    return struct.pack(">HH", template_id, len(fields)) + specifiers


def v9(*sets: bytes, domain: int = 1, uptime: int = UPTIME_MS) -> bytes:
    return struct.pack(">HHIIII", 9, len(sets), uptime, EXPORT_SECONDS, 7, domain) + b"".join(sets)


def ipfix(*sets: bytes, domain: int = 1) -> bytes:
    body = b"".join(sets)
    return struct.pack(">HHIII", 10, 16 + len(body), EXPORT_SECONDS, 7, domain) + body


def basic(src: str = "198.51.100.7", dst: str = "203.0.113.9", packets: int = 3, octets: int = 180) -> bytes:
    return struct.pack(">4s4sBHHII", v4(src), v4(dst), 6, 40_001, 25, packets, octets)


def one(parsed: Parsed) -> np.void:
    assert parsed.rejected == []
    assert len(parsed.rows) == 1
    row: np.void = parsed.rows[0]
    return row


def whys(parsed: Parsed) -> list[str]:
    assert len(parsed.rejected) == parsed.rejected_count
    return [why for _, why in parsed.rejected]


# NetFlow v5


def test_v5_record_becomes_a_row_with_every_field() -> None:
    parsed = parser().datagram(v5(v5_record(), v5_record("192.0.2.33"), nanoseconds=250_000_000), EXPORTER)
    row = parsed.rows[0]
    assert parsed.rows.dtype == OBSERVATION
    assert source(row) == "198.51.100.7"
    assert row["target"] == keyed_hash(KEY, v6("::ffff:203.0.113.9"))
    assert [row[name] for name in ("sport", "dport", "proto", "packets", "bytes")] == [40_001, 25, 6, 3, 180]
    assert row["time"] == NOW + 250_000 - 500_000
    assert row["duration"] == 2000
    assert [row["event"], row["reason"], row["count"], row["line"]] == [Event.FLOW, Reason.NONE, 1, 1]
    untouched = ("queue", "helo", "sender", "signs", "recipients", "spare")
    assert not any(np.any(row[name]) for name in untouched)
    assert [source(parsed.rows[1]), parsed.rows[1]["line"]] == ["192.0.2.33", 2]
    assert [parsed.records, parsed.rejected_count] == [2, 0]


def test_v5_times_survive_the_wrap_of_the_uptime() -> None:
    record = v5_record(first=0xFFFFFC00, last=0xFFFFFF00)
    row = one(parser().datagram(v5(record, uptime=0x100), EXPORTER))
    assert row["time"] == NOW - 0x200 * 1000
    assert row["duration"] == 0x300


def test_v5_flow_that_ends_just_after_its_export_is_not_weeks_old() -> None:
    row = one(parser().datagram(v5(v5_record(last=UPTIME_MS + 40)), EXPORTER))
    assert row["time"] == NOW + 40_000


@pytest.mark.parametrize("mode", [0, 1 << 14])
def test_v5_counts_are_multiplied_by_the_sampling_interval(mode: int) -> None:
    row = one(parser().datagram(v5(v5_record(), sampling=mode | 100), EXPORTER))
    assert [row["packets"], row["bytes"]] == [300, 18_000]


def test_packets_saturate() -> None:
    row = one(parser().datagram(v5(v5_record(packets=0xFFFFFFFF), sampling=1000), EXPORTER))
    assert row["packets"] == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("flags", "proto", "reason"),
    [(0x02, 6, Reason.PROTOCOL), (0x06, 6, Reason.PROTOCOL), (0x12, 6, Reason.NONE), (0, 6, Reason.NONE),
     (0x02, 17, Reason.NONE)],
)  # fmt: skip
def test_tcp_flow_that_was_never_answered_is_marked(flags: int, proto: int, reason: Reason) -> None:
    assert one(parser().datagram(v5(v5_record(flags=flags, proto=proto)), EXPORTER))["reason"] == reason


@pytest.mark.parametrize("count", [0, 31, 163])
def test_v5_datagram_with_an_impossible_count_is_rejected(count: int) -> None:
    broken = struct.pack(">HH", 5, count) + v5(v5_record())[4:]
    parsed = parser().datagram(broken, EXPORTER)
    assert whys(parsed) == [f"a NetFlow v5 datagram has 1 to 30 records, this one says {count}"]
    assert len(parsed.rows) == 0


def test_v5_datagram_cut_short_is_rejected() -> None:
    assert "shorter than it says" in whys(parser().datagram(v5(v5_record())[:-1], EXPORTER))[0]


def test_time_in_the_future_is_refused_for_the_record_alone() -> None:
    clock = parser(NOW - 601_000_000)
    parsed = clock.datagram(v5(v5_record(last=UPTIME_MS), v5_record(last=UPTIME_MS - 2000)), EXPORTER)
    assert parsed.rejected == [(1, "time lies in the future: set the clock of 192.0.2.1:2055")]
    assert parsed.rows["line"].tolist() == [2]
    clock.now = NOW
    assert len(clock.datagram(v5(v5_record(last=UPTIME_MS)), EXPORTER).rows) == 1


# Templates


def test_v9_template_and_data_in_one_datagram() -> None:
    fields = (*BASIC, FIRST, LAST, FLAGS)
    body = basic() + struct.pack(">IIB", UPTIME_MS - 1000, UPTIME_MS - 400, 2)
    parsed = parser().datagram(v9(set_of(0, definition(256, *fields)), set_of(256, body + b"\0\0")), EXPORTER)
    row = one(parsed)
    assert source(row) == "198.51.100.7"
    assert [row[name] for name in ("sport", "dport", "proto", "packets", "bytes")] == [40_001, 25, 6, 3, 180]
    assert [row["time"], row["duration"], row["reason"]] == [NOW - 400_000, 600, Reason.PROTOCOL]
    assert row["target"] == keyed_hash(KEY, v6("::ffff:203.0.113.9"))


def test_v6_addresses() -> None:
    fields = (SRC6, DST6, PROTO, DPORT)
    body = v6("2001:db8::1:2") + v6("2001:db8:f::25") + struct.pack(">BH", 6, 25)
    row = one(parser().datagram(ipfix(set_of(2, definition(256, *fields)), set_of(256, body)), EXPORTER))
    assert source(row) == "2001:db8::1:2"
    assert row["target"] == keyed_hash(KEY, v6("2001:db8:f::25"))


def test_template_with_both_families_uses_the_one_that_is_filled() -> None:
    fields = (SRC4, DST4, SRC6, DST6)
    bodies = (
        v4("0.0.0.0") + v4("0.0.0.0") + v6("2001:db8::1") + v6("2001:db8::2"),
        v4("192.0.2.8") + v4("192.0.2.9") + v6("::") + v6("::"),
    )
    parsed = parser().datagram(ipfix(set_of(2, definition(256, *fields)), set_of(256, b"".join(bodies))), EXPORTER)
    assert [source(row) for row in parsed.rows] == ["2001:db8::1", "192.0.2.8"]
    assert parsed.rows["target"].tolist() == [
        keyed_hash(KEY, v6("2001:db8::2")), keyed_hash(KEY, v6("::ffff:192.0.2.9"))
    ]  # fmt: skip


def test_reduced_size_and_wide_counters() -> None:
    fields = (SRC4, (2, 3), (1, 8), (7, 1), (11, 4))
    body = v4("192.0.2.8") + b"\1\0\0" + struct.pack(">QBI", 1 << 40, 99, 25)
    row = one(parser().datagram(ipfix(set_of(2, definition(256, *fields)), set_of(256, body)), EXPORTER))
    assert [row["packets"], row["bytes"], row["sport"], row["dport"]] == [65_536, 1 << 40, 99, 25]


def test_bytes_saturate() -> None:
    fields = (SRC4, (1, 8), (34, 4))
    body = v4("192.0.2.8") + struct.pack(">QI", 1 << 63, 3)
    row = one(parser().datagram(v9(set_of(0, definition(256, *fields)), set_of(256, body)), EXPORTER))
    assert row["bytes"] == (1 << 64) - 1


def test_the_usual_counter_wins_over_its_stand_in_wherever_it_stands() -> None:
    fields = (SRC4, (23, 4), (1, 4), (85, 4), (24, 4))
    body = v4("192.0.2.8") + struct.pack(">IIII", 11, 22, 33, 44)
    row = one(parser().datagram(v9(set_of(0, definition(256, *fields)), set_of(256, body)), EXPORTER))
    assert [row["bytes"], row["packets"]] == [22, 44]


def test_of_a_field_that_is_repeated_the_first_counts() -> None:
    body = v4("192.0.2.8") + v4("192.0.2.9") + struct.pack(">II", 11, 22)
    fields = (SRC4, SRC4, BYTES, BYTES)
    row = one(parser().datagram(v9(set_of(0, definition(256, *fields)), set_of(256, body)), EXPORTER))
    assert [source(row), row["bytes"]] == ["192.0.2.8", 11]


def test_enterprise_fields_and_variable_lengths_are_stepped_over() -> None:
    fields = (SRC4, (8, 65535, 29305), DPORT, (82, 65535), (2, 2, 9), PACKETS)
    long = b"x" * 300
    record = v4("192.0.2.8") + b"\3abc" + b"\0\x19" + b"\xff\x01\x2c" + long + b"\x77\x77" + struct.pack(">I", 5)
    other = v4("192.0.2.9") + b"\0" + b"\1\xbb" + b"\0" + b"\x77\x77" + struct.pack(">I", 6)
    parsed = parser().datagram(
        ipfix(set_of(2, definition(300, *fields)), set_of(300, record + other + b"\0\0\0")), EXPORTER
    )
    assert [source(row) for row in parsed.rows] == ["192.0.2.8", "192.0.2.9"]
    assert parsed.rows["dport"].tolist() == [25, 443]
    assert parsed.rows["packets"].tolist() == [5, 6]
    assert parsed.rejected == []


def test_record_that_runs_past_its_set_is_rejected_and_the_next_set_counts() -> None:
    fields = (SRC4, (82, 65535))
    sets = (set_of(300, v4("192.0.2.8") + b"\xc8abc"), set_of(300, v4("192.0.2.9") + b"\0"))
    parsed = parser().datagram(ipfix(set_of(2, definition(300, *fields)), *sets), EXPORTER)
    assert parsed.rejected == [(1, "a record of template 300 runs past its set: the rest of the set is left out")]
    assert [(source(row), row["line"]) for row in parsed.rows] == [("192.0.2.9", 2)]


def test_data_before_its_template_is_rejected_once_a_set() -> None:
    flows = parser()
    unknown = flows.datagram(v9(set_of(260, basic() * 3)), EXPORTER)
    assert unknown.rejected == [
        (1, "template 260 of 192.0.2.1:2055, domain 1, not seen yet: its flows count once the exporter has sent it")
    ]
    flows.datagram(v9(set_of(0, definition(260, *BASIC))), EXPORTER)
    assert len(flows.datagram(v9(set_of(260, basic() * 3)), EXPORTER).rows) == 3


@pytest.mark.parametrize("other", ["exporter", "domain", "version"])
def test_template_is_not_used_for_anybody_else(other: str) -> None:
    flows = parser()
    flows.datagram(v9(set_of(0, definition(260, *BASIC))), EXPORTER)
    data = {
        "exporter": (v9(set_of(260, basic())), EXPORTER[:-1] + b"\1"),
        "domain": (v9(set_of(260, basic()), domain=2), EXPORTER),
        "version": (ipfix(set_of(260, basic())), EXPORTER),
    }[other]
    assert "not seen yet" in whys(flows.datagram(*data))[0]
    assert len(flows.datagram(v9(set_of(260, basic())), EXPORTER).rows) == 1


def test_template_that_changes_is_used_from_then_on() -> None:
    flows = parser()
    flows.datagram(v9(set_of(0, definition(260, SRC4, DPORT))), EXPORTER)
    flows.datagram(v9(set_of(260, v4("192.0.2.8") + b"\0\x19")), EXPORTER)
    flows.datagram(v9(set_of(0, definition(260, DPORT, SRC4))), EXPORTER)
    row = one(flows.datagram(v9(set_of(260, b"\0\x19" + v4("192.0.2.8") + b"\0\0")), EXPORTER))
    assert [source(row), row["dport"]] == ["192.0.2.8", 25]
    assert flows.templates == 1


@pytest.mark.parametrize("withdrawn", [set_of(2, b"\1\4\0\0"), set_of(2, b"\0\2\0\0")])
def test_withdrawn_template_is_forgotten(withdrawn: bytes) -> None:
    flows = parser()
    flows.datagram(ipfix(set_of(2, definition(260, *BASIC))), EXPORTER)
    flows.datagram(ipfix(set_of(2, definition(260, *BASIC)), domain=2), EXPORTER)
    parsed = flows.datagram(ipfix(set_of(260, basic()), withdrawn, set_of(260, basic())), EXPORTER)
    assert len(parsed.rows) == 1
    assert "not seen yet" in whys(parsed)[0]
    assert flows.templates == 1


def test_template_without_source_address_is_told_once() -> None:
    flows = parser()
    first = flows.datagram(v9(set_of(0, definition(256, DST4)), set_of(256, v4("192.0.2.8") * 5)), EXPORTER)
    assert "has no source address" in whys(first)[0]
    again = flows.datagram(v9(set_of(256, v4("192.0.2.8") * 5)), EXPORTER)
    assert [len(again.rows), again.rejected_count, again.records] == [0, 0, 5]


@pytest.mark.parametrize(
    "fields",
    [[(8, 0)], [(8, 4)] * 513, [(8, 40_000), (12, 40_000)]],
    ids=["no length", "too many fields", "longer than a datagram"],
)
def test_impossible_template_is_rejected_and_replaces_the_good_one(fields: list[tuple[int, int]]) -> None:
    flows = parser()
    flows.datagram(v9(set_of(0, definition(256, *BASIC))), EXPORTER)
    assert "is malformed" in whys(flows.datagram(v9(set_of(0, definition(256, *fields))), EXPORTER))[0]
    assert "not seen yet" in whys(flows.datagram(v9(set_of(256, basic())), EXPORTER))[0]


def test_templates_are_bounded_and_the_oldest_that_is_not_repeated_goes() -> None:
    flows = parser()
    numbers = range(256, 256 + EXPORTER_TEMPLATES_MAX)
    batch = [(v9(set_of(0, definition(number, *BASIC))), EXPORTER) for number in numbers]
    flows.datagrams(batch)
    assert [flows.templates, flows.templates_dropped] == [EXPORTER_TEMPLATES_MAX, 0]
    flows.datagrams(batch[:1])
    flows.datagram(v9(set_of(0, definition(60_000, *BASIC))), EXPORTER)
    assert [flows.templates, flows.templates_dropped] == [EXPORTER_TEMPLATES_MAX, 1]
    kept = [len(flows.datagram(v9(set_of(number, basic())), EXPORTER).rows) for number in (256, 257, 258, 60_000)]
    assert kept == [1, 0, 1, 1]


def test_templates_of_all_exporters_are_bounded() -> None:
    flows = parser()
    for number in range(TEMPLATES_MAX // EXPORTER_TEMPLATES_MAX + 1):
        flows.datagrams(
            (v9(set_of(0, definition(256 + index, SRC4))), bytes([192, 0, 2, number]))
            for index in range(EXPORTER_TEMPLATES_MAX)
        )
    assert [flows.templates, flows.templates_dropped] == [TEMPLATES_MAX, EXPORTER_TEMPLATES_MAX]


def test_malformed_set_ends_its_datagram_alone() -> None:
    flows = parser()
    good = set_of(256, basic())
    flows.datagram(v9(set_of(0, definition(256, *BASIC))), EXPORTER)
    batch = [(v9(good, struct.pack(">HH", 256, 9000)), EXPORTER), (v9(set_of(77, b"abcd"), good), EXPORTER)]
    parsed = flows.datagrams(batch)
    assert len(parsed.rows) == 2
    assert [why.partition(":")[0] for why in whys(parsed)] == ["set 256 is malformed", "set 77 is malformed"]


# Options and sampling


def v9_options(template_id: int, *fields: tuple[int, int]) -> bytes:
    specifiers = struct.pack(">HH", 1, 4) + b"".join(struct.pack(">HH", *field) for field in fields)
    return set_of(1, struct.pack(">HHH", template_id, 4, 4 * len(fields)) + specifiers + b"\0\0")


def ipfix_options(template_id: int, *fields: tuple[int, int]) -> bytes:
    specifiers = b"".join(struct.pack(">HH", *field) for field in ((149, 4), *fields))
    return set_of(3, struct.pack(">HHH", template_id, 1 + len(fields), 1) + specifiers)


def test_v9_sampling_from_options_multiplies_the_domains_flows() -> None:
    flows = parser()
    flows.datagram(v9(set_of(0, definition(256, *BASIC)), v9_options(300, (34, 4), (35, 1))), EXPORTER)
    before = one(flows.datagram(v9(set_of(256, basic())), EXPORTER))
    options = set_of(300, struct.pack(">IIB", 9, 50, 2))
    after = one(flows.datagram(v9(options, set_of(256, basic())), EXPORTER))
    assert [before["packets"], before["bytes"]] == [3, 180]
    assert [after["packets"], after["bytes"]] == [150, 9000]


def test_sampling_of_another_domain_does_not_count() -> None:
    flows = parser()
    flows.datagram(v9(v9_options(300, (34, 4)), set_of(300, struct.pack(">II", 9, 50))), EXPORTER)
    flows.datagram(v9(set_of(0, definition(256, *BASIC)), domain=2), EXPORTER)
    assert one(flows.datagram(v9(set_of(256, basic()), domain=2), EXPORTER))["packets"] == 3


@pytest.mark.parametrize(
    ("fields", "values", "factor"),
    [
        (((305, 4),), (40,), 40),
        (((305, 4), (306, 4)), (1, 99), 100),
        (((305, 4), (306, 4)), (10, 90), 10),
        (((305, 4), (306, 4)), (1, 0), 1),
        (((34, 4), (306, 4)), (7, 93), 7),
    ],
)
def test_ipfix_sampling_from_options(
    fields: tuple[tuple[int, int], ...], values: tuple[int, ...], factor: int
) -> None:
    options = set_of(300, struct.pack(f">I{len(values)}I", 9, *values))
    sets = (set_of(2, definition(256, *BASIC)), ipfix_options(300, *fields), options, set_of(256, basic()))
    row = one(parser().datagram(ipfix(*sets), EXPORTER))
    assert [row["packets"], row["bytes"]] == [3 * factor, 180 * factor]


def test_sampling_inside_the_record_wins() -> None:
    sets = (
        set_of(2, definition(256, *BASIC, (34, 4))), ipfix_options(300, (305, 4)),
        set_of(300, struct.pack(">II", 9, 50)), set_of(256, basic() + struct.pack(">I", 8)),
    )  # fmt: skip
    assert one(parser().datagram(ipfix(*sets), EXPORTER))["packets"] == 24


def test_flows_name_their_sampler() -> None:
    samplers = b"".join(struct.pack(">IHI", 9, number, interval) for number, interval in ((1, 10), (2, 20)))
    data = b"".join(basic() + struct.pack(">B", number) for number in (1, 2, 3))
    sets = (
        set_of(0, definition(256, *BASIC, (48, 1))), v9_options(300, (48, 2), (50, 4)), set_of(300, samplers),
        set_of(256, data),
    )  # fmt: skip
    parsed = parser().datagram(v9(*sets), EXPORTER)
    assert parsed.rows["packets"].tolist() == [30, 60, 60]


# Times of IPFIX


def ntp(after_export: float) -> int:
    return int((EXPORT_SECONDS + after_export + 2_208_988_800) * (1 << 32))


@pytest.mark.parametrize(
    ("fields", "packed", "end", "duration"),
    [
        (((150, 4), (151, 4)), struct.pack(">II", EXPORT_SECONDS - 9, EXPORT_SECONDS - 2), -2_000_000, 7000),
        (((152, 8), (153, 8)), struct.pack(">QQ", NOW // 1000 - 900, NOW // 1000 - 400), -400_000, 500),
        (((154, 8), (155, 8)), struct.pack(">QQ", ntp(-3), ntp(-1.5)), -1_500_000, 1500),
        (((156, 8), (157, 8)), struct.pack(">QQ", ntp(-3), ntp(-2)), -2_000_000, 1000),
        (((158, 4), (159, 4)), struct.pack(">II", 5_000_000, 2_000_000), -2_000_000, 3000),
        (((22, 4), (21, 4), (160, 8)), struct.pack(">IIQ", 7000, 9000, NOW // 1000 - 10_000), -1_000_000, 2000),
        (((22, 4), (21, 4)), struct.pack(">II", 7000, 9000), 0, 2000),
        (((152, 8), (161, 4)), struct.pack(">QI", NOW // 1000 - 900, 300), -600_000, 300),
        (((152, 8), (162, 4)), struct.pack(">QI", NOW // 1000 - 900, 300_000), -600_000, 300),
        (((150, 4),), struct.pack(">I", EXPORT_SECONDS - 9), -9_000_000, 0),
        (((153, 8), (161, 4)), struct.pack(">QI", 0, 300), 0, 300),
        (((161, 4),), struct.pack(">I", 300), 0, 300),
        (((152, 8), (153, 8)), struct.pack(">QQ", NOW // 1000, NOW // 1000 - 400), -400_000, 0),
        ((), b"", 0, 0),
    ],
)  # fmt: skip
def test_ipfix_times(fields: tuple[tuple[int, int], ...], packed: bytes, end: int, duration: int) -> None:
    template = set_of(2, definition(256, SRC4, *fields))
    row = one(parser().datagram(ipfix(template, set_of(256, v4("192.0.2.8") + packed)), EXPORTER))
    assert row["time"] - NOW == pytest.approx(end, abs=1)
    assert row["duration"] == duration


def test_ipfix_uptime_counts_from_the_start_that_options_tell() -> None:
    sets = (
        set_of(2, definition(256, SRC4, FIRST, LAST)), ipfix_options(300, (160, 8)),
        set_of(300, struct.pack(">IQ", 9, NOW // 1000 - 10_000)),
        set_of(256, v4("192.0.2.8") + struct.pack(">II", 6000, 9500)),
    )  # fmt: skip
    row = one(parser().datagram(ipfix(*sets), EXPORTER))
    assert [row["time"], row["duration"]] == [NOW - 500_000, 3500]


def test_absurd_time_is_in_the_future() -> None:
    sets = (set_of(2, definition(256, SRC4, (153, 8))), set_of(256, v4("192.0.2.8") + b"\xff" * 8))
    assert "in the future" in whys(parser().datagram(ipfix(*sets), EXPORTER))[0]


# Captures


def mixed_stream() -> bytes:
    return b"".join(
        (
            v5(v5_record(), v5_record("192.0.2.1")), v9(set_of(0, definition(256, *BASIC)), set_of(256, basic())),
            v9(set_of(256, basic("192.0.2.3") + b"\0")), ipfix(set_of(2, definition(256, *BASIC))),
            ipfix(set_of(256, basic("192.0.2.4"))), v9(set_of(256, basic("192.0.2.5"))), v5(v5_record("192.0.2.6")),
            v9(set_of(256, basic("192.0.2.7"))),
        )
    )  # fmt: skip


STREAM_SOURCES = ["198.51.100.7", "192.0.2.1", "198.51.100.7", *(f"192.0.2.{last}" for last in range(3, 8))]


def feed(data: bytes, size: int) -> Parsed:
    flows = parser()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    parts = [flows.feed(piece) for piece in pieces] + [flows.feed(b"", final=True)]
    return Parsed(
        np.concatenate([part.rows for part in parts]),
        list(itertools.chain.from_iterable(part.rejected for part in parts)),
        sum(part.rejected_count for part in parts),
        sum(part.records for part in parts),
    )


@pytest.mark.parametrize("size", [1, 7, 20, 64, 1000, 100_000])
def test_datagrams_one_after_another(size: int) -> None:
    parsed = feed(mixed_stream(), size)
    assert [source(row) for row in parsed.rows] == STREAM_SOURCES
    assert parsed.rows["line"].tolist() == list(range(1, 9))
    assert [parsed.rejected, parsed.records] == [[], 8]


@pytest.mark.parametrize("size", [1, 11, 100_000])
@pytest.mark.parametrize("damage", [b"\0\5\0\x63damage", b"\xff" * 50, b"\0\x0a\0\1ab", b"\0"])
def test_damage_between_datagrams_is_told_once_and_the_rest_counts(damage: bytes, size: int) -> None:
    stream = v5(v5_record()) + damage + v5(v5_record("192.0.2.6")) + v5(v5_record("192.0.2.7"))
    parsed = feed(stream, size)
    assert [source(row) for row in parsed.rows] == ["198.51.100.7", "192.0.2.6", "192.0.2.7"]
    assert parsed.rejected_count == 1
    assert parsed.rejected[0][0] == 2


def test_set_damaged_in_a_v9_stream_costs_its_datagram_only() -> None:
    damaged = v9(set_of(0, definition(256, *BASIC)), set_of(256, basic()), b"\0\7\0\7bad")
    stream = damaged + v5(v5_record("192.0.2.6"))
    parsed = feed(stream, 9)
    assert [source(row) for row in parsed.rows] == ["198.51.100.7", "192.0.2.6"]
    assert whys(parsed) == ["set 7 is malformed: the rest of its datagram is left out"]


@pytest.mark.parametrize("cut", [1, 30, 60])
def test_stream_that_ends_within_a_datagram(cut: int) -> None:
    parsed = feed(v5(v5_record()) + v5(v5_record("192.0.2.6"))[:-cut], 50)
    assert len(parsed.rows) == 1
    assert whys(parsed) == ["the capture ends within a datagram"]


def test_v9_sets_before_the_cut_count() -> None:
    parsed = feed(v9(set_of(0, definition(256, *BASIC)), set_of(256, basic()), set_of(256, basic()))[:-1], 50)
    assert len(parsed.rows) == 1
    assert whys(parsed) == ["the capture ends within a datagram"]


def test_text_is_no_capture() -> None:
    parsed = feed(b"Nov  3 12:00:00 mx postfix/smtpd[1]: connect from unknown[192.0.2.1]\n" * 200, 1000)
    assert len(parsed.rows) == 0
    assert whys(parsed) == ["not NetFlow v5, NetFlow v9 or IPFIX: the first word is 20079, not 5, 9 or 10"]


def test_empty_capture() -> None:
    assert parser().feed(b"", final=True).records == 0


def udp(payload: bytes, sport: int = 2000) -> bytes:
    return struct.pack(">HHHH", sport, 2055, 8 + len(payload), 0) + payload


def ip4(payload: bytes, src: str = "10.9.9.1", fragment: int = 0, proto: int = 17) -> bytes:
    return struct.pack(
        ">BBHHHBBH4s4s", 0x46, 0, 24 + len(payload), 1, fragment, 64, proto, 0, v4(src), v4("10.9.9.2")
    ) + b"\1\1\1\1" + payload  # fmt: skip


def ip6(payload: bytes, src: str = "fd00::1") -> bytes:
    hop_by_hop = struct.pack(">BB6x", 17, 0)
    return struct.pack(">IHBB", 6 << 28, 8 + len(payload), 0, 64) + v6(src) + v6("fd00::2") + hop_by_hop + payload


def ethernet(packet: bytes, tags: bytes = b"") -> bytes:
    kind = b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes(12) + tags + kind + packet + b"pad"


FRAMES: dict[int, Callable[[bytes], bytes]] = {
    1: ethernet,
    0: lambda packet: struct.pack("<I", 2) + packet,
    101: lambda packet: packet,
    113: lambda packet: bytes(14) + (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet,
    276: lambda packet: (b"\x08\0" if packet[0] >> 4 == 4 else b"\x86\xdd") + bytes(18) + packet,
}


def pcap(*frames: bytes, link: int = 1, order: str = ">", magic: int = 0xA1B2C3D4, lost: int = 0) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, link)
    return head + b"".join(
        struct.pack(order + "IIII", EXPORT_SECONDS, 0, len(frame), len(frame) + lost) + frame for frame in frames
    )


@pytest.mark.parametrize("link", list(FRAMES))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
@pytest.mark.parametrize("wrap", [ip4, ip6])
def test_pcap_of_each_link_type(link: int, order: str, magic: int, wrap: Callable[[bytes], bytes]) -> None:
    frames = [FRAMES[link](wrap(udp(datagram))) for datagram in (v5(v5_record()), v5(v5_record("192.0.2.6")))]
    whole = pcap(*frames, link=link, order=order, magic=magic)
    for size in (1, 37, 10_000):
        parsed = feed(whole, size)
        assert [source(row) for row in parsed.rows] == ["198.51.100.7", "192.0.2.6"]
        assert parsed.rejected == []


def test_pcap_tells_exporters_apart_by_address_and_port() -> None:
    template = v9(set_of(0, definition(256, *BASIC)))
    data = v9(set_of(256, basic()))
    tags = b"\x81\0\0\1\x88\xa8\0\2"
    parsed = feed(
        pcap(
            ethernet(ip4(udp(template)), tags), ethernet(ip4(udp(data)), tags),
            ethernet(ip4(udp(data, sport=2001))), ethernet(ip4(udp(data), src="10.9.9.7")),
            ethernet(ip6(udp(data))),
        ),
        13,
    )  # fmt: skip
    assert len(parsed.rows) == 1
    exporters = ("10.9.9.1:2001", "10.9.9.7:2000", "[fd00::1]:2000")
    assert [f" of {exporter}," in why for exporter, why in zip(exporters, whys(parsed), strict=True)] == [True] * 3


def test_pcap_packets_that_are_no_export() -> None:
    parsed = feed(
        pcap(
            ethernet(ip4(b"tcp" * 20, proto=6)), bytes(12) + b"\x08\x06" + bytes(28), b"", b"short",
            ethernet(ip4(udp(v5(v5_record())), fragment=0x2000)), ethernet(ip4(bytes(40), fragment=0x0010)),
            ethernet(ip4(udp(v5(v5_record()))))[:60], ethernet(ip4(udp(b"\x12\x34 dns"))),
            ethernet(ip4(udp(v5(v5_record())))),
        ),
        1000,
    )  # fmt: skip
    assert len(parsed.rows) == 1
    fragment, snapped, dns = whys(parsed)
    assert "fragment from 10.9.9.1:2000" in fragment
    assert "tcpdump -s 0" in snapped
    assert "first word is 4660" in dns


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x0a\x0d\x0d\x0a" + bytes(100), "editcap -F pcap"),
        (pcap(link=147) + bytes(100), "link type 147"),
        (pcap() + struct.pack(">IIII", 0, 0, 1 << 30, 1 << 30) + bytes(100), "damaged"),
        (pcap(b"x" * 90)[:-1], "ends within"),
        (pcap()[:-1], "ends within"),
    ],
)
def test_capture_that_cannot_be_read(data: bytes, why: str) -> None:
    for size in (1, 1000):
        parsed = feed(data, size)
        assert len(parsed.rows) == 0
        (only,) = whys(parsed)
        assert why in only


def test_rejections_are_described_up_to_a_bound_and_all_counted() -> None:
    parsed = parser().feed(v9(set_of(256, basic())) * (REJECTED_KEPT + 400), final=True)
    assert parsed.rejected_count == REJECTED_KEPT + 400
    assert [number for number, _ in parsed.rejected] == list(range(1, REJECTED_KEPT + 1))


def test_exporter_must_be_an_address() -> None:
    with pytest.raises(ValueError, match="4 or 16 bytes"):
        parser().datagram(v5(v5_record()), bytes(19))


# Other people's exporters


def corpus() -> list[dict[str, object]]:
    if not CORPUS.exists():
        return []
    rows = (json.loads(line) for line in CORPUS.read_text("utf-8").splitlines())
    return [row for row in rows if row["format"] in ("netflow5", "netflow9", "ipfix")]


# An exporter that samples 1 in 1000: what its project asserts is not scaled up.
SAMPLED = {"Netflow5 Juniper MX80": 1000}
# The row lacks the template.
WITHOUT_TEMPLATE = {"Netflow 9 Cisco ACI"}


@pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus is not here")
def test_corpus_flows_are_found() -> None:
    seen = 0
    for entry in corpus():
        flows = FlowParser(Context(KEY, time.time_ns() // 1000))
        parts = [flows.feed(bytes.fromhex(datagram)) for datagram in entry["hex"]]  # type: ignore[attr-defined]
        parts.append(flows.feed(b"", final=True))
        factor = SAMPLED.get(str(entry["src"]), 1)
        got = [
            {"src": source(row), "packets": row["packets"] // factor, "bytes": row["bytes"] // factor}
            | {name: row[name] for name in ("sport", "dport", "proto")}
            for part in parts
            for row in part.rows
        ]
        told = [why for part in parts for _, why in part.rejected]
        for flow in entry.get("flows") or ():  # type: ignore[attr-defined]
            wanted = {name: value for name, value in flow.items() if name != "dst"}
            found = any(wanted.items() <= row.items() for row in got)
            seen += found
            assert found or entry["src"] in WITHOUT_TEMPLATE, (entry["src"], wanted, told)
    assert seen >= 25


@pytest.mark.skipif(shutil.which("softflowd") is None, reason="softflowd is not installed")
@pytest.mark.parametrize("version", ["5", "9", "10"])
def test_softflowd_exports_are_understood(version: str, tmp_path: Path) -> None:
    segments = [
        ethernet(
            struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 1, 0, 64, 6, 0, v4(f"198.51.100.{host}"), v4("203.0.113.9"))
            + struct.pack(">HHIIBBHHH", 40_000 + host, 25, 1, 0, 0x50, 2, 1000, 0, 0)
            + bytes(20)
        )[:-3]
        for host in range(1, 4)
        for _ in range(host)
    ]
    capture = tmp_path / "traffic.pcap"
    capture.write_bytes(pcap(*segments))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(2)
        target = f"127.0.0.1:{collector.getsockname()[1]}"
        arguments = ["-r", str(capture), "-n", target, "-v", version, "-c", "none", "-d"]
        arguments += ["-p", str(tmp_path / "pid")]
        subprocess.run(["softflowd", *arguments], check=True, capture_output=True, timeout=20)
        collector.setblocking(False)
        batch = []
        while True:
            try:
                data, sender = collector.recvfrom(65_535)
            except BlockingIOError:
                break
            batch.append((data, v4(sender[0]) + struct.pack(">H", sender[1])))
    parsed = FlowParser(Context(KEY, time.time_ns() // 1000)).datagrams(batch)
    assert parsed.rejected == []
    got = {
        source(row): [int(row[name]) for name in ("packets", "bytes", "sport", "dport", "proto", "reason")]
        for row in parsed.rows
        if row["dport"] == 25
    }
    assert got == {
        f"198.51.100.{host}": [host, 60 * host, 40_000 + host, 25, 6, Reason.PROTOCOL] for host in range(1, 4)
    }
    assert {int(target) for target in parsed.rows["target"]} == {keyed_hash(KEY, v6("::ffff:203.0.113.9"))}
    assert parse("198.51.100.1") == Key(int(parsed.rows["ip_hi"].min()), int(parsed.rows["ip_lo"].min()))
