"""Queries made by hand, and what replies say, in a form that can be compared."""

import ipaddress
import struct
from typing import Any

import dnslib

A, NS, SOA, TXT, AAAA, OPT, ANY = 1, 2, 6, 16, 28, 41, 255
IN, CH = 1, 3


def wire(labels: list[bytes]) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def opt(payload: int = 1232, *, version: int = 0, do: bool = False, options: bytes = b"") -> bytes:
    return b"\0" + struct.pack(">HHBBHH", OPT, payload, 0, version, 0x8000 if do else 0, len(options)) + options


def query(
    name: str | list[bytes],
    type_: int = A,
    klass: int = IN,
    *,
    additional: tuple[bytes, ...] = (),
    flags: int = 0x0100,
    number: int = 0x1234,
) -> bytes:
    labels = [label.encode() for label in name.split(".") if label] if isinstance(name, str) else name
    head = struct.pack(">6H", number, flags, 1, 0, 0, len(additional))
    return head + wire(labels) + struct.pack(">HH", type_, klass) + b"".join(additional)


def reverse(address: str, zone: str) -> str:
    return f"{ipaddress.ip_address(address).reverse_pointer.rsplit('.', 2)[0]}.{zone}"


def parse(reply: bytes) -> dnslib.DNSRecord:
    """Parse a reply whose question may have octets that dnslib does not read: those become a letter."""
    clean = bytearray(reply)
    at = 12
    while at < len(clean) and clean[at]:
        size = clean[at]
        clean[at + 1 : at + 1 + size] = _ascii(bytes(clean[at + 1 : at + 1 + size]))
        at += 1 + size
    return dnslib.DNSRecord.parse(bytes(clean))


def _ascii(label: bytes) -> bytes:
    return bytes(octet if octet < 0x80 else ord("z") for octet in label)


def form(reply: dnslib.DNSRecord) -> dict[str, Any]:
    """Return all that a reply says; names in lower case, as the case of a compressed name means nothing."""
    header = reply.header
    return {
        "header": (header.id, header.qr, header.opcode, header.aa, header.tc, header.rd, header.ra, header.rcode),
        "question": [(tuple(map(_ascii, one.qname.label)), one.qtype, one.qclass) for one in reply.questions],
        "answer": [_record(one) for one in reply.rr],
        "authority": [_record(one) for one in reply.auth],
        "additional": [_record(one) for one in reply.ar],
    }


def _record(record: dnslib.RR) -> tuple[Any, ...]:
    if record.rtype == OPT:
        return "OPT", record.rclass, record.ttl, tuple((one.code, one.data) for one in record.rdata)
    data = tuple(record.rdata.data) if record.rtype == TXT else str(record.rdata).lower()
    name = tuple(_ascii(label).lower() for label in record.rname.label)
    return name, record.rtype, record.rclass, record.ttl, data


def codes(reply: bytes | None) -> list[str]:
    """Return the A records of a reply."""
    assert reply is not None
    return [str(record.rdata) for record in dnslib.DNSRecord.parse(reply).rr if record.rtype == A]


def rcode(reply: bytes | None) -> str:
    assert reply is not None
    return str(dnslib.RCODE[dnslib.DNSRecord.parse(reply).header.rcode])
