import struct
from datetime import UTC, datetime

import pytest

from profiler.errors import FormatError
from profiler.parse.registry import FORMATS, SNIFF_BYTES, Context, open_parser, sniff

CONTEXT = Context(bytes(16), int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000)
POSTFIX = b"Nov  3 04:05:06 mx1 postfix/smtpd[7]: connect from unknown[185.43.7.209]\n"
OBJECT = b'{"time": 1793678706, "ip": "185.43.7.209", "event": "connect"}\n'


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (POSTFIX, "postfix"),
        (b"<22>" + POSTFIX, "postfix"),
        (b"<22>1 2026-11-03T04:05:06Z mx1 postfix/smtpd 7 - - connect from unknown[185.43.7.209]\n", "postfix"),
        (b"2026-11-03 04:05:06 mx1 dovecot: x\n", "postfix"),
        (b"half of a line\n\n" + POSTFIX, "postfix"),
        (OBJECT, "ndjson"),
        (b"\r\n  " + OBJECT, "ndjson"),
        (POSTFIX + OBJECT, "postfix"),
        (struct.pack(">HH", 5, 1) + bytes(68), "netflow"),
        (struct.pack(">HH", 9, 1) + bytes(68), "netflow"),
        (struct.pack(">HH", 10, 16) + bytes(12), "ipfix"),
        (struct.pack("<I", 0xA1B2C3D4) + bytes(20), "pcap"),
        (struct.pack(">I", 0xA1B23C4D) + bytes(20), "pcap"),
    ],
)
def test_a_format_is_recognised(head: bytes, name: str) -> None:
    assert sniff(head) == name
    assert name in FORMATS


@pytest.mark.parametrize(
    ("head", "remedy"),
    [
        (b"hello\nworld\n", "name it: postfix, ndjson"),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), "editcap -F pcap"),
        (b"\x1f\x8b\x08" + bytes(20), "unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(20), "unpack it"),
    ],
)
def test_what_is_not_recognised_names_the_remedy(head: bytes, remedy: str) -> None:
    with pytest.raises(FormatError, match=remedy):
        sniff(head)


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(FormatError, match="'postfx' is unknown; known are auto, postfix, ndjson"):
        open_parser("postfx", CONTEXT)


@pytest.mark.parametrize("data", [POSTFIX, OBJECT])
def test_auto_gives_the_rows_of_the_format(data: bytes) -> None:
    whole = open_parser("auto", CONTEXT).feed(data, True)
    parser = open_parser("auto", CONTEXT)
    assert len(parser.feed(data[:10]).rows) == 0
    parts = parser.feed(data[10:], True)
    assert len(whole.rows) == 1
    assert whole.rows.tobytes() == parts.rows.tobytes()


def test_auto_decides_once_enough_is_there_and_goes_on() -> None:
    parser = open_parser("auto", CONTEXT)
    lines = SNIFF_BYTES // len(POSTFIX) + 1
    assert parser.feed(POSTFIX * lines).records == lines
    after = parser.feed(POSTFIX)
    assert after.rows["line"].tolist() == [lines + 1]


def test_auto_takes_nothing_for_nothing_and_refuses_what_it_does_not_know() -> None:
    assert open_parser("auto", CONTEXT).feed(b" \n", True).records == 0
    with pytest.raises(FormatError, match="cannot be recognised"):
        open_parser("auto", CONTEXT).feed(b"hello", True)
