"""Zone transfer out (RFC 5936, RFC 1995) as bytes: requests are read, records packed in messages.

Bytes and iterators of records in, messages out; no socket, no clock, no listing. Each message has the zone's name
in its question, at octet 12, which is what :data:`APEX` points to.
"""

import functools
import ipaddress
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
from dns.rdtypes.ANY.TSIG import TSIG

from dnsbl.wire.answer import wire_name
from dnsbl.wire.tsig import MOST_BYTES, Check, Keys, check, refusal
from dnsbl.zone.zone import Zone

TYPE_A, TYPE_NS, TYPE_SOA, TYPE_TXT, TYPE_AAAA, TYPE_IXFR, TYPE_AXFR = 1, 2, 6, 16, 28, 251, 252
CLASS_IN = 1
NOERROR, SERVFAIL, REFUSED, NOTAUTH = 0, 2, 5, 9
RCODES = {NOERROR: "NOERROR", SERVFAIL: "SERVFAIL", REFUSED: "REFUSED", NOTAUTH: "NOTAUTH"}
HEADER_BYTES = 12
APEX = b"\xc0\x0c"
#: What a message holds, before its signature.
MESSAGE_BYTES = 65535 - MOST_BYTES
EDNS_PAYLOAD_BYTES = 1232
KEY_PREFIX = "key:"
#: Codes and name servers: few, asked for often.
CACHED_ADDRESSES = 256
_RESPONSE, _AUTHORITATIVE = 0x8000, 0x0400
_OPT = struct.pack(">BHHIH", 0, 41, EDNS_PAYLOAD_BYTES, 0, 0)
_OPCODE_BITS = 0x78

#: Records of one name: how many, and their bytes, each owner ending in APEX.
Records = tuple[int, bytes]


@dataclass(frozen=True)
class Request:
    """A request for a transfer."""

    #: The zone in lower case, without the final dot.
    origin: str
    number: int
    question: bytes
    type: int
    has_edns: bool
    #: IXFR: the serial that the secondary has; None: everything is wanted.
    serial: int | None
    tsig: tuple[dns.name.Name, TSIG] | None
    #: Where the signature begins in the message.
    tsig_at: int


def is_transfer(data: bytes) -> bool:
    """Whether a message is a query for AXFR or IXFR, as far as its question tells."""
    if len(data) < HEADER_BYTES:
        return False
    at = HEADER_BYTES
    while at < len(data) and 0 < data[at] < 64:
        at += 1 + data[at]
    type_ = data[at + 1 : at + 3]
    return not data[2] & (_OPCODE_BITS | 0x80) and int.from_bytes(type_, "big") in (TYPE_AXFR, TYPE_IXFR)


def read_request(data: bytes) -> Request | None:
    """Return the request in a message, its signature not yet checked; None: it is malformed or of another class."""
    try:
        message = dns.message.from_wire(data, keyring=False)
        (question,) = message.question
        start = _last_record(data)
    except (dns.exception.DNSException, ValueError, IndexError, OverflowError):
        return None
    if question.rdclass != CLASS_IN or question.rdtype not in (TYPE_AXFR, TYPE_IXFR):
        return None
    serials = [soa[0].serial for soa in message.authority if soa.rdtype == TYPE_SOA and soa.name == question.name]
    if question.rdtype == TYPE_IXFR and len(serials) != 1:
        return None
    end = _name_end(data, HEADER_BYTES) + 4
    return Request(
        question.name.to_text(omit_final_dot=True).lower(),
        message.id,
        data[HEADER_BYTES:end],
        int(question.rdtype),
        message.edns >= 0,
        serials[0] if question.rdtype == TYPE_IXFR else None,
        (message.tsig.name, message.tsig[0]) if message.tsig else None,
        start,
    )


def _last_record(data: bytes) -> int:
    """Return where the last record of a well-formed message begins."""
    questions, *records = struct.unpack_from(">4H", data, 4)
    at = HEADER_BYTES
    for _ in range(questions):
        at = _name_end(data, at) + 4
    start = at
    for _ in range(sum(records)):
        start = at
        at = _name_end(data, at) + 10
        at += int.from_bytes(data[at - 2 : at], "big")
    return start


def _name_end(data: bytes, at: int) -> int:
    while 0 < data[at] < 64:
        at += 1 + data[at]
    return at + (1 if not data[at] else 2)


def check_signature(data: bytes, request: Request, keys: Keys, now: int) -> Check:
    """Return what the signature of a request says; without one that nobody signed it."""
    if request.tsig is None:
        return Check()
    return check(data, request.tsig_at, *request.tsig, keys, now)


def may_transfer(zone: Zone, address: str, key: str) -> bool:
    """Whether a secondary with this address, which signed with this key (empty: none), may have the zone."""
    client = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    for allowed in zone.transfer:
        if allowed.startswith(KEY_PREFIX):
            if key == allowed.removeprefix(KEY_PREFIX):
                return True
        elif client in ipaddress.ip_network(allowed):
            return True
    return False


def refuse(request: Request, rcode: int, checked: Check, now: int) -> bytes:
    """Return an answer without records, signed where the request was."""
    message = _head(request, rcode, 0, request.has_edns) + request.question + _OPT * request.has_edns
    if checked.error and request.tsig is not None:
        return refusal(message, *request.tsig, checked, now)
    return checked.signer.sign(message, now) if checked.signer else message


def messages(request: Request, records: Iterable[Records]) -> Iterator[bytes]:
    """Yield the messages of an answer, each at most MESSAGE_BYTES long, to be signed in this order."""
    room = MESSAGE_BYTES - HEADER_BYTES - len(request.question) - len(_OPT)
    parts: list[bytes] = []
    count = size = 0
    has_edns = request.has_edns
    for number, data in records:
        if size + len(data) > room:
            yield _packed(request, parts, count, has_edns)
            # Once is enough (RFC 5936 §2.2.5).
            has_edns = False
            parts, count, size = [], 0, 0
        parts.append(data)
        count += number
        size += len(data)
    yield _packed(request, parts, count, has_edns)


def _packed(request: Request, parts: list[bytes], count: int, has_edns: bool) -> bytes:
    head = _head(request, NOERROR, count, has_edns) + request.question
    return b"".join([head, *parts, _OPT if has_edns else b""])


def _head(request: Request, rcode: int, answers: int, has_edns: bool) -> bytes:
    flags = _RESPONSE | rcode | (_AUTHORITATIVE if rcode == NOERROR else 0)
    return struct.pack(">6H", request.number, flags, 1, answers, 0, has_edns)


def record(owner: bytes, type_: int, ttl: int, data: bytes) -> bytes:
    """Return a record in wire format."""
    return owner + struct.pack(">HHIH", type_, CLASS_IN, ttl, len(data)) + data


def soa_record(zone: Zone, serial: int) -> bytes:
    """Return the zone's SOA record, the same as is answered."""
    times = struct.pack(">5I", serial, zone.soa.refresh, zone.soa.retry, zone.soa.expire, zone.negative_ttl)
    return record(APEX, TYPE_SOA, zone.ttl, wire_name(zone.soa.mname) + wire_name(zone.soa.rname) + times)


@functools.lru_cache(CACHED_ADDRESSES)
def address_bytes(address: str) -> bytes:
    """Return the data of an A or AAAA record."""
    return ipaddress.ip_address(address).packed


def is_older(serial: int, current: int) -> bool:
    """Whether ``current`` is news for who has ``serial`` (RFC 1982)."""
    return 0 < (current - serial) % (1 << 32) < 1 << 31
