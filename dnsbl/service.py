"""The service: what HTTP, the command line and the sensors ask of Vedette, over all rooms.

One object holds the journal, the engine, the listing store, the registry and the live zones. It owns no socket.
"""

import asyncio
import datetime
import fcntl
import logging
import os
import secrets
import time
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, BinaryIO

import dnslib
import numpy as np

from dnsbl import view
from dnsbl.config import Config
from dnsbl.errors import ConfigError, DnsblError, StoreError
from dnsbl.listing.codes import Layer
from dnsbl.listing.place import network_of
from dnsbl.listing.store import ListingStore
from dnsbl.publisher import Publisher
from dnsbl.registry import Feed, Principal, Registry
from dnsbl.zone.live import LiveZones
from dnsbl.zone.manners import COOKIE_SECRET_BYTES, Manners
from dnsbl.zone.zone import Zone, load_zones, packaged_zones
from profiler.address import IPNetwork, Key, key_of, parse_network
from profiler.engine import Engine
from profiler.errors import ProfilerError
from profiler.journal import Ack, Batch, Journal
from profiler.keyed import KEY_BYTES
from profiler.observation import Event, Rows, empty
from profiler.parse.registry import REJECTED_KEPT, Context, Parser, open_parser
from profiler.sources.networks import Declaration, DeclaredNetworks, Use

log = logging.getLogger(__name__)

HASH_KEY_FILE = "hash.key"
LOCK_FILE = "vedette.lock"
#: Who asks, when it is the operator.
OPERATOR = "operator"
#: The journal's own feed, for what Vedette itself has to say: delistings, names that its resolver found.
INTERNAL_FEED = "vedette:internal"
OUTSIDE = "the address lies outside the networks that this feed may speak about"
SECONDS_A_DAY = 86_400
_FORMAT_OF_CONTENT_TYPE = {"application/x-ndjson": "ndjson", "application/vnd.tcpdump.pcap": "pcap"}


