"""Whatever the bytes and however they are split: the same rows, every record accounted for, no crash."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from profiler.address import parse as address
from profiler.errors import AddressError
from profiler.parse.registry import Context, Parsed, open_parser, sniff
from profiler.parse.show import shown

CONTEXT = Context(bytes(range(16)), int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000)
DATE = b"Nov  3 04:05:06 mx1 "
POSTFIX = [
    DATE + b"postfix/smtpd[7]: connect from unknown[185.43.7.209]",
    DATE + b"postfix/smtpd[7]: 4F1A2B3C4D: client=mx.a.example[2a02::25], sasl_method=LOGIN, sasl_username=x",
    DATE + b"postfix/smtpd[7]: NOQUEUE: reject: RCPT from 185-43-7-209.dyn.isp.example[185.43.7.209]: 550 5.1.1 "
    b"<b@c.example>: User unknown; from=<a@b.example> to=<b@c.example> proto=ESMTP helo=<[185.43.7.209]>",
    DATE + b"postfix/smtpd[7]: disconnect from unknown[185.43.7.209] ehlo=1 auth=0/3 commands=1/4",
    DATE + b"postfix/smtpd[7]: warning: unknown[185.43.7.209]: SASL LOGIN authentication failed: x",
    DATE + b"postfix/smtpd[7]: warning: hostname a.b does not resolve to address 2a02::1: Name unknown",
    DATE + b"postfix/cleanup[7]: 4F1A2B3C4D: reject: header Subject: x from mx.a.example[185.43.7.209]; from=<a@b> "
    b"to=<c@d> proto=ESMTP helo=<x>: 5.7.1 no",
    DATE + b"postfix/postscreen[7]: PREGREET 11 after 0 from [185.43.7.209]:4711: EHLO x",
    DATE + b"postfix/qmgr[7]: 4F1A2B3C4D: from=<a@b.example>, size=3210, nrcpt=7 (queue active)",
    DATE + b"postfix/qmgr[7]: 4F1A2B3C4D: removed",
    DATE + b"postfix/smtp[7]: 4F1A2B3C4D: to=<b@c>, relay=x, dsn=5.1.1, status=bounced (no)",
    b"<22>1 2026-11-03T04:05:06.5+01:00 mx1 postfix/smtpd 7 - [x y=\"z\"] timeout after EHLO from unknown[::1]",
    b"2026-11-03 04:05:06 mx1 dovecot: x",
    b"2027-11-03 04:05:06 mx1 postfix/smtpd[7]: connect from unknown[185.43.7.209]",
    b"nonsense",
    b"",
    b"\r",
]  # fmt: skip
OBJECTS = [
    b'{"time": 1793678706.5, "ip": "185.43.7.209", "event": "reject", "reason": "helo", "helo": "x"}',
    b'{"time": "2026-11-03T04:05:06Z", "ip": "2a02::1", "event": "flow", "dst": "8.8.8.8", "proto": "tcp"}',
    b'{"time": 1, "ip": "x", "event": "reject"}',
    b"{",
    b"  ",
    b"",
]


def flat(parts: list[Parsed]) -> tuple[bytes, list[tuple[int, str]], int, int]:
    return (
        b"".join(part.rows.tobytes() for part in parts),
        [rejection for part in parts for rejection in part.rejected],
        sum(part.rejected_count for part in parts),
        sum(part.records for part in parts),
    )


def fed(format: str, data: bytes, cuts: list[int]) -> list[Parsed]:
    parser = open_parser(format, CONTEXT)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [parser.feed(data[start:stop]) for start, stop in pairwise(edges)]
    return [*parts, parser.feed(b"", True)]


def texts(lines: list[bytes]) -> st.SearchStrategy[bytes]:
    """Lists of lines of which some have bytes changed, cut out or put in."""

    def mutated(line: bytes, at: int, cut: int, put: bytes) -> bytes:
        at %= len(line) + 1
        return line[:at] + put + line[at + cut :]

    line = st.sampled_from(lines)
    changed = st.builds(mutated, line, st.integers(0, 500), st.integers(0, 9), st.binary(max_size=4))
    return st.lists(line | changed | st.binary(max_size=30), max_size=12).map(b"\n".join)


@given(texts(POSTFIX), st.lists(st.integers(0, 4000), max_size=6))
def test_postfix_is_the_same_however_it_is_split(data: bytes, cuts: list[int]) -> None:
    assert flat(fed("postfix", data, cuts)) == flat([open_parser("postfix", CONTEXT).feed(data, True)])


@given(texts(OBJECTS), st.lists(st.integers(0, 1000), max_size=6))
def test_ndjson_is_the_same_however_it_is_split(data: bytes, cuts: list[int]) -> None:
    assert flat(fed("ndjson", data, cuts)) == flat([open_parser("ndjson", CONTEXT).feed(data, True)])


@given(texts(POSTFIX), st.lists(st.integers(0, 4000), max_size=6))
def test_auto_is_the_same_however_it_is_split(data: bytes, cuts: list[int]) -> None:
    data = POSTFIX[0] + b"\n" + data
    assert sniff(data) == "postfix"
    assert flat(fed("auto", data, cuts)) == flat([open_parser("postfix", CONTEXT).feed(data, True)])


@given(texts(POSTFIX))
def test_every_record_is_accounted_for(data: bytes) -> None:
    parsed = open_parser("postfix", CONTEXT).feed(data, True)
    lines = data.split(b"\n")
    assert parsed.records == sum(1 for line in lines if line.rstrip(b"\r"))
    with_rows, rejected = set(parsed.rows["line"].tolist()), {number for number, _ in parsed.rejected}
    assert not with_rows & rejected
    assert parsed.rejected_count == len(rejected)
    assert with_rows | rejected <= set(range(1, len(lines) + 1))
    assert all(json.dumps(line) for line in shown(parsed.rows))


@given(st.ip_addresses() | st.from_regex(r"[0-9a-f:.]{2,40}", fullmatch=True))
def test_an_address_in_brackets_is_read_as_the_library_reads_it(text: object) -> None:
    line = DATE + b"postfix/smtpd[7]: connect from unknown[" + str(text).encode() + b"]"
    parsed = open_parser("postfix", CONTEXT).feed(line, True)
    try:
        key = address(str(text))
    except AddressError:
        assert parsed.rejected == [(1, "no client address")]
        return
    assert (parsed.rows["ip_hi"][0], parsed.rows["ip_lo"][0]) == key


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2026, 11, 23)),
    st.integers(-14 * 60, 14 * 60),
)
def test_a_date_with_an_offset_is_read_as_the_library_reads_it(moment: datetime, minutes: int) -> None:
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    text = moment.isoformat(timespec="microseconds") + offset
    line = f"{text} mx1 postfix/smtpd[7]: connect from unknown[185.43.7.209]".encode()
    parsed = open_parser("postfix", CONTEXT).feed(line, True)
    expected = datetime.fromisoformat(text)
    microseconds = (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parsed.rows["time"].tolist() == [microseconds]
