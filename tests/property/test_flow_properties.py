"""Whatever the bytes and however they are split: the flow parser gives the same rows and never breaks."""

import struct
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.observation import Event
from profiler.parse.flow import FlowParser
from profiler.parse.registry import FUTURE_SECONDS, Context, Parsed

SECONDS = 1_700_000_000
CONTEXT = Context(bytes(range(16)), SECONDS * 1_000_000)
EXAMPLES = 150
# What the parser knows, some lengths that suit and some that do not.
ELEMENTS = st.sampled_from(
    [1, 2, 4, 6, 7, 8, 8, 11, 12, 21, 22, 27, 28, 34, 48, 50, 82, 150, 151, 153, 155, 159, 160, 161, 302, 305, 306]
)
NATURAL_LENGTHS = {8: 4, 12: 4, 27: 16, 28: 16, 153: 8, 155: 8}


@st.composite
def v5(draw: st.DrawFn) -> bytes:
    count = draw(st.integers(0, 3))
    head = struct.pack(">HHIIII", 5, count, draw(st.integers(0, 2**32 - 1)), SECONDS, 0, 0)
    return (
        head + draw(st.binary(min_size=4, max_size=4)) + draw(st.binary(min_size=48 * count, max_size=48 * count))
    )


@st.composite
def sets(draw: st.DrawFn, first_template_set: int) -> bytes:
    """A template with data of its own length, and perhaps a set of anything."""
    template_id = draw(st.integers(256, 259))
    fields = draw(st.lists(ELEMENTS, min_size=1, max_size=8))
    lengths = [NATURAL_LENGTHS.get(field, draw(st.sampled_from([1, 2, 4, 8, 0, 65535]))) for field in fields]
    body = struct.pack(">HH", template_id, len(fields))
    if draw(st.booleans()) and first_template_set == 2:
        first_template_set += 1
        body += b"\0\1"
    body += b"".join(struct.pack(">HH", *pair) for pair in zip(fields, lengths, strict=True))
    parts = [(first_template_set, body), (template_id, draw(st.binary(max_size=120)))]
    parts += draw(
        st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 7, 256, 257]), st.binary(max_size=30)), max_size=2)
    )
    return b"".join(struct.pack(">HH", number, len(data) + 4) + data for number, data in parts)


@st.composite
def v9(draw: st.DrawFn) -> bytes:
    return struct.pack(">HHIIII", 9, 1, 1000, SECONDS, 0, draw(st.integers(0, 1))) + draw(sets(0))


@st.composite
def ipfix(draw: st.DrawFn) -> bytes:
    body = draw(sets(2))
    return struct.pack(">HHIII", 10, 16 + len(body), SECONDS, 0, draw(st.integers(0, 1))) + body


EXPORTS = st.one_of(v5(), v9(), ipfix())


@st.composite
def pcap(draw: st.DrawFn) -> bytes:
    order = draw(st.sampled_from("<>"))
    parts = [struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)]
    for export in draw(st.lists(EXPORTS, max_size=4)):
        udp = struct.pack(">HHHH", draw(st.integers(1, 3)), 2055, 8 + len(export), 0) + export
        packet = struct.pack(">BBHHHBBH8x", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + udp
        parts.append(struct.pack(order + "IIII", 0, 0, len(packet), len(packet)) + packet)
    return b"".join(parts)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A capture in which some bytes are overwritten, cut out or put in."""
    data = bytearray(draw(st.one_of(pcap(), st.lists(EXPORTS, max_size=5).map(b"".join))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


def feed(pieces: Sequence[bytes]) -> Parsed:
    parser = FlowParser(CONTEXT)
    parts = [parser.feed(piece) for piece in pieces] + [parser.feed(b"", final=True)]
    return Parsed(
        np.concatenate([part.rows for part in parts]),
        [rejection for part in parts for rejection in part.rejected],
        sum(part.rejected_count for part in parts),
        sum(part.records for part in parts),
    )


def check(parsed: Parsed) -> None:
    rows = parsed.rows
    assert (rows["event"] == Event.FLOW).all()
    assert (rows["count"] == 1).all()
    assert (rows["time"] <= CONTEXT.now + FUTURE_SECONDS * 1_000_000).all()
    assert (np.diff(rows["line"].astype(np.int64)) > 0).all()
    assert len(rows) == 0 or rows["line"][-1] <= parsed.records
    assert len(rows) <= parsed.records
    assert all(1 <= number <= parsed.records and why for number, why in parsed.rejected)


@settings(max_examples=EXAMPLES, deadline=None)
@given(data=damaged(), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_same(data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = feed([data])
    split = feed([data[low:high] for low, high in pairwise(edges)])
    check(whole)
    assert split.rows.tobytes() == whole.rows.tobytes()
    assert split[1:] == whole[1:]


@settings(max_examples=EXAMPLES, deadline=None)
@given(exports=st.lists(st.one_of(EXPORTS, damaged(), st.binary(max_size=200)), max_size=8))
def test_datagrams_together_or_one_by_one(exports: list[bytes]) -> None:
    exporter = bytes([192, 0, 2, 1])
    together = FlowParser(CONTEXT).datagrams([(export, exporter) for export in exports])
    check(together)
    parser = FlowParser(CONTEXT)
    apart = [parser.datagram(export, exporter) for export in exports]
    rows = np.concatenate([part.rows for part in apart]) if apart else together.rows
    rows["line"] = together.rows["line"]
    assert rows.tobytes() == together.rows.tobytes()
    assert sum(part.records for part in apart) == together.records
    assert sum(part.rejected_count for part in apart) == together.rejected_count


@settings(max_examples=EXAMPLES, deadline=None)
@given(exports=st.lists(v5(), min_size=1, max_size=5))
def test_v5_stream_and_datagrams_agree(exports: list[bytes]) -> None:
    exports = [export for export in exports if len(export) > 24] or [b""]
    stream = feed(exports)
    live = FlowParser(CONTEXT).datagrams([(export, b"") for export in exports if export])
    assert stream.rows.tobytes() == live.rows.tobytes()
    assert stream.rejected == live.rejected
