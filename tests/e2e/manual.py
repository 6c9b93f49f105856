"""The configurations in docs/mta.md, word for word, so that what the documentation says is what was tried."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "mta.md"
#: Where the documentation says that Vedette answers; the tests put the port that it has here.
DNS_PORT = "127.0.0.1@5353"


def blocks(consumer: str) -> list[str]:
    """Return the fenced blocks below the heading ``## consumer``, in their order.

    Raises:
        AssertionError: the page has no such heading.
    """
    sections = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    below = [section for section in sections if section.partition("\n")[0] == consumer]
    assert len(below) == 1, f"docs/mta.md has {len(below)} sections called {consumer!r}"
    return re.findall(r"^```\n(.*?)^```$", below[0], re.MULTILINE | re.DOTALL)
