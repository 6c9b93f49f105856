"""Rows as people and scripts read them: what ``vedette parse --json`` prints.

Rows in, one dictionary an observation out. Steps of a mail transaction that name no client get the address of the
row that opened the transaction, if it was shown before.
"""

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from profiler.address import Key
from profiler.observation import EVENT_NAMES, REASON_NAMES, Event, Rows, Sign

#: So many open transactions are remembered; beyond it the oldest are forgotten: their later steps lack an address.
OPEN_TRANSACTIONS = 1_000_000

_NUMBERS = ("recipients", "bytes", "packets", "duration", "dport", "sport", "proto")
_FLAGS = (
    ("rdns_verified", Sign.RDNS_VERIFIED, True),
    ("rdns_verified", Sign.RDNS_UNVERIFIED | Sign.RDNS_NONE, False),
    ("tls", Sign.TLS, True),
    ("authenticated", Sign.AUTHENTICATED, True),
    ("spf", Sign.SPF_PASS, "pass"),
    ("spf", Sign.SPF_FAIL, "fail"),
    ("dkim", Sign.DKIM_PASS, "pass"),
    ("dkim", Sign.DKIM_FAIL, "fail"),
    ("dmarc", Sign.DMARC_PASS, "pass"),
    ("dmarc", Sign.DMARC_FAIL, "fail"),
)


class Joiner:
    """The client of each open mail transaction, by its queue hash."""

    def __init__(self, limit: int = OPEN_TRANSACTIONS) -> None:
        self._limit = limit
        self._open: OrderedDict[int, Key] = OrderedDict()

    def client(self, queue: int, key: Key | None, opens: bool, closes: bool) -> Key | None:
        """Return the address of a row: its own ``key``, or that of its transaction; note what the row changes."""
        if not queue:
            return key
        if opens and key is not None:
            self._open[queue] = key
            self._open.move_to_end(queue)
            if len(self._open) > self._limit:
                self._open.popitem(last=False)
        known = self._open.pop(queue, None) if closes else self._open.get(queue)
        return key or known


def shown(rows: Rows, joiner: Joiner | None = None) -> Iterator[dict[str, object]]:
    """Yield a dictionary for each row that says what a client did; ``joiner`` carries over from earlier rows.

    ``time`` is RFC 3339 in UTC; ``ip`` is None where the transaction's client was never seen.
    """
    joiner = Joiner() if joiner is None else joiner
    for row in rows:
        event, signs = int(row["event"]), int(row["signs"])
        own = Key(int(row["ip_hi"]), int(row["ip_lo"]))
        key = joiner.client(
            int(row["queue"]), own if any(own) else None, bool(signs & Sign.OPENS), event == Event.CLOSED
        )
        if event < Event.ENVELOPE:  # the others are internal
            yield _line(row, event, signs, key)


def _line(row: np.void, event: int, signs: int, key: Key | None) -> dict[str, object]:
    line: dict[str, object] = {
        "line": int(row["line"]),
        "time": _time(int(row["time"])),
        "ip": None if key is None else str(key),
        "event": EVENT_NAMES[event],
    }
    if row["reason"]:
        line["reason"] = REASON_NAMES[int(row["reason"])]
    if row["count"] > 1:
        line["count"] = int(row["count"])
    line |= {name: value for name, bits, value in _FLAGS if signs & bits}
    line |= {name: int(row[name]) for name in _NUMBERS if row[name]}
    return line


def _time(micro: int) -> str:
    whole, fraction = divmod(micro, 1_000_000)
    return f"{np.datetime64(whole, 's')}{f'.{fraction:06}' if fraction else ''}Z"
