"""Vedette's own observation, one JSON object a line (DESIGN §7), to rows.

Bytes in, :class:`~profiler.parse.registry.Parsed` out. Only ``time``, ``ip`` and ``event`` are required; what is
not known here is ignored, so that a sensor may send more. Names and addresses leave as keyed hashes.
"""

import re
import struct
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from profiler import address
from profiler.errors import AddressError
from profiler.keyed import keyed_hash, keyed_hash_lower
from profiler.name import helo_signs, name_signs
from profiler.observation import OBSERVATION, POSTABLE, REASONS, Reason, Sign
from profiler.parse.registry import FUTURE, FUTURE_SECONDS, LINE_BYTES, REJECTED_KEPT, TOO_LONG, Context, Parsed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_U16, _U32, _U64 = (1 << 16) - 1, (1 << 32) - 1, (1 << 64) - 1
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "ipv6-icmp": 58, "sctp": 132}
_RESULTS = (
    ("spf", Sign.SPF_PASS, Sign.SPF_FAIL),
    ("dkim", Sign.DKIM_PASS, Sign.DKIM_FAIL),
    ("dmarc", Sign.DMARC_PASS, Sign.DMARC_FAIL),
)
#: A row in the order of OBSERVATION; a test holds the two equal.
ROW = struct.Struct("<q7Q5I3H3B3x")


class Observation(msgspec.Struct):
    """The object of a line; a field that is absent or null says nothing."""

    time: str | int | float
    ip: str
    event: str
    reason: str | None = None
    helo: str | None = None
    rdns: str | msgspec.UnsetType | None = msgspec.UNSET
    rdns_verified: bool | None = None
    sender_domain: str | None = None
    recipients: int | None = None
    spf: str | None = None
    dkim: str | None = None
    dmarc: str | None = None
    tls: bool | str | None = None
    dst: str | None = None
    dport: int | None = None
    proto: str | int | None = None
    packets: int | None = None
    bytes: int | None = None
    count: int | None = None
    #: In seconds.
    duration: float | None = None


class _BadLine(Exception):
    """Why a line gives no row."""


