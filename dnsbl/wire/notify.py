"""NOTIFY (RFC 1996) as bytes: what secondaries are told, and what they say to it. No socket, no clock."""

import struct

from dnsbl.wire.answer import wire_name
from dnsbl.wire.transfer import CLASS_IN, HEADER_BYTES, TYPE_SOA, soa_record
from dnsbl.zone.zone import Zone

OPCODE = 4
_AUTHORITATIVE = 0x0400
_OPCODE_AT = 11


def notify(zone: Zone, serial: int, number: int) -> bytes:
    """Return the message that says that a zone has come to ``serial``."""
    head = struct.pack(">6H", number, OPCODE << _OPCODE_AT | _AUTHORITATIVE, 1, 1, 0, 0)
    question = wire_name(zone.origin) + struct.pack(">HH", TYPE_SOA, CLASS_IN)
    return head + question + soa_record(zone, serial)


def rcode_of(reply: bytes, sent: bytes) -> int | None:
    """Return the rcode of a secondary's reply to what was sent; None: it is no reply to that."""
    if len(reply) < HEADER_BYTES or reply[:2] != sent[:2] or reply[2] >> 3 != 0x10 | OPCODE:
        return None
    return reply[3] & 15
