"""Who may speak and who may pull: feeds, ISPs, declared networks and their tokens, in the SQLite file.

Works with the server running or not: the server sees what another process changed by :attr:`Registry.revision`.
Tokens are 256 random bits, so a plain SHA-256 of them is all that is kept.
"""

import hashlib
import re
import secrets
import sqlite3
import threading
import zoneinfo
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlite_utils import Database

from dnsbl.errors import StoreError
from profiler.address import IPNetwork, parse_network
from profiler.database import open_database
from profiler.errors import AddressError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
USES = ("dynamic", "static", "servers")
TRUSTS = ("own", "foreign")


class Feed(msgspec.Struct, frozen=True):
    """An authenticated stream of traffic records; ``networks`` empty: it may speak about any address."""

    name: str
    format: str
    networks: tuple[str, ...] = ()
    timezone: str = "UTC"
    trust: str = "own"


class Isp(msgspec.Struct, frozen=True):
    """Who pulls the infected addresses of its own networks."""

    name: str
    networks: tuple[str, ...]


class Network(msgspec.Struct, frozen=True):
    """A prefix and what its owner declares it to be used for."""

    prefix: str
    use: str
    asn: int | None = None
    name: str = ""


class Principal(msgspec.Struct, frozen=True):
    """Whose token was shown, and the networks that it is bound to."""

    kind: Literal["feed", "isp", "operator"]
    name: str
    networks: tuple[str, ...] = ()


