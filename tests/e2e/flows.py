"""A small NetFlow exporter: version 5 (Cisco) and version 9 (RFC 3954) datagrams of flows, sent over UDP."""

import ipaddress
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

TCP = 6
SYN_ACK_PSH_FIN = 0x1B
UPTIME_MS = 3_600_000
FLOW_MS = 1500
TEMPLATE_ID = 260
SOURCE_ID = 7
V5_MOST_RECORDS = 30
# Field types of RFC 3954, section 8, with their lengths.
V9_FIELDS = (
    (8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4), (22, 4), (21, 4),
)  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """One TCP flow of a few packets that ended just now."""

    source: str
    destination: str
    port: int
    source_port: int = 40_000
    packets: int = 12
    octets: int = 2400


def netflow5(flows: Sequence[Flow], sequence: int, now: float) -> bytes:
    """Return one datagram of at most 30 flows."""
    assert len(flows) <= V5_MOST_RECORDS
    header = struct.pack("!HHIIIIBBH", 5, len(flows), UPTIME_MS, int(now), int(now % 1 * 10**9), sequence, 0, 0, 0)
    return header + b"".join(
        struct.pack(
            "!4s4s4sHHIIIIHHBBBBHHBBH",
            _packed(flow.source), _packed(flow.destination), bytes(4), 1, 2, flow.packets, flow.octets,
            UPTIME_MS - FLOW_MS, UPTIME_MS, flow.source_port, flow.port, 0, SYN_ACK_PSH_FIN, TCP, 0,
            0, 0, 24, 24, 0,
        )
        for flow in flows
    )  # fmt: skip


def netflow9(flows: Sequence[Flow], sequence: int, now: float) -> bytes:
    """Return one datagram of a template flowset and a data flowset."""
    template = struct.pack("!HH", TEMPLATE_ID, len(V9_FIELDS)) + b"".join(
        struct.pack("!HH", kind, length) for kind, length in V9_FIELDS
    )
    records = b"".join(
        struct.pack(
            "!4s4sHHBBIIII",
            _packed(flow.source), _packed(flow.destination), flow.source_port, flow.port, TCP,
            SYN_ACK_PSH_FIN, flow.packets, flow.octets, UPTIME_MS - FLOW_MS, UPTIME_MS,
        )
        for flow in flows
    )  # fmt: skip
    records += bytes(-len(records) % 4)
    header = struct.pack("!HHIIII", 9, len(flows) + 1, UPTIME_MS, int(now), sequence, SOURCE_ID)
    return header + _flowset(0, template) + _flowset(TEMPLATE_ID, records)


VERSIONS = {"netflow5": netflow5, "netflow9": netflow9}


class Exporter:
    """A UDP socket on loopback that exports each batch of flows in one version's form."""

    def __init__(self, version: str, port: int) -> None:
        self._encode = VERSIONS[version]
        self._sequence = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))

    def export(self, *flows: Flow) -> None:
        """Send one datagram."""
        self._socket.send(self._encode(flows, self._sequence, time.time()))
        self._sequence += len(flows)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def _flowset(number: int, body: bytes) -> bytes:
    return struct.pack("!HH", number, 4 + len(body)) + body
