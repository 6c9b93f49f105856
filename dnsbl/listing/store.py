"""The store of listings in the SQLite file: what is listed now, and all that ever was, with its evidence."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dnsbl.errors import StoreError
from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.listing.place import network_of, place_of
from profiler.address import IPNetwork, Key, parse_network
from profiler.classify.evidence import Evidence
from profiler.database import open_database

#: How many rows a block of :meth:`ListingStore.rows` has at most.
BLOCK_ROWS = 65536

_SCHEMA = """
create table if not exists listings (
    id integer primary key,
    prefix text not null,
    layer integer not null,
    trust integer not null default 0,
    reason text not null,
    since integer not null,
    expires integer not null default 0,
    confidence real not null default 0,
    evidence text not null default '[]',
    held integer not null default 0,
    ended integer,
    ended_why text
);
create unique index if not exists listings_now on listings (prefix, layer) where ended is null;
create index if not exists listings_of on listings (prefix);
create index if not exists listings_by_layer on listings (layer) where ended is null;
"""

_PUBLISHED = """
select substr(prefix, 1, instr(prefix, '/') - 1), cast(substr(prefix, instr(prefix, '/') + 1) as integer),
    reason, since, expires, trust
from listings where ended is null and not held and layer = ? and (instr(prefix, ':') = 0) = ?
"""

_PUBLISHED_AT = f"{_PUBLISHED.replace('ended is null', '(ended is null or ended > ?)')} and since <= ?"


class Listing(msgspec.Struct, frozen=True):
    """One row: times in seconds since 1970, ``ended`` None while it is listed, ``held`` by the brake."""

    prefix: str
    layer: Layer
    reason: str
    since: int
    trust: int = 0
    expires: int = 0
    confidence: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    held: bool = False
    ended: int | None = None
    ended_why: str | None = None

    @property
    def network(self) -> IPNetwork:
        """The prefix as an object."""
        return parse_network(self.prefix)

    @property
    def place(self) -> Place:
        """Where it stands in the snapshot."""
        return place_of(self.layer, self.network)

    def entry(self) -> Entry:
        """Return what the snapshot takes of it."""
        return Entry(self.place, self.reason, self.since, self.expires, self.trust)


class Removal(NamedTuple):
    """What ends a listing."""

    prefix: str
    layer: Layer
    why: str


class ListingStore:
    """Listings by prefix and layer; every method is one transaction and may be called from any thread."""

    def __init__(self, data: Path, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._connection = open_database(data, read_only=read_only).conn
        self._connection.isolation_level = None
        if not read_only:
            with self._lock:
                self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def apply(self, add: Iterable[Listing], remove: Iterable[Removal], now: int) -> None:
        """List and end listings at ``now`` (seconds since 1970); a listing of the same place is replaced in place.

        Raises:
            StoreError: the disk refuses; nothing was changed.
        """
        with self._lock:
            try:
                self._connection.execute("begin immediate")
                for prefix, layer, why in remove:
                    self._connection.execute(
                        "update listings set ended = ?, ended_why = ? "
                        "where prefix = ? and layer = ? and ended is null",
                        (now, why, prefix, layer),
                    )
                for listing in add:
                    self._upsert(listing)
                self._connection.execute("commit")
            except sqlite3.Error as error:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise StoreError(f"listings cannot be written: {error}") from None

    def _upsert(self, listing: Listing) -> None:
        self._connection.execute(
            "insert into listings (prefix, layer, trust, reason, since, expires, confidence, evidence, held) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (prefix, layer) where ended is null do update set "
            "trust = excluded.trust, reason = excluded.reason, expires = excluded.expires, held = excluded.held, "
            "confidence = excluded.confidence, evidence = excluded.evidence",
            (
                listing.prefix, listing.layer, listing.trust, listing.reason, listing.since, listing.expires,
                listing.confidence, json.dumps(listing.evidence), listing.held,
            ),
        )  # fmt: skip

    def active(self, layer: Layer | None = None) -> Iterator[Listing]:
        """Yield what is listed now, held ones too."""
        condition = "ended is null" + ("" if layer is None else f" and layer = {int(layer)}")
        with self._lock:
            rows = self._rows(f"select * from listings where {condition}")
        yield from map(_listing, rows)

    def rows(
        self, layer: Layer, is_v4: bool, at: int | None = None
    ) -> Iterator[list[tuple[str, int, str, int, int, int]]]:
        """Yield what is published of a layer and family in blocks: address, length, reason, since, expires, trust.

        ``at`` takes the listings of an earlier time (seconds since 1970), with the words that they had last.
        Without an object a listing, for exports of millions. The store is locked until the last block is taken.

        Raises:
            StoreError: the file has no listings, as no server has run with it yet.
        """
        with self._lock:
            try:
                if at is None:
                    cursor = self._connection.execute(_PUBLISHED, (int(layer), is_v4))
                else:
                    cursor = self._connection.execute(_PUBLISHED_AT, (at, int(layer), is_v4, at))
            except sqlite3.OperationalError as error:
                raise StoreError(
                    f"listings cannot be read: {error}: start `vedette up` with this data directory once"
                ) from None
            while block := cursor.fetchmany(BLOCK_ROWS):
                yield block

    def of(self, key: Key) -> list[Listing]:
        """Return what is listed now at exactly this address (its /64 in IPv6) or around it, the narrowest first."""
        networks = [network_of(key)]
        while networks[-1].prefixlen > 0:
            networks.append(networks[-1].supernet())
        marks = ", ".join("?" * len(networks))
        with self._lock:
            rows = self._rows(
                f"select * from listings where prefix in ({marks}) and ended is null", tuple(map(str, networks))
            )
        found = [_listing(row) for row in rows]
        return sorted(found, key=lambda listing: (listing.layer, -listing.network.prefixlen))

    def at(self, network: IPNetwork) -> list[Listing]:
        """Return what is listed now at exactly this prefix."""
        with self._lock:
            rows = self._rows(
                "select * from listings where prefix = ? and ended is null order by layer", (str(network),)
            )
        return [_listing(row) for row in rows]

    def lately_ended(self, limit: int = 1000) -> list[tuple[str, Layer]]:
        """Return prefix and layer of what ended last and is not listed again: perhaps another process's doing."""
        with self._lock:
            rows = self._rows(
                "select prefix, layer from listings as gone where ended is not null and not exists (select 1 from "
                "listings where prefix = gone.prefix and layer = gone.layer and ended is null) "
                "order by ended desc, rowid desc limit ?",
                (limit,),
            )
        return [(row["prefix"], Layer(row["layer"])) for row in rows]

    def history(self, key: Key, limit: int = 50) -> list[Listing]:
        """Return the ended listings of exactly this address, newest first."""
        with self._lock:
            rows = self._rows(
                "select * from listings where prefix = ? and ended is not null "
                "order by ended desc, rowid desc limit ?",
                (str(network_of(key)), limit),
            )
        return [_listing(row) for row in rows]

    def expired(self, now: int) -> list[Listing]:
        """Return what is still listed though its time is over."""
        with self._lock:
            rows = self._rows("select * from listings where ended is null and expires between 1 and ?", (now,))
        return [_listing(row) for row in rows]

    def _rows(self, sql: str, parameters: tuple[object, ...] = ()) -> list[dict[str, Any]]:
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _listing(row: dict[str, Any]) -> Listing:
    row.pop("id")
    row["layer"] = Layer(row["layer"])
    row["held"] = bool(row["held"])
    row["evidence"] = tuple(Evidence(*item) for item in json.loads(row["evidence"]))
    return Listing(**row)
