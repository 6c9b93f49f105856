"""Rows of observations as tests write them."""

from typing import Any

import numpy as np

from profiler.address import Key, parse
from profiler.observation import OBSERVATION, Event, Rows, Sign, empty
from profiler.profile.table import Table

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
#: 2026-11-01 00:00 UTC, in µs.
START = 1_793_491_200 * SECOND

#: A customer's machine, and a mail server, as their names and HELOs show them.
CUSTOMER = Sign.RDNS_UNVERIFIED | Sign.RDNS_GENERIC | Sign.HELO_NODOT
SERVER = Sign.RDNS_VERIFIED | Sign.RDNS_SERVER | Sign.HELO_MATCH | Sign.HELO_NAMED


def row(ip: str, event: Event, at: int = START, **fields: Any) -> Rows:
    """Return one row; ``ip`` empty: it is known by its ``queue`` alone."""
    made = empty(1)
    made["time"], made["event"], made["count"] = at, event, 1
    if ip:
        made["ip_hi"], made["ip_lo"] = parse(ip)
    for name, value in fields.items():
        made[name] = value
    return made


def join(*parts: Rows) -> Rows:
    """Return the rows one after another."""
    return np.concatenate([np.empty(0, OBSERVATION), *parts])


def data(*parts: Rows) -> bytes:
    """Return the bytes that a table folds."""
    return join(*parts).tobytes()


def fold(table: Table, *parts: Rows) -> list[int]:
    """Fold to the end, and return how many rows each run folded."""
    rows = data(*parts)
    before = table.folded
    table.fold(rows)
    runs = [table.folded - before]
    while table.waiting:
        before = table.folded
        table.resume(rows)
        runs.append(table.folded - before)
        assert runs[-1], "folding must go on"
    return runs


def destination(number: int) -> int:
    """Return a hash that falls on bit ``number`` of the bitmaps."""
    return number << 58 | 1


def key(ip: str) -> Key:
    """Return the unit of profiling of an address."""
    return parse(ip).unit()