class Registry:
    """The registry's tables; every method is one transaction and may be called from any thread."""

    def __init__(self, data: Path, *, read_only: bool = False) -> None:
        self._lock = threading.Lock()
        self._database: Database = open_database(data, read_only=read_only)
        if not read_only:
            self._create()

    def _create(self) -> None:
        with self._lock, self._database.conn:
            self._database.table("feeds").create(
                {"name": str, "format": str, "networks": str, "timezone": str, "trust": str},
                pk="name", if_not_exists=True,
            )  # fmt: skip
            self._database.table("isps").create({"name": str, "networks": str}, pk="name", if_not_exists=True)
            self._database.table("networks").create(
                {"prefix": str, "use": str, "asn": int, "name": str}, pk="prefix", if_not_exists=True
            )
            self._database.table("tokens").create(
                {"digest": bytes, "kind": str, "name": str}, pk="digest", if_not_exists=True
            )
            self._database.table("counters").create({"name": str, "value": int}, pk="name", if_not_exists=True)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._database.close()

    @property
    def revision(self) -> int:
        """A number that grows with every change by anybody."""
        rows = self._query("select value from counters where name = 'registry'")
        return int(rows[0]["value"]) if rows else 0

    def touch(self) -> None:
        """Raise the revision, so that a running server looks at what another process listed."""
        with self._change():
            pass

    # Feeds

    def add_feed(
        self,
        name: str,
        *,
        format: str,
        networks: Sequence[str] = (),
        timezone: str = "UTC",
        trust: str = "own",
    ) -> str:
        """Add a feed and return its token, which is shown this once.

        Raises:
            StoreError: the name is taken or malformed, or a value cannot be used.
        """
        _check_name(name)
        if trust not in TRUSTS:
            raise StoreError(f"trust {trust!r}: one of {', '.join(TRUSTS)}")
        try:
            zoneinfo.ZoneInfo(timezone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise StoreError(f"time zone {timezone!r} is not known: use a name like Europe/Vienna") from None
        row: dict[str, object] = {
            "name": name, "format": format, "networks": " ".join(_prefixes(networks)), "timezone": timezone,
            "trust": trust,
        }  # fmt: skip
        return self._add("feeds", "feed", row)

    def feeds(self) -> list[Feed]:
        """Return all feeds by name."""
        return [_feed(row) for row in self._query("select * from feeds order by name")]

    def feed(self, name: str) -> Feed | None:
        """Return the feed of that name."""
        rows = self._query("select * from feeds where name = ?", (name,))
        return _feed(rows[0]) if rows else None

    def remove_feed(self, name: str) -> None:
        """Remove a feed and its tokens; what it reported stays. StoreError if unknown."""
        self._remove("feeds", "feed", name)

    def rotate_feed(self, name: str) -> str:
        """Replace a feed's token and return the new one. StoreError if unknown."""
        return self._rotate("feeds", "feed", name)

    # ISPs

    def add_isp(self, name: str, networks: Sequence[str]) -> str:
        """Add an ISP bound to ``networks`` and return its token. StoreError as :meth:`add_feed`."""
        _check_name(name)
        if not networks:
            raise StoreError("an ISP needs at least one network: --network CIDR")
        row: dict[str, object] = {"name": name, "networks": " ".join(_prefixes(networks))}
        return self._add("isps", "isp", row)

    def isps(self) -> list[Isp]:
        """Return all ISPs by name."""
        rows = self._query("select * from isps order by name")
        return [Isp(row["name"], tuple(row["networks"].split())) for row in rows]

    def remove_isp(self, name: str) -> None:
        """Remove an ISP and its tokens. StoreError if unknown."""
        self._remove("isps", "isp", name)

    def rotate_isp(self, name: str) -> str:
        """Replace an ISP's token and return the new one. StoreError if unknown."""
        return self._rotate("isps", "isp", name)

    # Networks

    def add_network(self, prefix: str, *, use: str, asn: int | None = None, name: str = "") -> None:
        """Declare a prefix; declaring it again replaces what was said. StoreError if a value cannot be used."""
        if use not in USES:
            raise StoreError(f"use {use!r}: one of {', '.join(USES)}")
        if asn is not None and not 0 < asn < 1 << 32:
            raise StoreError(f"ASN {asn}: between 1 and 4294967295")
        row = {"prefix": _prefixes([prefix])[0], "use": use, "asn": asn, "name": name}
        with self._change() as database:
            database.table("networks").upsert(row, pk="prefix")

    def networks(self) -> list[Network]:
        """Return all declared networks."""
        rows = self._query("select * from networks order by prefix")
        return [Network(row["prefix"], row["use"], row["asn"], row["name"]) for row in rows]

    def networks_of_asn(self, asn: int) -> list[IPNetwork]:
        """Return the declared prefixes of an autonomous system."""
        return [parse_network(network.prefix) for network in self.networks() if network.asn == asn]

    def remove_network(self, prefix: str) -> None:
        """Take a declaration back. StoreError if there is none of exactly that prefix."""
        with self._change() as database:
            done = database.conn.execute(
                "delete from networks where prefix = ?", (_prefixes([prefix])[0],)
            ).rowcount
            if not done:
                raise StoreError(f"network {prefix} was not declared: see `vedette network list`")

    # Tokens

    def operator_token(self) -> str:
        """Replace the operator's token and return the new one."""
        with self._change() as database:
            return _new_token(database, "operator", "operator")

    def authenticate(self, token: str) -> Principal | None:
        """Return whose token this is, or None."""
        rows = self._query("select kind, name from tokens where digest = ?", (_digest(token),))
        if not rows:
            return None
        kind, name = rows[0]["kind"], rows[0]["name"]
        if kind == "isp":
            networks = self._query("select networks from isps where name = ?", (name,))
            return Principal("isp", name, tuple(networks[0]["networks"].split())) if networks else None
        return Principal(kind, name)

    # Inside

    def _query(self, sql: str, parameters: Iterable[object] = ()) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._database.query(sql, tuple(parameters)))

    def _change(self) -> "_Change":
        return _Change(self._lock, self._database)

    def _add(self, table: str, kind: str, row: dict[str, object]) -> str:
        with self._change() as database:
            try:
                database.conn.execute(
                    f"insert into {table} ({', '.join(row)}) values ({', '.join('?' * len(row))})",
                    tuple(row.values()),
                )
            except sqlite3.IntegrityError:
                raise StoreError(f"{kind} {row['name']!r} exists already") from None
            return _new_token(database, kind, str(row["name"]))

    def _remove(self, table: str, kind: str, name: str) -> None:
        with self._change() as database:
            if not database.conn.execute(f"delete from {table} where name = ?", (name,)).rowcount:
                raise StoreError(f"{kind} {name!r} does not exist: see `vedette {kind} list`")
            database.conn.execute("delete from tokens where kind = ? and name = ?", (kind, name))

    def _rotate(self, table: str, kind: str, name: str) -> str:
        if not self._query(f"select 1 from {table} where name = ?", (name,)):
            raise StoreError(f"{kind} {name!r} does not exist: see `vedette {kind} list`")
        with self._change() as database:
            return _new_token(database, kind, name)


class _Change:
    """A locked transaction that raises the revision when it succeeds."""

    def __init__(self, lock: threading.Lock, database: Database) -> None:
        self._lock = lock
        self._database = database

    def __enter__(self) -> Database:
        self._lock.acquire()
        try:
            self._database.conn.execute("begin immediate")
        except BaseException:
            self._lock.release()
            raise
        return self._database

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            connection = self._database.conn
            if kind is None:
                connection.execute(
                    "insert into counters values ('registry', 1) on conflict (name) do update set value = value + 1"
                )
                connection.execute("commit")
            else:
                connection.execute("rollback")
        finally:
            self._lock.release()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _new_token(database: Database, kind: str, name: str) -> str:
    token = f"vedette_{kind}_{secrets.token_urlsafe(32)}"
    database.conn.execute("delete from tokens where kind = ? and name = ?", (kind, name))
    database.conn.execute("insert into tokens values (?, ?, ?)", (_digest(token), kind, name))
    return token


def _feed(row: dict[str, Any]) -> Feed:
    return Feed(row["name"], row["format"], tuple(row["networks"].split()), row["timezone"], row["trust"])


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise StoreError(f"name {name!r}: letters, digits, dot, dash and underscore, at most 64")


def _prefixes(networks: Sequence[str]) -> list[str]:
    try:
        return [str(parse_network(text)) for text in networks]
    except AddressError as error:
        raise StoreError(str(error)) from None
