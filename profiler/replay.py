"""Replay: last month's log through the same engine, without a server, to see what Vedette would have said when.

Deterministic: judged at event time, so the same input gives the same output whenever it runs.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from profiler.classify.evidence import Class, class_names
from profiler.classify.judge import Verdict
from profiler.engine import Profiles
from profiler.observation import Rows
from profiler.parse.registry import Parsed, Parser
from profiler.sources.networks import DeclaredNetworks

JUDGE_US = 60_000_000


class Replay:
    """One replay: feed it a parser's bytes; ``parsed`` totals what was understood."""

    def __init__(self, parser: Parser, networks: DeclaredNetworks | None = None) -> None:
        self.profiles = Profiles(networks or DeclaredNetworks())
        self.records = 0
        self.observations = 0
        self.rejected = 0
        self._parser = parser
        self._latest = 0

    def run(self, chunks: Iterable[bytes]) -> Iterator[Verdict]:
        """Yield each change of verdict as it happens."""
        for chunk in chunks:
            yield from self._take(self._parser.feed(chunk))
        yield from self._take(self._parser.feed(b"", final=True))

    def _take(self, parsed: Parsed) -> Iterator[Verdict]:
        self.records += parsed.records
        self.observations += len(parsed.rows)
        self.rejected += parsed.rejected_count
        for rows in self._by_minute(parsed.rows):
            found = [
                verdict
                for verdicts in self.profiles.fold(rows, own=True, not_before=self._latest)
                for verdict in verdicts
                if verdict.classes != verdict.was
            ]
            yield from sorted(found, key=lambda verdict: verdict.time)
            self._latest = max(self._latest, int(rows["time"].max()))

    def _by_minute(self, rows: Rows) -> list[Rows]:
        # Judged at least once a minute of the log's own time, so that no verdict comes later than that.
        if not len(rows):
            return []
        minutes = np.maximum(np.maximum.accumulate(rows["time"]), self._latest) // JUDGE_US
        return np.split(rows, np.flatnonzero(np.diff(minutes)) + 1)


def worst(classes: Class) -> str:
    """Return the one word for a verdict: its worst class, or unknown."""
    return next(iter(class_names(classes)), "unknown")


def as_line(verdict: Verdict) -> dict[str, object]:
    """Return a change of verdict as the JSON object of DESIGN §7."""
    return {
        "time": str(np.datetime64(verdict.time, "us")) + "Z",
        "ip": str(verdict.key),
        "class": worst(verdict.classes),
        "was": worst(verdict.was),
        "classes": class_names(verdict.classes),
        "confidence": round(verdict.confidence, 4),
        "observations": verdict.observations,
        "messages": verdict.messages,
        "evidence": [
            {"name": item.name, "class": item.of, "weight": item.weight, "says": item.says}
            for item in verdict.evidence
        ],
    }