class NdjsonParser:
    """A stream of observations; see :class:`profiler.parse.registry.Parser`."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._latest = context.now + FUTURE_SECONDS * 1_000_000
        self._decoder = msgspec.json.Decoder(Observation)
        self._tail = bytearray()
        self._overlong = False
        self._number = 0

    def feed(self, data: bytes, final: bool = False) -> Parsed:
        """Return the rows of the lines that are complete; an unfinished last line waits unless ``final``."""
        rows = bytearray()
        rejected: list[tuple[int, str]] = []
        rejected_count = records = 0
        for line in self._lines(data, final):
            self._number += 1
            if line is not None and not line.strip():
                continue
            records += 1
            try:
                if line is None or len(line) > LINE_BYTES:
                    raise _BadLine(TOO_LONG)
                rows += self._row(line)
            except _BadLine as error:
                rejected_count += 1
                if len(rejected) < REJECTED_KEPT:
                    rejected.append((self._number, str(error)))
        return Parsed(np.frombuffer(rows, OBSERVATION), rejected, rejected_count, records)

    def _lines(self, data: bytes, final: bool) -> list[bytes | None]:
        # None stands for a line of which the start was dropped because it is too long.
        head, newline, rest = data.partition(b"\n")
        lines: list[bytes | None] = []
        self._keep(head)
        if newline:
            lines.append(self._finish())
            *whole, last = rest.split(b"\n")
            lines += whole
            self._keep(last)
        if final and (self._tail or self._overlong):
            lines.append(self._finish())
        return lines

    def _keep(self, part: bytes) -> None:
        if not self._overlong:
            self._tail += part
            if len(self._tail) > LINE_BYTES:
                self._overlong = True
                self._tail.clear()

    def _finish(self) -> bytes | None:
        line = None if self._overlong else bytes(self._tail)
        self._overlong = False
        self._tail.clear()
        return line

    def _row(self, line: bytes) -> bytes:
        try:
            seen = self._decoder.decode(line)
        except msgspec.ValidationError as error:
            raise _BadLine(_in_words(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _BadLine(f"not a JSON object: {error}") from None
        time = self._time(seen.time)
        key = _address("ip", seen.ip)
        event = POSTABLE.get(seen.event)
        if event is None:
            raise _BadLine(f"`event`: {_short(seen.event)} is unknown; known are {', '.join(POSTABLE)}")
        reason = Reason.NONE
        if seen.reason:
            if seen.reason not in REASONS:
                raise _BadLine(f"`reason`: {_short(seen.reason)} is unknown; known are {', '.join(REASONS)}")
            reason = REASONS[seen.reason]
        count = 1 if seen.count is None else seen.count
        if count < 1:
            raise _BadLine(f"`count`: {count} is less than 1")
        target = 0
        if seen.dst is not None:
            hi, lo = _address("dst", seen.dst)
            target = keyed_hash(self._context.hash_key, hi.to_bytes(8, "big") + lo.to_bytes(8, "big"))
        return ROW.pack(
            time,
            *key,
            0,
            self._hash(seen.helo),
            self._hash(seen.sender_domain and seen.sender_domain.rpartition("@")[2]),
            target,
            _number("bytes", seen.bytes, _U64),
            self._number & _U32,
            min(count, _U32),
            _number("packets", seen.packets, _U32),
            _number("duration", _milliseconds(seen.duration), _U32),
            _signs(seen, key),
            _number("recipients", seen.recipients, _U16),
            _port(seen.dport),
            0,
            event,
            reason,
            _protocol(seen.proto),
        )

    def _hash(self, text: str | None) -> int:
        return keyed_hash_lower(self._context.hash_key, text.encode()) if text else 0

    def _time(self, value: str | int | float) -> int:
        if isinstance(value, str):
            micro = self._date(value)
        elif abs(value) < 1 << 40:
            # Not through a product of floats, which would move whole microseconds.
            micro = int(value) * 1_000_000 + round(value % 1 * 1_000_000 if value >= 0 else 0)
        else:
            raise _BadLine(f"`time`: {value} is no number of seconds since 1970")
        if micro < 0:
            raise _BadLine("`time`: lies before 1970")
        if micro > self._latest:
            raise _BadLine(FUTURE)
        return micro

    def _date(self, text: str) -> int:
        try:
            if not _DATE.match(text):
                raise ValueError
            moment = datetime.fromisoformat(text.upper())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self._context.timezone)
            return (moment - _EPOCH) // _MICROSECOND
        except (ValueError, OverflowError):
            raise _BadLine(f"`time`: {_short(text)} is no date as in RFC 3339, nor seconds since 1970") from None


_DATE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d")
_SHOWN_CHARACTERS = 80


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")


def _in_words(message: str) -> str:
    # "Expected `int`, got `str` - at `$.count`" becomes "`count`: expected int, got str".
    what, _, path = message.partition(" - at `$")
    what = what[:1].lower() + what[1:]
    field = path.strip("`.")
    return f"`{field}`: {what.replace('`', '')}" if field else what


def _address(field: str, text: str) -> address.Key:
    try:
        return address.parse(text)
    except AddressError:
        raise _BadLine(f"`{field}`: {_short(text)} is not an IPv4 or IPv6 address") from None


def _number(field: str, value: int | None, most: int) -> int:
    if value is None:
        return 0
    if value < 0:
        raise _BadLine(f"`{field}`: {value} is less than 0")
    return min(value, most)


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(min(max(seconds, -1.0), _U32) * 1000)


def _port(value: int | None) -> int:
    if value is not None and not 0 <= value <= _U16:
        raise _BadLine(f"`dport`: {value} is no port: 0 to {_U16}")
    return value or 0


def _protocol(value: str | int | None) -> int:
    if value is None:
        return 0
    number = value if isinstance(value, int) else _PROTOCOLS.get(value.lower())
    if number is None or not 0 <= number <= 255:
        raise _BadLine(
            f"`proto`: {_short(str(value))} is unknown; known are {', '.join(_PROTOCOLS)} and numbers to 255"
        )
    return number


def _signs(seen: Observation, key: address.Key) -> int:
    signs = 0
    name = seen.rdns.encode() if isinstance(seen.rdns, str) else b""
    if seen.rdns_verified:
        signs |= Sign.RDNS_VERIFIED | name_signs(name, *key)
    elif name:
        # Whoever runs the reverse zone may claim any name: that it says mail counts for nothing.
        signs |= Sign.RDNS_UNVERIFIED | name_signs(name, *key) & ~Sign.RDNS_SERVER
    elif seen.rdns is not msgspec.UNSET:
        signs |= Sign.RDNS_NONE
    elif seen.rdns_verified is False:
        signs |= Sign.RDNS_UNVERIFIED
    if seen.helo:
        signs |= helo_signs(seen.helo.encode(), name if seen.rdns_verified else b"", *key)
    if seen.tls:
        signs |= Sign.TLS
    for field, passed, failed in _RESULTS:
        result = (getattr(seen, field) or "").lower()
        if result == "pass":
            signs |= passed
        elif result.startswith("fail"):
            signs |= failed
    return int(signs)
