"""Coverage-guided fuzzing of the Postfix parser: ``python tests/fuzz/fuzz_postfix.py [corpus directory]``.

Needs atheris, which the suite does not. The first byte says where the rest is split in two: the rows must be those
of the whole, and every rejection must carry a number that a line has.
"""

import sys

import atheris

with atheris.instrument_imports():
    from profiler.parse.registry import Context, open_parser

CONTEXT = Context(bytes(range(16)), 1_795_478_400_000_000)


def test_one_input(data: bytes) -> None:
    """Parse once whole and once in two portions."""
    cut, text = (data[0] if data else 0), data[1:]
    whole = open_parser("postfix", CONTEXT).feed(text, True)
    parser = open_parser("postfix", CONTEXT)
    parts = (parser.feed(text[:cut]), parser.feed(text[cut:], True))
    if b"".join(part.rows.tobytes() for part in parts) != whole.rows.tobytes():
        raise AssertionError("another split gives other rows")
    lines = text.count(b"\n") + 1
    if not all(1 <= number <= lines for number, _ in whole.rejected):
        raise AssertionError("a rejection of a line that does not exist")


if __name__ == "__main__":
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()
