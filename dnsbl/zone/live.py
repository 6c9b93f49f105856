"""The zones and listings that are being served: changed while the answering threads read them.

Entries and zones in, answers out; each change is one new :mod:`snapshot <dnsbl.zone.snapshot>`, published at once
and whole, under the next serial. Methods may be called from any thread. Knows no socket, file or store.
"""

import ipaddress
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dnsbl.errors import ZoneError
from dnsbl.listing.codes import MTA_TRUST_LEVELS, Layer
from dnsbl.listing.columns import Column, Columns
from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry, Place
from dnsbl.zone.manners import DEFAULT_MANNERS, Manners
from dnsbl.zone.zone import Zone

try:
    from dnsbl.wire.answer import RCODES, compile_zones, reply
    from dnsbl.zone.snapshot import REASON_TEXT_BYTES, Snapshots
except ImportError as error:
    raise ImportError(f"the compiled answering code is missing: build with `make build` ({error})") from error

MAX_ZONE_NAMES = 255
#: Of a record in a copy: reason, since, expires, trust.
RECORD_FIELDS = 4
_REMOVED = 0xFFFFFFFF
_U32 = 0xFFFFFFFF
_SECONDS_END = 1 << 32
_SERIAL_END = 1 << 32

_Prefixes = dict[tuple[int, int], int]


class Reply(NamedTuple):
    """A reply, and what to count it under."""

    data: bytes
    zone: str
    rcode: str


class Copy(NamedTuple):
    """What was served under one serial."""

    serial: int
    zones: tuple[Zone, ...]
    columns: Columns


