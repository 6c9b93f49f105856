"""Checkpoints: the tables of profiles, the open transactions and the journal's offset, written as one.

A checkpoint writes only the blocks of profiles that changed. What it holds is what the journal's entries up to its
offset said; the engine folds the rest again at the start, so kill -9 anywhere loses and doubles nothing.
"""

import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path

from profiler.database import open_database
from profiler.errors import JournalError
from profiler.profile.table import Table

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_LEVEL = 1
#: What our own feeds saw, and what feeds of others saw.
OWN = "own"
FOREIGN = "foreign"
TIERS = (OWN, FOREIGN)
_SCHEMA = (
    "create table if not exists profile_blocks "
    "(tier text, block integer, data blob not null, primary key (tier, block)) without rowid",
    "create table if not exists open_transactions (tier text primary key, data blob not null) without rowid",
    "create table if not exists checkpoint (only integer primary key check (only = 1), offset integer not null)",
)


class Checkpoints:
    """The checkpoint in the data directory."""

    def __init__(self, data: Path, *, read_only: bool = False) -> None:
        self._connection: sqlite3.Connection = open_database(data, read_only=read_only).conn
        self._connection.isolation_level = None
        if not read_only:
            for statement in _SCHEMA:
                self._connection.execute(statement)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def load(self, tables: Mapping[str, Table]) -> int:
        """Fill the empty ``tables`` (by tier) and return the offset: the last journal entry they hold.

        Raises:
            JournalError: a block is damaged.
        """
        try:
            offset = self._connection.execute("select offset from checkpoint").fetchone()
        except sqlite3.OperationalError:
            return 0  # read-only, and nothing was ever written
        for tier, table in tables.items():
            blocks = self._connection.execute(
                "select block, data from profile_blocks where tier = ? order by block", (tier,)
            )
            try:
                for _, data in blocks:
                    table.load_block(zstd.decompress(data))
                for (data,) in self._connection.execute(
                    "select data from open_transactions where tier = ?", (tier,)
                ):
                    table.joins.load(zstd.decompress(data))
            except (ValueError, zstd.ZstdError) as error:
                raise JournalError(f"the checkpoint is damaged: {error}; restore it from a backup") from None
        return offset[0] if offset else 0

    def save(self, tables: Mapping[str, Table], offset: int) -> int:
        """Write what changed, with the offset, in one transaction; return how many blocks that were.

        Raises:
            JournalError: the disk refuses; the earlier checkpoint holds.
        """
        changed = {tier: table.dirty_blocks() for tier, table in tables.items()}
        try:
            self._connection.execute("begin immediate")
            for tier, table in tables.items():
                self._connection.executemany(
                    "insert or replace into profile_blocks values (?, ?, ?)",
                    ((tier, number, zstd.compress(table.block(number), ZSTD_LEVEL)) for number in changed[tier]),
                )
                self._connection.execute(
                    "insert or replace into open_transactions values (?, ?)",
                    (tier, zstd.compress(table.joins.dump(), ZSTD_LEVEL)),
                )
            self._connection.execute("insert or replace into checkpoint values (1, ?)", (offset,))
            self._connection.execute("commit")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
            raise JournalError(f"the checkpoint cannot be written: {error}") from None
        for tier, table in tables.items():
            table.mark_clean(changed[tier])
        return sum(map(len, changed.values()))


def dump(data: Path) -> bytes:
    """Return the bytes of all profiles of a stopped installation, by tier and address: equal data, equal bytes."""
    tables = {tier: Table() for tier in TIERS}
    checkpoints = Checkpoints(data, read_only=True)
    try:
        checkpoints.load(tables)
    finally:
        checkpoints.close()
    return b"".join(tables[tier].profiles().tobytes() for tier in TIERS)