class Service:
    """Everything but the sockets. Methods may be called from any thread."""

    def __init__(self, config: Config) -> None:
        self.config = config
        data = config.data_path
        self._lock = lock_data(data)
        # A serial that starts with the time grows over restarts too, so that secondaries and caches see it grow.
        self.live = LiveZones(
            zones_of(config), public_url=config.public_url, serial=int(time.time()), manners=manners_of(config)
        )
        self.registry = Registry(data)
        self.listings = ListingStore(data)
        self.journal = Journal(data, queue_bytes=config.intake.queue_bytes)
        self.hash_key = hash_key(data)
        self.publisher = Publisher(config, self.listings, self.live)
        self.feed_counters: dict[tuple[str, str], int] = {}
        self.feed_seen: dict[str, float] = {}
        #: Told of the rows of each new batch, for what wants to look their addresses up.
        self.on_rows: Callable[[Rows], None] = lambda rows: None
        #: What the DNS listeners counted: by (zone, rcode, transport); and what they dropped.
        self.query_counts: Callable[[], Mapping[tuple[str, str, str], int]] = dict
        self.dropped_queries: Callable[[], int] = int
        self.limited_queries: Callable[[], Mapping[str, int]] = dict
        self._revision = self.registry.revision
        self.engine = Engine(
            data,
            self.journal,
            declared_networks(self.registry),
            self.publisher.sink,
            checkpoint_seconds=config.intake.checkpoint_seconds,
            rejudge_seconds=config.intake.rejudge_seconds,
            keep_keys_seconds=config.intake.dedupe_days * SECONDS_A_DAY,
        )

    def catch_up(self) -> None:
        """Publish what is listed, and fold what the journal still holds."""
        self.publisher.load(self.registry.networks())
        self.engine.catch_up()

    def start(self) -> None:
        """Catch up, and go on in the background."""
        self.catch_up()
        self.engine.start()

    def stop(self) -> None:
        """Finish what was acknowledged, write a checkpoint and close."""
        try:
            self.engine.stop()
        except (ProfilerError, DnsblError) as error:
            log.error("the last checkpoint was not written, the next start makes it good: %s", error)
        self._close_files()

    def close(self) -> None:
        """Close the files of a service that was not started."""
        self.engine.close()
        self._close_files()

    def _close_files(self) -> None:
        self.journal.close()
        self.listings.close()
        self.registry.close()
        self._lock.close()

    def refresh(self) -> None:
        """Take over what another process changed in the registry or listed by hand."""
        revision = self.registry.revision
        if revision != self._revision:
            self.engine.declare(declared_networks(self.registry))
            self.publisher.redeclare(self.registry.networks())
            self._revision = revision

    def reload_zones(self) -> None:
        """Take over changed zone files while serving. ZoneError: the earlier ones keep serving."""
        self.live.set_zones(zones_of(self.config))

    # In

    def authenticate(self, token: str) -> Principal | None:
        """Return whose token this is, or None."""
        return self.registry.authenticate(token)

    def feed(self, name: str) -> Feed | None:
        """Return the feed of that name, or None."""
        return self.registry.feed(name)

    def open_parser(self, feed: Feed, content_type: str = "") -> Parser:
        """Return a parser for one batch of ``feed``; the content type decides where it names a format."""
        format = _FORMAT_OF_CONTENT_TYPE.get(content_type, feed.format)
        return open_parser(format, self.context(feed.timezone))

    def context(self, timezone: str = "UTC") -> Context:
        """Return what a parser needs to know, as of now."""
        return parse_context(self.hash_key, timezone)

    def acknowledged(self, feed: Feed, key: bytes) -> Ack | None:
        """Return the acknowledgement that a batch under this key got before, or None."""
        return self.journal.acknowledged(feed.name, key)

    async def append(
        self,
        feed: Feed,
        key: bytes,
        rows: Rows,
        records: int,
        rejected: list[tuple[int, str]],
        rejected_count: int,
    ) -> Ack:
        """Journal a batch; it is durable when this returns.

        Raises:
            JournalFullError: too much waits for the disk; JournalError: the disk refuses.
        """
        kept, outside = within(rows, feed.networks)
        if outside:
            rejected = sorted([*rejected, *outside])[:REJECTED_KEPT]
            rejected_count += len(outside)
        batch = Batch(feed.name, feed.trust == "own", key, kept, records, rejected, rejected_count)
        future = await asyncio.to_thread(self.journal.append, batch)
        ack = await asyncio.wrap_future(future)
        self._count_feed(feed.name, ack)
        if not ack.duplicate:
            self.on_rows(kept)
        return ack

    def append_live(self, feed: str, rows: Rows, records: int, rejected_count: int) -> None:
        """Journal what came over a path without acknowledgement (UDP). JournalFullError: drop it and count."""
        if len(rows):
            key = secrets.token_bytes(16)
            self.journal.append(Batch(feed, True, key, rows, records, [], rejected_count))
            self.on_rows(rows)
        self._count_feed(feed, Ack(0, records, len(rows), [], rejected_count))

    def _count_feed(self, name: str, ack: Ack) -> None:
        counts = {
            "records": ack.records, "observations": ack.observations, "rejected": ack.rejected_count, "batches": 1,
        }  # fmt: skip
        for kind, count in ({"duplicates": 1} if ack.duplicate else counts).items():
            self.feed_counters[name, kind] = self.feed_counters.get((name, kind), 0) + count
        self.feed_seen[name] = time.time()

    # Out

    def lookup(self, key: Key) -> dict[str, Any]:
        """Return all that is known of an address, in the shape of DESIGN §7."""
        unit = key.unit()
        now = time.time_ns() // 1000
        with self.engine.lock:
            verdict = self.engine.profiles.judge.explain(unit, now)
            profile = self._profile(unit, now)
        listings = self.listings.of(unit)
        answered = [self._answered(zone, key) for zone in self.live.zones]
        return view.address(
            key, verdict, profile, listings, answered, self._declaration(key), self.listings.history(unit)
        )

    def infected(self, networks: Sequence[IPNetwork]) -> list[dict[str, Any]]:
        """Return the bots listed inside ``networks``, in the order of their addresses."""
        found = [listing for listing in self.listings.active(Layer.BOT) if _inside(listing.network, networks)]
        found.sort(key=lambda listing: (listing.network.version, listing.network))
        isps = [(isp.name, [parse_network(text) for text in isp.networks]) for isp in self.registry.isps()]
        now = time.time_ns() // 1000
        rows = []
        for listing in found:
            key = key_of(listing.network.network_address)
            with self.engine.lock:
                verdict = self.engine.profiles.judge.explain(key, now)
                profile = self._profile(key, now)
            isp = next((name for name, prefixes in isps if _inside(listing.network, prefixes)), "")
            rows.append(view.infected(listing, verdict, profile, self._declaration(key), isp))
        return rows

    def networks_of_asn(self, asn: int) -> list[IPNetwork]:
        """Return the declared prefixes of an autonomous system."""
        return self.registry.networks_of_asn(asn)

    def _profile(self, key: Key, now: int) -> np.void | None:
        columns = self.engine.profiles.judge.columns(key, now)
        return None if columns is None else columns[0]

    def _declaration(self, key: Key) -> Declaration | None:
        return self.engine.profiles.judge.networks.find(key)

    def _answered(self, zone: Zone, key: Key) -> view.Answered:
        question = question_of(key, zone.origin)
        answer = self.live.answer(dnslib.DNSRecord.question(question).pack())
        records = dnslib.DNSRecord.parse(answer).rr if answer else []
        return view.Answered(zone, question, tuple(str(record.rdata) for record in records if record.rtype == 1))

    def checks(self) -> list[tuple[str, bool, str]]:
        """Return what readiness depends on: name, whether it holds, and what is so."""
        held = self.publisher.held
        return [
            ("engine", self.engine.failure is None, self.engine.failure or "folding"),
            ("zones", bool(self.live.zones), f"{len(self.live.zones)} zones, serial {self.live.serial}"),
            ("brake", True, f"{held} listings held: `vedette listing release` publishes them" if held else "off"),
        ]

    def render_metrics(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        from dnsbl.metrics import render

        return render(self)

    # Listings

    def delist(self, key: Key, *, by: str, reason: str) -> dict[str, Any]:
        """Take an address off as a bot and forgive what it did up to now. Durable when it returns.

        What the operator listed by hand only the operator (``by`` is :data:`OPERATOR`) takes off.

        Raises:
            JournalError: the disk refuses.
        """
        layers = [Layer.BOT, Layer.OPERATOR] if by == OPERATOR else [Layer.BOT]
        return {"ip": str(key), "delisted": self._forgive(key, layers, f"delisted by {by}: {reason}"), "by": by}

    def _forgive(self, key: Key, layers: Sequence[Layer], why: str) -> list[str]:
        with self.publisher.ending(network_of(key.unit()), layers, why, int(time.time())) as left:
            self.pardon(key).result()
        return left

    def pardon(self, key: Key) -> Future[Ack]:
        """Journal that what was bad about an address up to now no longer counts, so that a replay forgives too."""
        return self.journal.append(pardon_batch(key))


def lock_data(data: Path) -> BinaryIO:
    """Take the data directory for this process until the file returned is closed.

    Raises:
        StoreError: another process has it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (data / LOCK_FILE).open("wb")
    except OSError as error:
        raise StoreError(f"{data}: cannot be used: {error.strerror}; check its owner and free space") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StoreError(f"{data}: a running Vedette has this data directory; ask it over HTTP") from None
    return file


def pardon_batch(key: Key) -> Batch:
    """Return the batch of one row by which an address is pardoned as of now."""
    rows = empty(1)
    rows["time"], rows["event"], rows["count"] = time.time_ns() // 1000, Event.PARDON, 1
    rows["ip_hi"], rows["ip_lo"] = key.unit()
    return Batch(INTERNAL_FEED, True, secrets.token_bytes(16), rows, 1, [], 0)


def parse_context(key: bytes, timezone: str = "UTC") -> Context:
    """Return what a parser needs to know as of now; ``timezone`` is that of dates without one."""
    zone: datetime.tzinfo = datetime.UTC if timezone == "UTC" else zoneinfo.ZoneInfo(timezone)
    return Context(hash_key=key, now=time.time_ns() // 1000, timezone=zone)


def hash_key(data: Path) -> bytes:
    """Return the installation's key for hashes of names, made at the first start.

    Raises:
        ConfigError: the file is damaged.
    """
    path = data / HASH_KEY_FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise ConfigError(f"{path}: has {len(key)} bytes, not {KEY_BYTES}: restore it from a backup") from None
        return key
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def zones_of(config: Config) -> tuple[Zone, ...]:
    """Return the zones of the configured directory, or those that come with Vedette. ZoneError if unusable."""
    directory = Path(config.zones) if config.zones else packaged_zones()
    return load_zones(directory, config.origin, config.public_url)


def manners_of(config: Config) -> Manners:
    """Return how the DNS server behaves towards all."""
    secret = b""
    if config.dns.cookies:
        secret = bytes.fromhex(config.dns.cookie_secret) or secrets.token_bytes(COOKIE_SECRET_BYTES)
    return Manners(
        nsid=config.dns.nsid.encode("ascii"),
        version=config.dns.version.encode("ascii"),
        cookie_secret=secret,
        # A secret that several servers share is changed by whoever gave it to them.
        cookie_rotates=not config.dns.cookie_secret,
    )


def declared_networks(registry: Registry) -> DeclaredNetworks:
    """Return the registry's declared networks in the form that judging reads."""
    return DeclaredNetworks(
        Declaration(parse_network(item.prefix), Use[item.use.upper()], item.asn, item.name)
        for item in registry.networks()
    )


def question_of(key: Key, origin: str) -> str:
    """Return the name that an MTA asks a zone about this address (RFC 5782 §2.1, §2.4)."""
    address = key.address()
    reverse, _, _ = address.reverse_pointer.rsplit(".", 2)
    return f"{reverse}.{origin.rstrip('.')}"


def within(rows: Rows, networks: Sequence[str]) -> tuple[Rows, list[tuple[int, str]]]:
    """Return the rows that a feed bound to ``networks`` may speak about, and the others' numbers with why."""
    if not networks:
        return rows, []
    scope = DeclaredNetworks(Declaration(parse_network(text), Use.STATIC) for text in networks)
    joined = (rows["ip_hi"] | rows["ip_lo"]) == 0
    inside = joined | (scope.uses(rows["ip_hi"], rows["ip_lo"]) != Use.UNDECLARED)
    return rows[inside], [(int(line), OUTSIDE) for line in rows["line"][~inside]]


def _inside(network: IPNetwork, others: Sequence[IPNetwork]) -> bool:
    return any(network.version == other.version and network.subnet_of(other) for other in others)  # type: ignore[arg-type]
