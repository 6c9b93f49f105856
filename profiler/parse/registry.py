"""The formats that are understood: what a parser is, how to open one by name, how to recognise a format.

Bytes in, :class:`Parsed` out. A parser is pushed bytes in any portions and never raises for what they contain: a
bad line is a counted value with its number and why. Only a whole stream of an unknown format is an error.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from types import MappingProxyType
from typing import NamedTuple, Protocol

from profiler.errors import FormatError
from profiler.observation import Rows, empty

#: So many rejected records of one call are described; the others are only counted.
REJECTED_KEPT = 1000
#: A longer line is rejected, and only so much of an unfinished line is kept.
LINE_BYTES = 64 * 1024
#: A row may lie so far after ``Context.now``: the clocks of sensors differ.
FUTURE_SECONDS = 600
#: What ``auto`` reads before it decides.
SNIFF_BYTES = 64 * 1024
FUTURE = "time lies in the future"
TOO_LONG = f"longer than {LINE_BYTES} bytes"


class Parsed(NamedTuple):
    """What a portion of a stream was understood to say."""

    #: Of dtype OBSERVATION, in the order of the lines.
    rows: Rows
    #: The first :data:`REJECTED_KEPT` rejections: the number of the line in the whole stream, from 1, and why.
    rejected: list[tuple[int, str]]
    rejected_count: int
    #: Lines that are not empty, or records.
    records: int


@dataclass(frozen=True, slots=True)
class Context:
    """What a parser must be told, since it has neither secrets nor a clock."""

    #: 16 bytes: the key of every hash in a row.
    hash_key: bytes
    #: Microseconds since 1970: gives dates without a year theirs, and refuses the future.
    now: int
    #: Of dates without a zone.
    timezone: tzinfo = UTC


class Parser(Protocol):
    """A format's parser; any split of the bytes over calls gives the same rows."""

    def feed(self, data: bytes, final: bool = False) -> Parsed:
        """Return what is complete; an unfinished last record is kept for the next call unless ``final``."""
        ...


def _postfix(context: Context) -> Parser:
    from profiler.parse.postfix import PostfixParser

    return PostfixParser(context)


def _ndjson(context: Context) -> Parser:
    from profiler.parse.ndjson import NdjsonParser

    return NdjsonParser(context)


def _flow(context: Context) -> Parser:
    from profiler.parse.flow import FlowParser

    return FlowParser(context)


FORMATS: Mapping[str, Callable[[Context], Parser]] = MappingProxyType(
    {"postfix": _postfix, "ndjson": _ndjson, "netflow": _flow, "ipfix": _flow, "pcap": _flow}
)


def open_parser(format: str, context: Context) -> Parser:
    """Return a parser for the format of that name, or for ``auto`` one that finds the format out.

    Raises:
        FormatError: there is no such format. A parser for ``auto`` raises it from ``feed`` if nothing fits.
    """
    if format == "auto":
        return _AutoParser(context)
    if format not in FORMATS:
        raise FormatError(f"format {format!r} is unknown; known are auto, {', '.join(FORMATS)}")
    return FORMATS[format](context)


class _AutoParser:
    """Keeps the head of a stream until it can be recognised, then hands everything to that format's parser."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._head = bytearray()
        self._parser: Parser | None = None

    def feed(self, data: bytes, final: bool = False) -> Parsed:
        if self._parser is not None:
            return self._parser.feed(data, final)
        self._head += data
        if not final and len(self._head) < SNIFF_BYTES:
            return Parsed(empty(), [], 0, 0)
        head = bytes(self._head)
        if not head.strip():
            return Parsed(empty(), [], 0, 0)
        self._parser = open_parser(sniff(head[:SNIFF_BYTES]), self._context)
        self._head.clear()
        return self._parser.feed(head, final)


_MAGIC = (
    (b"\xd4\xc3\xb2\xa1", "pcap"),
    (b"\xa1\xb2\xc3\xd4", "pcap"),
    (b"\x4d\x3c\xb2\xa1", "pcap"),
    (b"\xa1\xb2\x3c\x4d", "pcap"),
    (b"\x00\x05", "netflow"),
    (b"\x00\x09", "netflow"),
    (b"\x00\x0a", "ipfix"),
)
_REFUSED_MAGIC = (
    (b"\x0a\x0d\x0d\x0a", "this is pcapng; convert it with `editcap -F pcap`"),
    (b"\x1f\x8b", "this is compressed with gzip; unpack it, or say so in Content-Encoding"),
    (b"\x28\xb5\x2f\xfd", "this is compressed with zstd; unpack it, or say so in Content-Encoding"),
)
_SYSLOG_DATE = re.compile(
    rb"^(?:<\d{1,3}>(?:1 )?)?"
    rb"(?:(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} \d\d:|\d{4}-\d\d-\d\d[T ]\d\d:)",
    re.MULTILINE,
)
_OBJECT = re.compile(rb"^[ \t]*\{", re.MULTILINE)


def sniff(head: bytes) -> str:
    """Return the name of the format that the first bytes of a stream are in.

    Raises:
        FormatError: nothing fits; the message says what to do.
    """
    for magic, why in _REFUSED_MAGIC:
        if head.startswith(magic):
            raise FormatError(why)
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    line, json = _SYSLOG_DATE.search(head), _OBJECT.search(head)
    if json and not (line and line.start() < json.start()):
        return "ndjson"
    if line:
        return "postfix"
    raise FormatError(f"the format cannot be recognised; name it: {', '.join(FORMATS)}")
