"""The publisher: what becomes a listing, in the store and in the answers, whoever wants it there.

Verdicts come through the brake; declared networks, the never-list and hand-made entries come from the registry and
the configuration. It answers first and writes second: a verdict is of use within milliseconds, and after a crash it
is made again from the journal.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dnsbl.config import Config
from dnsbl.errors import ListingRefusedError, StoreError
from dnsbl.listing.brake import Brake
from dnsbl.listing.codes import LAYER_NAMES, Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.listing.place import check_listable, place_of
from dnsbl.listing.policy import changes_of
from dnsbl.listing.store import Listing, ListingStore, Removal
from dnsbl.registry import Network
from dnsbl.zone.live import LiveZones
from profiler.address import IPNetwork, parse_network
from profiler.classify.evidence import Class, class_names
from profiler.classify.judge import Verdict
from profiler.errors import SinkError
from profiler.journal import MICROSECONDS

log = logging.getLogger(__name__)


class Publisher:
    """Keeps the store and the live zones in step. Methods may be called from any thread; times in seconds."""

    def __init__(self, config: Config, store: ListingStore, live: LiveZones) -> None:
        self._store = store
        self._live = live
        self._dry_run = config.listing.dry_run
        self._never = [parse_network(text) for text in config.listing.never]
        self.brake = Brake(config.listing.brake_per_hour, config.listing.brake_per_network_hour)
        #: Places outside the store: declared networks and the never-list.
        self._declared: set[Place] = set()
        #: Prefixes of the bots that the brake holds.
        self._held: set[str] = set()
        #: Why listings at these places are being taken off, whoever gets to it first.
        self._reasons: dict[tuple[str, Layer], str] = {}
        self._lock = threading.Lock()
        self.changes: dict[tuple[str, str], int] = {}

    @property
    def held(self) -> int:
        """How many listings the brake holds."""
        return len(self._held)

    def load(self, networks: Sequence[Network]) -> None:
        """Publish all that is listed and declared; at the start."""
        with self._lock:
            declared = declared_entries(networks, self._never)
            self._declared = {entry.place for entry in declared}
            active = list(self._store.active())
            self._held = {listing.prefix for listing in active if listing.held}
            listed = [listing.entry() for listing in active if self._is_published(listing)]
            self._live.replace(listed + declared)

    def redeclare(self, networks: Sequence[Network]) -> None:
        """Publish changed declarations, and what another process listed by hand or released from the brake."""
        with self._lock:
            declared = declared_entries(networks, self._never)
            gone = self._declared - {entry.place for entry in declared}
            self._declared = {entry.place for entry in declared}
            operator = [listing.entry() for listing in self._store.active(Layer.OPERATOR)]
            bots = self._store.active(Layer.BOT) if self._held else ()  # there may be millions
            released = [listing for listing in bots if self._is_released(listing)]
            self._held.difference_update(listing.prefix for listing in released)
            gone.update(place_of(layer, parse_network(prefix)) for prefix, layer in self._store.lately_ended())
            listed = operator + [listing.entry() for listing in released if self._is_published(listing)]
            self._live.apply(declared + listed, gone - self._declared)

    def sink(self, verdicts: Sequence[Verdict]) -> None:
        """Publish what changed verdicts say. SinkError: the disk refuses; the answers have changed already."""
        add: list[Listing] = []
        remove: list[Removal] = []
        for verdict in verdicts:
            listings, removals = changes_of(verdict)
            add += [self._braked(verdict, listing) for listing in listings if not self._is_never(listing.network)]
            remove += map(self._with_reason, removals)
        try:
            self._publish(add, remove, verdicts[-1].time // MICROSECONDS)
        except StoreError as error:
            raise SinkError(str(error)) from error
        for verdict in verdicts:
            self._count(verdict)

    @contextlib.contextmanager
    def ending(self, network: IPNetwork, layers: Iterable[Layer], why: str, now: int) -> Iterator[list[str]]:
        """End the listings of exactly this prefix in ``layers`` after the body; give the names of those it leaves.

        A verdict that the body brings about may end them first, for the same reason then.
        """
        wanted = set(layers)
        gone = [listing for listing in self._store.at(network) if listing.layer in wanted]
        reasons = {(listing.prefix, listing.layer): why for listing in gone}
        self._reasons.update(reasons)
        try:
            yield [LAYER_NAMES[listing.layer] for listing in gone]
            self._publish([], [Removal(listing.prefix, listing.layer, why) for listing in gone], now)
        finally:
            for place in reasons:
                self._reasons.pop(place, None)

    def expire(self, now: int) -> None:
        """End what was listed until a time that has come."""
        over = [Removal(listing.prefix, listing.layer, "expired") for listing in self._store.expired(now)]
        if over:
            self._publish([], over, now)

    def _publish(self, add: Sequence[Listing], remove: Sequence[Removal], now: int) -> None:
        with self._lock:
            places = [place_of(removal.layer, parse_network(removal.prefix)) for removal in remove]
            self._live.apply(
                [listing.entry() for listing in add if self._is_published(listing)],
                [place for place in places if place not in self._declared],
            )
            self._store.apply(add, remove, now)
            self._held -= {removal.prefix for removal in remove if removal.layer is Layer.BOT}
            for listing in add:
                if listing.layer is Layer.BOT:
                    (self._held.add if listing.held else self._held.discard)(listing.prefix)

    def _braked(self, verdict: Verdict, listing: Listing) -> Listing:
        if listing.layer is not Layer.BOT:
            return listing
        if verdict.was & Class.BOT:  # what else changes about a held one does not release it
            return msgspec.structs.replace(listing, held=listing.prefix in self._held)
        if self.brake.passes(verdict.key, listing.since):
            return listing
        log.error("brake: %s is held: too many new bots in an hour (listing.brake_…)", listing.prefix)
        return msgspec.structs.replace(listing, held=True)

    def _with_reason(self, removal: Removal) -> Removal:
        return removal._replace(why=self._reasons.get((removal.prefix, removal.layer), removal.why))

    def _is_never(self, network: IPNetwork) -> bool:
        return any(other.version == network.version and other.overlaps(network) for other in self._never)

    def _is_released(self, listing: Listing) -> bool:
        return listing.prefix in self._held and not listing.held

    def _is_published(self, listing: Listing) -> bool:
        return not listing.held and not (self._dry_run and listing.layer is not Layer.OPERATOR)

    def _count(self, verdict: Verdict) -> None:
        was, now = (next(iter(class_names(bits)), "unknown") for bits in (verdict.was, verdict.classes))
        if was != now:
            self.changes[was, now] = self.changes.get((was, now), 0) + 1


def declared_entries(networks: Sequence[Network], never: Sequence[IPNetwork]) -> list[Entry]:
    """Return what is published without standing in the store: declared networks and the never-list."""
    entries = [Entry(place_of(Layer.EXCLUDED, network), "never listed", 0) for network in never]
    for declared in networks:
        network = parse_network(declared.prefix)
        if declared.use != "dynamic":
            continue
        try:
            check_listable(network, [])  # what the never-list names inside it is excluded address by address
        except ListingRefusedError as error:
            log.warning("declared network not published: %s", error)
            continue
        reason = f"declared dynamic{f' by {declared.name}' if declared.name else ''}"
        entries.append(Entry(place_of(Layer.DYNAMIC_DECLARED, network), reason, 0))
    return entries