class LiveZones:
    """What is served now. The answering threads read ``snapshots``; everybody else calls the methods."""

    def __init__(
        self,
        zones: Sequence[Zone],
        *,
        public_url: str,
        serial: int = 1,
        manners: Manners = DEFAULT_MANNERS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.snapshots = Snapshots()
        self._public_url = public_url
        self._manners = manners
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[str, int] = {}
        #: By the slot that the counters use; slot 0 is for queries outside all zones.
        self.zone_names: list[str] = ["-"]
        self._prefixes: dict[tuple[Layer, bool], _Prefixes] = {}
        self._serial = serial % _SERIAL_END
        self.zones: tuple[Zone, ...] = ()
        self._draft_zones(zones)
        self.snapshots.publish(self._serial)

    @property
    def serial(self) -> int:
        """The number of the snapshot that is served, as in the SOA records."""
        return self._serial

    def count(self) -> dict[Layer, int]:
        """Return the number of listings, hosts and prefixes, of each layer."""
        return dict(zip(Layer, self.snapshots.counts(), strict=True))

    def answer(self, query: bytes, *, tcp: bool = False, client: str = "") -> bytes | None:
        """Return the reply to a query, from the code that answers over UDP; None if it deserves none.

        ``client`` is the address of who asks; empty: the server itself, which is refused nothing.
        """
        return reply(self.snapshots, query, _packed(client), int(self._clock()), tcp)[0]

    def answer_counted(self, query: bytes, *, tcp: bool = False, client: str = "") -> Reply | None:
        """Return :meth:`answer` with the zone's name (``-``: none of ours) and the rcode's."""
        data, slot, rcode = reply(self.snapshots, query, _packed(client), int(self._clock()), tcp)
        return None if data is None else Reply(data, self.zone_names[slot], RCODES[rcode])

    def copy(self) -> Copy:
        """Return all that is served now, without what has expired."""
        hosts, prefixes = {}, {}
        with self._lock:
            serial, zones, now = self._serial, self.zones, int(self._clock())
            records, texts = self.snapshots.copy_records()
            for layer in Layer:
                for is_v4 in (True, False):
                    hosts[layer, is_v4] = self.snapshots.copy_hosts(layer, is_v4)
                    prefixes[layer, is_v4] = list(self._prefixes.get((layer, is_v4), {}).items())
        columns = Columns(now)
        fields = np.frombuffer(records, np.uint32).reshape(-1, RECORD_FIELDS).astype(np.int64)
        reasons = [text.decode("ascii") for text in texts]
        for (layer, is_v4), of_hosts in hosts.items():
            column = _column(of_hosts, prefixes[layer, is_v4], fields, V4_BITS if is_v4 else V6_BITS)
            if len(column.values):
                columns.add_column(layer, is_v4, column, reasons)
        return Copy(serial, zones, columns)

    def replace(self, entries: Iterable[Entry]) -> int:
        """Serve these entries instead of all others; return the new serial.

        Raises:
            ValueError: an entry is out of its bounds; nothing has changed.
        """
        checked = [_checked(entry) for entry in entries]
        with self._lock:
            for layer in Layer:
                for is_v4 in (True, False):
                    self.snapshots.clear_hosts(layer, is_v4)
                    for record in self._prefixes.pop((layer, is_v4), {}).values():
                        self.snapshots.release(record)
                    self._draft_ranges(layer, is_v4)
            self._draft(checked, ())
            return self._publish()

    def apply(self, add: Iterable[Entry], remove: Iterable[Place] = ()) -> int:
        """Add entries (each replacing the one at its place) and remove places; return the new serial.

        A place that is in both is added. Running threads answer accordingly from their next query on.

        Raises:
            ValueError: an entry is out of its bounds; nothing has changed.
        """
        checked = [_checked(entry) for entry in add]
        removed = list(remove)
        for place in removed:
            _check_place(place)
        with self._lock:
            self._draft(checked, removed)
            return self._publish()

    def set_zones(self, zones: Sequence[Zone]) -> None:
        """Serve these zones instead of all others.

        Raises:
            ZoneError: they have more than fits; nothing has changed.
        """
        with self._lock:
            self._draft_zones(zones)
            self._publish()

    def load_columns(
        self,
        layer: Layer,
        is_v4: bool,
        values: npt.NDArray[np.integer],
        reason: str,
        since: int | npt.NDArray[np.integer],
        expires: int | npt.NDArray[np.integer] = 0,
    ) -> int:
        """Add many hosts with one reason: imports and benches; return the new serial.

        Args:
            layer: the layer of all of them.
            is_v4: whether ``values`` are IPv4 addresses or the upper halves of IPv6 addresses.
            values: in any order; of equal ones the last counts.
            reason: in words.
            since: seconds since 1970, one for all or one a value.
            expires: likewise; 0 for never.
        """
        unsigned = np.asarray(values, np.uint64)
        order = np.argsort(unsigned, kind="stable")
        hosts = unsigned[order]
        last = np.ones(len(hosts), bool)
        last[:-1] = hosts[1:] != hosts[:-1]
        times = np.broadcast_to(
            np.asarray(since, np.uint64) << np.uint64(32) | np.asarray(expires, np.uint64), hosts.shape
        )
        if times.strides == (0,):
            kept, which = times[:1], np.zeros(int(last.sum()), np.intp)
        else:
            kept, which = np.unique(times[order][last], return_inverse=True)
        uses = np.bincount(which, minlength=len(kept))
        text = _reason_bytes(reason)
        with self._lock:
            records = [
                self.snapshots.intern(text, int(both) >> 32, int(both) & _U32, 0, int(count))
                for both, count in zip(kept, uses, strict=True)
            ]
            self.snapshots.change_hosts(layer, is_v4, hosts[last], np.array(records, np.uint32)[which])
            return self._publish()

    def _publish(self) -> int:
        self._serial = (self._serial + 1) % _SERIAL_END
        self.snapshots.publish(self._serial)
        return self._serial

    def _draft_zones(self, zones: Sequence[Zone]) -> None:
        for zone in zones:
            if zone.origin not in self._slots:
                if len(self.zone_names) > MAX_ZONE_NAMES:
                    raise ZoneError(f"{zone.origin}: more than {MAX_ZONE_NAMES} zones since the start: restart")
                self._slots[zone.origin] = len(self.zone_names)
                self.zone_names.append(zone.name)
        image = compile_zones(zones, self._public_url, self._slots, self._manners)
        self.snapshots.set_zones(image)
        self.zones = tuple(zones)

    def _draft(self, add: Sequence[Entry], remove: Sequence[Place]) -> None:
        hosts: dict[tuple[Layer, bool], dict[int, Entry | None]] = {}
        changed: set[tuple[Layer, bool]] = set()
        for place, entry in [*((place, None) for place in remove), *((entry.place, entry) for entry in add)]:
            key = place.layer, place.is_v4
            if place.prefix_length == (V4_BITS if place.is_v4 else V6_BITS):
                hosts.setdefault(key, {})[place.value] = entry
            else:
                self._change_prefix(place, entry)
                changed.add(key)
        for (layer, is_v4), changes in hosts.items():
            values = np.array(sorted(changes), np.uint64)
            records = np.array([self._record(changes[int(value)]) for value in values], np.uint32)
            self.snapshots.change_hosts(layer, is_v4, values, records)
        for layer, is_v4 in changed:
            self._draft_ranges(layer, is_v4)

    def _change_prefix(self, place: Place, entry: Entry | None) -> None:
        prefixes = self._prefixes.setdefault((place.layer, place.is_v4), {})
        before = prefixes.pop((place.value, place.prefix_length), None)
        if entry is not None:
            prefixes[place.value, place.prefix_length] = self._record(entry)
        if before is not None:
            self.snapshots.release(before)

    def _draft_ranges(self, layer: Layer, is_v4: bool) -> None:
        prefixes = sorted(self._prefixes.get((layer, is_v4), {}).items())
        self.snapshots.set_ranges(
            layer,
            is_v4,
            np.array([value for (value, _), _ in prefixes], np.uint64),
            np.array([length for (_, length), _ in prefixes], np.uint8),
            np.array([record for _, record in prefixes], np.uint32),
        )

    def _record(self, entry: Entry | None) -> int:
        if entry is None:
            return _REMOVED
        return self.snapshots.intern(_reason_bytes(entry.reason), entry.since, entry.expires, entry.trust)


def _column(
    hosts: tuple[bytearray, bytearray],
    prefixes: Sequence[tuple[tuple[int, int], int]],
    fields: npt.NDArray[np.int64],
    bits: int,
) -> Column:
    host_values, host_records = np.frombuffer(hosts[0], np.uint64), np.frombuffer(hosts[1], np.uint32)
    values = np.concatenate([host_values, np.array([value for (value, _), _ in prefixes], np.uint64)])
    widths = np.array([length for (_, length), _ in prefixes], np.int64)
    lengths = np.concatenate([np.full(len(host_values), bits, np.int64), widths])
    records = np.concatenate([host_records, np.array([record for _, record in prefixes], np.uint32)])
    reasons, since, expires, trusts = fields[records].T
    return Column(values, lengths, reasons, since, expires, trusts)


def _packed(client: str) -> bytes:
    return ipaddress.ip_address(client.partition("%")[0]).packed if client else b""


def _reason_bytes(reason: str) -> bytes:
    printable = "".join(letter if letter.isprintable() else "?" for letter in reason)
    return printable.encode("ascii", "replace")[:REASON_TEXT_BYTES]


def _check_place(place: Place) -> None:
    bits = V4_BITS if place.is_v4 else V6_BITS
    in_bounds = 0 <= place.prefix_length <= bits and 0 <= place.value < 1 << bits
    if not in_bounds or place.value & ((1 << (bits - place.prefix_length)) - 1):
        raise ValueError(f"{place}: the value needs at most {bits} bits, and zeros right of its prefix length")


def _checked(entry: Entry) -> Entry:
    _check_place(entry.place)
    if not (0 <= entry.since < _SECONDS_END and 0 <= entry.expires < _SECONDS_END):
        raise ValueError(f"{entry}: times are seconds since 1970 below 2**32")
    if not 0 <= entry.trust < len(MTA_TRUST_LEVELS):
        raise ValueError(f"{entry}: the trust lies between 0 and {len(MTA_TRUST_LEVELS) - 1}")
    return entry
