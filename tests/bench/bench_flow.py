"""How many records a second the flow parser decodes, and the listener receives, on one core.

Run as ``taskset -c 1 python tests/bench/bench_flow.py``; the best of the rounds is printed, as other work on the
machine only ever slows a round down.
"""

import random
import socket
import struct
import time

from profiler.intake.flow_udp import FlowListener
from profiler.parse.flow import FlowParser
from profiler.parse.registry import Context, Parsed

EXPORT_SECONDS = 1_700_000_000
UPTIME_MS = 10_000_000
DATAGRAMS = 1_000
REPEATS = 20
BATCH_DATAGRAMS = 512
ROUNDS = 5
RECORDS = 28
EXPORTER = bytes([192, 0, 2, 1, 8, 7])
# Element and length, in the order in which routers commonly send them.
FIELDS = (
    (8, 4), (12, 4), (15, 4), (10, 4), (14, 4), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2), (6, 1), (4, 1),
    (5, 1), (16, 4), (17, 4), (9, 1), (13, 1),
)  # fmt: skip


def netflow5(random_: random.Random) -> bytes:
    header = struct.pack(">HHIIIIBBH", 5, RECORDS, UPTIME_MS, EXPORT_SECONDS, 0, 0, 0, 0, 0)
    return header + b"".join(
        random_.randbytes(24)
        + struct.pack(">IIHHBBBB8x", UPTIME_MS - 900, UPTIME_MS - 10, 40_000, 25, 0, 0x1B, 6, 0)
        for _ in range(RECORDS)
    )


def record(random_: random.Random) -> bytes:
    return random_.randbytes(28) + struct.pack(
        ">IIHHBBBIIBB", UPTIME_MS - 900, UPTIME_MS - 10, 40_000, 25, 0x1B, 6, 0, 0, 0, 24, 24
    )


def template() -> bytes:
    return struct.pack(">HH", 256, len(FIELDS)) + b"".join(struct.pack(">HH", *field) for field in FIELDS)


def data_set(random_: random.Random) -> bytes:
    body = b"".join(record(random_) for _ in range(RECORDS))
    return struct.pack(">HH", 256, len(body) + 4) + body


def netflow9(body: bytes) -> bytes:
    return struct.pack(">HHIIII", 9, RECORDS, UPTIME_MS, EXPORT_SECONDS, 0, 1) + body


def ipfix(body: bytes) -> bytes:
    return struct.pack(">HHIII", 10, 16 + len(body), EXPORT_SECONDS, 0, 1) + body


def rate(first: bytes, exports: list[bytes]) -> float:
    """Return the records decoded a second, in the best of the rounds."""
    parser = FlowParser(Context(bytes(16), EXPORT_SECONDS * 1_000_000))
    if first:
        parser.datagram(first, EXPORTER)
    best = 0.0
    for _ in range(ROUNDS):
        rows = 0
        start = time.process_time()
        for at in range(0, len(exports), BATCH_DATAGRAMS):
            parsed = parser.datagrams([(export, EXPORTER) for export in exports[at : at + BATCH_DATAGRAMS]])
            rows += len(parsed.rows)
        best = max(best, rows / (time.process_time() - start))
        assert rows == len(exports) * RECORDS
    return best


def received(first: bytes, exports: list[bytes]) -> float:
    """Return the records a second of CPU time that the listener takes from a socket and decodes.

    The kernel holds the datagrams before the listener starts, so the sender's time does not count.
    """
    best = 0.0
    for _ in range(ROUNDS):
        rows: list[int] = []

        def sink(parsed: Parsed, rows: list[int] = rows) -> None:
            rows.append(len(parsed.rows))

        listener = FlowListener("127.0.0.1", 0, sink, ("127.0.0.0/8",), lambda: EXPORT_SECONDS, hash_key=bytes(16))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for export in [first or exports[0], *exports]:
                sender.sendto(export, listener.address)
        start = time.process_time()
        listener.start()
        listener.stop()
        best = max(best, sum(rows) / (time.process_time() - start))
    return best


def main() -> None:
    random_ = random.Random(1)
    definition = template()
    sets = [data_set(random_) for _ in range(DATAGRAMS)]
    length = 4 + len(definition)
    for name, first, exports in (
        ("netflow v5", b"", [netflow5(random_) for _ in sets]),
        ("netflow v9", netflow9(struct.pack(">HH", 0, length) + definition), list(map(netflow9, sets))),
        ("ipfix", ipfix(struct.pack(">HH", 2, length) + definition), list(map(ipfix, sets))),
    ):
        print(f"{name}: {rate(first, exports * REPEATS) / 1e6:.1f} M records/s on one core")
        print(f"{name}, received on UDP: {received(first, exports * 3) / 1e6:.1f} M records/s of CPU time")


if __name__ == "__main__":
    main()
