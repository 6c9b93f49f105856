"""Lines that other projects wrote, with what their own tests say of them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from profiler.observation import Event
from profiler.parse.registry import Context, open_parser
from profiler.parse.show import shown

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "lines.ndjson"
CONTEXT = Context(bytes(16), int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000)
FAILURES = {"reject", "defer", "auth_fail", "pregreet", "lost"}
ACCUSED = {event.name.lower() for event in (Event.AUTH_FAIL, Event.REJECT, Event.PREGREET)}

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the shared corpus is not here")


def corpus() -> list[dict[str, Any]]:
    if not CORPUS.exists():
        return []
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    return [row for row in rows if row["format"] == "postfix"]


@pytest.mark.parametrize("row", corpus(), ids=lambda row: row["src"])
def test_a_line_of_the_corpus(row: dict[str, Any]) -> None:
    parsed = open_parser("postfix", CONTEXT).feed(row["line"].encode(), True)
    seen = list(shown(parsed.rows))
    assert parsed.rejected == []
    if row.get("match") is False:
        assert not ACCUSED & {line["event"] for line in seen}
        return
    if row.get("ip"):
        assert row["ip"] in [line["ip"] for line in seen]
    if row.get("match"):
        assert FAILURES & {line["event"] for line in seen}
    if row.get("ts"):
        assert str(seen[0]["time"])[5:7] == row["ts"][5:7]


def test_the_corpus_is_worth_the_name() -> None:
    assert len(corpus()) > 30
