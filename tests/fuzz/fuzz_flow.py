"""Fuzz the flow parser: ``python tests/fuzz/fuzz_flow.py [corpus directory]``; needs atheris.

The first byte chooses how the rest arrives: as one capture, in two pieces, or as a datagram.
"""

import sys

import atheris

from profiler.parse.flow import FlowParser
from profiler.parse.registry import Context

CONTEXT = Context(bytes(16), 1_700_000_000_000_000)


def test_one_input(data: bytes) -> None:
    parser = FlowParser(CONTEXT)
    if not data:
        return
    way, body = data[0], data[1:]
    if way % 3 == 2:
        parsed = parser.datagrams([(body, b"\x7f\0\0\1"), (body, b"\x7f\0\0\1")])
        assert len(parsed.rows) <= parsed.records
        return
    cut = len(body) * way // 255 if way % 3 else len(body)
    rows = b"".join((parser.feed(body[:cut]).rows.tobytes(), parser.feed(body[cut:], final=True).rows.tobytes()))
    assert rows == FlowParser(CONTEXT).feed(body, final=True).rows.tobytes()


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
