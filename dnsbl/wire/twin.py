"""What a query deserves, in plain words on dnslib: the oracle that the compiled path is compared with in tests.

Slow and clear: it looks through the list of all entries for each question. It shares nothing with
:mod:`dnsbl.wire.answer` but the zones and entries, and is never a stand-in for it. Unlike it, it does not truncate:
:attr:`Twin.limit` says how long the reply may be.
"""

import datetime
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import dnslib

from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import V4_BITS, V6_BITS, Entry
from dnsbl.zone.manners import DEFAULT_MANNERS, Manners
from dnsbl.zone.zone import Zone, render

TEST_TEXT = "test entry (RFC 5782): always listed"
HEADER_BYTES = 12
PLAIN_UDP_BYTES = 512
EDNS_PAYLOAD_BYTES = 1232
TCP_BYTES = 65535
NOERROR, FORMERR, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 3, 4, 5, 16
NSID, COOKIE, EDE, ZONEVERSION = 3, 10, 15, 19
PROHIBITED, NOT_AUTHORITATIVE = 18, 20
ACCESS_CODE = 0x7FFFFFFE
SECONDS_A_DAY = 86_400
_ADDRESS_TYPES = (dnslib.QTYPE.A, dnslib.QTYPE.ANY)
_ADDRESS_BITS = {4: 32, 6: 128}
_TEST_LISTED = {4: 0x7F000002, 6: 0xFFFF7F000002}
_TEST_BLANK = {4: 0x7F000001, 6: 0xFFFF7F000001}
_DYNAMIC = (Layer.DYNAMIC_DECLARED, Layer.DYNAMIC_INFERRED)


class MalformedError(Exception):
    """The message deserves FORMERR."""


@dataclass(frozen=True)
class Question:
    """A question and what EDNS says of who asks; ``version`` is -1 without EDNS."""

    labels: tuple[bytes, ...]
    raw: bytes
    type: int
    klass: int
    payload: int = PLAIN_UDP_BYTES
    version: int = -1
    do: bool = False
    options: tuple[tuple[int, bytes], ...] = ()

    @property
    def name(self) -> tuple[str, ...]:
        """The labels in lower case."""
        return tuple(label.decode("latin-1").translate(_LOWER) for label in self.labels)


_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def read_question(data: bytes) -> tuple[Question, int]:
    """Return the question of a message, and where it ends. MalformedError: it is broken."""
    labels = []
    at = HEADER_BYTES
    while True:
        size = _byte(data, at)
        at += 1
        if size == 0:
            break
        if size > 63 or at + size > len(data):
            raise MalformedError("label")
        labels.append(data[at : at + size])
        at += size
    if at - HEADER_BYTES > 255 or at + 4 > len(data):
        raise MalformedError("name or end")
    type_, klass = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (0, 2))
    return Question(tuple(labels), data[HEADER_BYTES : at + 4], type_, klass), at + 4


def read_records(data: bytes, at: int, question: Question, takes_cookies: bool = False) -> Question:
    """Return the question with what the OPT record says. MalformedError: what follows it is broken."""
    counts = [int.from_bytes(data[i : i + 2], "big") for i in (6, 8, 10)]
    for number in range(sum(counts)):
        owner = at
        at = _name_end(data, at)
        fixed = data[at : at + 10]
        size = int.from_bytes(fixed[8:10], "big")
        if len(fixed) < 10 or at + 10 + size > len(data):
            raise MalformedError("record")
        if int.from_bytes(fixed[:2], "big") == dnslib.QTYPE.OPT:
            if number < counts[0] + counts[1] or question.version >= 0 or data[owner] != 0:
                raise MalformedError("OPT")
            options = read_options(data[at + 10 : at + 10 + size])
            cookies = [data for code, data in options if code == COOKIE]
            if takes_cookies and cookies and len(cookies[0]) not in (8, *range(16, 41)):
                raise MalformedError("cookie")
            payload = int.from_bytes(fixed[2:4], "big")
            question = replace(
                question, payload=payload, version=fixed[5], do=bool(fixed[6] & 0x80), options=options
            )
        at += 10 + size
    if at != len(data):
        raise MalformedError("rubbish at the end")
    return question


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise MalformedError("end")
    return data[at]


def _name_end(data: bytes, at: int) -> int:
    while True:
        size = _byte(data, at)
        if size == 0:
            return at + 1
        if size >= 0xC0:
            _byte(data, at + 1)
            return at + 2
        if size > 63:
            raise MalformedError("label")
        at += 1 + size


def read_options(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return the options of an OPT record by code. MalformedError: one is cut off, or wrong in itself."""
    options = []
    while data:
        code, size = (int.from_bytes(data[i : i + 2], "big") for i in (0, 2))
        if len(data) < 4 + size or (code == ZONEVERSION and size):
            raise MalformedError("option")
        options.append((code, data[4 : 4 + size]))
        data = data[4 + size :]
    return tuple(options)


class Twin:
    """Answers from zones and entries, each question for itself."""

    def __init__(
        self,
        zones: Sequence[Zone],
        entries: Iterable[Entry],
        public_url: str,
        serial: int,
        manners: Manners = DEFAULT_MANNERS,
    ) -> None:
        self._zones = zones
        # Equal places replace each other.
        self._entries = list({entry.place: entry for entry in entries}.values())
        self._public_url = public_url
        self._serial = serial
        self._manners = manners

    def answer(self, data: bytes, now: int, client: str = "") -> dnslib.DNSRecord | None:
        """Return the reply to a query from an address, never truncated; None if it deserves none."""
        if len(data) < HEADER_BYTES or data[2] & 0x80:
            return None
        opcode = data[2] >> 3 & 15
        reply = dnslib.DNSRecord(
            dnslib.DNSHeader(id=int.from_bytes(data[:2], "big"), qr=1, aa=0, rd=data[2] & 1, ra=0, opcode=opcode)
        )
        try:
            if data[4:6] != b"\0\1":
                raise MalformedError("one question")
            question, end = read_question(data)
            if not opcode:
                question = read_records(data, end, question, bool(self._manners.cookie_secret))
        except MalformedError:
            reply.header.rcode = NOTIMP if opcode else FORMERR
            return reply
        reply.add_question(dnslib.DNSQuestion(dnslib.DNSLabel(question.labels), question.type, question.klass))
        rcode = NOTIMP if opcode else BADVERS if question.version > 0 else self._fill(reply, question, now, client)
        if question.version >= 0:
            do = "do" if question.do else ""
            options = [dnslib.EDNSOption(*option) for option in self._options(question, rcode, now, client)]
            reply.add_ar(dnslib.EDNS0(udp_len=EDNS_PAYLOAD_BYTES, ext_rcode=rcode >> 4, flags=do, opts=options))
        reply.header.rcode = rcode & 15
        return reply

    def _options(self, question: Question, rcode: int, now: int, client: str) -> Iterator[tuple[int, bytes]]:
        """Yield the options of the reply's OPT record by code, in their order."""
        wanted = dict(question.options)
        if NSID in wanted and self._manners.nsid:
            yield NSID, self._manners.nsid
        cookie = next((data for code, data in question.options if code == COOKIE), b"")
        if cookie and self._manners.cookie_secret:
            yield COOKIE, self._cookie(cookie[:8], now, client)
        is_answered = question.klass == dnslib.CLASS.IN and rcode in (NOERROR, NXDOMAIN)
        zone = self._zone_of(question.name) if is_answered else None
        if ZONEVERSION in wanted and zone is not None:
            yield ZONEVERSION, bytes([zone.origin.count(".") + 1, 0]) + self._serial.to_bytes(4, "big")
        is_transfer = question.type in (dnslib.QTYPE.AXFR, dnslib.QTYPE.IXFR)
        if question.klass == dnslib.CLASS.IN and rcode == REFUSED and not is_transfer:
            is_ours = self._zone_of(question.name) is not None
            yield EDE, (PROHIBITED if is_ours else NOT_AUTHORITATIVE).to_bytes(2, "big")
        elif zone is not None and not _is_allowed(zone, client):
            yield EDE, PROHIBITED.to_bytes(2, "big")

    def _cookie(self, client_cookie: bytes, now: int, client: str) -> bytes:
        secret = self._manners.cookie_secret
        if self._manners.cookie_rotates:
            day = (now // SECONDS_A_DAY).to_bytes(4, "little")
            secret = b"".join(siphash(secret, day + half.to_bytes(4, "little")) for half in range(2))
        address = ipaddress.ip_address(client).packed if client else b""
        head = client_cookie + b"\1\0\0\0" + now.to_bytes(4, "big")
        return head + siphash(secret, head + address)

    def limit(self, data: bytes, is_tcp: bool) -> int:
        """Return the longest reply that a whole query may get, in octets."""
        if is_tcp:
            return TCP_BYTES
        question, end = read_question(data)
        return min(max(read_records(data, end, question).payload, PLAIN_UDP_BYTES), EDNS_PAYLOAD_BYTES)

    def _fill(self, reply: dnslib.DNSRecord, question: Question, now: int, client: str) -> int:
        if question.klass != dnslib.CLASS.IN:
            return self._chaos(reply, question)
        if question.type in (dnslib.QTYPE.AXFR, dnslib.QTYPE.IXFR):
            return REFUSED
        zone = self._zone_of(question.name)
        if zone is None and not self._is_server(question.name):
            return REFUSED
        if zone is None:
            reply.header.aa = 1
            self._add_server(reply, question)
            return NOERROR
        below = question.name[: len(question.name) - zone.origin.count(".") - 1]
        if not _is_allowed(zone, client):
            return self._refuse(reply, zone, question, below)
        has_servers = self._is_server(question.name) or self._is_above_server(question.name)
        if zone.access.keys and below and not has_servers:
            if below[-1] not in zone.access.keys:
                return REFUSED
            below = below[:-1]
            exists = not below or self._add_below(reply, zone, question, below, now)
        elif below:
            exists = self._add_below(reply, zone, question, below, now)
        else:
            exists = self._add_apex(reply, zone, question)
        reply.header.aa = 1
        if not reply.rr:
            reply.add_auth(self._soa(zone, min(zone.ttl, zone.negative_ttl)))
        return NOERROR if exists else NXDOMAIN

    def _refuse(self, reply: dnslib.DNSRecord, zone: Zone, question: Question, below: tuple[str, ...]) -> int:
        is_whole = any(part and part.is_whole for part in (_v4(below), _v6(below))) if below else False
        if not (zone.access.refused_with_code and is_whole and question.type in _ADDRESS_TYPES):
            return REFUSED
        reply.header.aa = 1
        code = dnslib.A(_dotted(ACCESS_CODE))
        owner = dnslib.DNSLabel(question.labels)
        reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.A, ttl=zone.negative_ttl, rdata=code))
        return NOERROR

    def _chaos(self, reply: dnslib.DNSRecord, question: Question) -> int:
        is_asked = question.type in (dnslib.QTYPE.TXT, dnslib.QTYPE.ANY) and question.klass == dnslib.CLASS.CH
        said: dict[tuple[str, ...], bytes] = {
            ("version", "bind"): self._manners.version,
            ("id", "server"): self._manners.nsid,
        }
        text = said.get(question.name)
        if not text or not is_asked:
            return REFUSED
        reply.header.aa = 1
        owner = dnslib.DNSLabel(question.labels)
        reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.TXT, dnslib.CLASS.CH, 0, dnslib.TXT(text)))
        return NOERROR

    def _zone_of(self, name: tuple[str, ...]) -> Zone | None:
        found = [zone for zone in self._zones if _is_under(name, _labels(zone.origin))]
        return max(found, key=lambda zone: zone.origin.count("."), default=None)

    # Name servers

    def _is_server(self, name: tuple[str, ...]) -> bool:
        return any(_labels(server.name) == name for zone in self._zones for server in zone.nameservers)

    def _is_above_server(self, name: tuple[str, ...]) -> bool:
        return any(_is_under(_labels(server.name), name) for zone in self._zones for server in zone.nameservers)

    def _addresses(self, name: str, family: int) -> list[dnslib.RR]:
        zones = [zone for zone in self._zones if any(server.name == name for server in zone.nameservers)]
        ttl = min(zone.ttl for zone in zones)
        servers = [server for zone in zones for server in zone.nameservers if server.name == name]
        texts = dict.fromkeys(text for server in servers for text in server.addresses)
        kind = dnslib.A if family == 4 else dnslib.AAAA
        type_ = dnslib.QTYPE.A if family == 4 else dnslib.QTYPE.AAAA
        return [
            dnslib.RR(name, type_, ttl=ttl, rdata=kind(text)) for text in texts if (":" in text) == (family == 6)
        ]

    def _add_server(self, reply: dnslib.DNSRecord, question: Question) -> None:
        found = {family: self._addresses(".".join(question.name), family) for family in (4, 6)}
        if question.type == dnslib.QTYPE.A or (question.type == dnslib.QTYPE.ANY and found[4]):
            reply.add_answer(*found[4])
        elif question.type in (dnslib.QTYPE.AAAA, dnslib.QTYPE.ANY):
            reply.add_answer(*found[6])

    # Zones

    def _soa(self, zone: Zone, ttl: int) -> dnslib.RR:
        times = (self._serial, zone.soa.refresh, zone.soa.retry, zone.soa.expire, zone.negative_ttl)
        return dnslib.RR(
            zone.origin, dnslib.QTYPE.SOA, ttl=ttl, rdata=dnslib.SOA(zone.soa.mname, zone.soa.rname, times)
        )

    def _add_apex(self, reply: dnslib.DNSRecord, zone: Zone, question: Question) -> bool:
        if question.type in (dnslib.QTYPE.SOA, dnslib.QTYPE.ANY):
            reply.add_answer(self._soa(zone, zone.ttl))
        if question.type == dnslib.QTYPE.NS:
            for server in zone.nameservers:
                reply.add_answer(
                    dnslib.RR(zone.origin, dnslib.QTYPE.NS, ttl=zone.ttl, rdata=dnslib.NS(server.name))
                )
                if server.name.endswith(f".{zone.origin}"):
                    reply.add_ar(*self._addresses(server.name, 4), *self._addresses(server.name, 6))
        return True

    def _add_below(
        self, reply: dnslib.DNSRecord, zone: Zone, question: Question, below: tuple[str, ...], now: int
    ) -> bool:
        """Add what there is below an apex; return whether the name exists."""
        spelled = [part for part in (_v4(below), _v6(below)) if part]
        for part in spelled:
            if part.is_whole and self._add_address(reply, zone, question, part, now):
                return True
        if self._is_server(question.name):
            self._add_server(reply, question)
            return True
        if self._is_above_server(question.name):
            return True
        return any(self._has_below(zone, part) for part in spelled if not part.is_whole)

    def _add_address(self, reply: dnslib.DNSRecord, zone: Zone, question: Question, part: "Part", now: int) -> bool:
        if part.value == _TEST_BLANK[part.family]:
            return False
        if part.value == _TEST_LISTED[part.family]:
            found = [(zone.test_code, TEST_TEXT)]
            ttl = zone.ttl
        else:
            hits = self._hits(zone, part, now)
            found = [(code, self._text(zone, entry, part)) for code, entry in hits]
            ttls = {answer.layer: answer.ttl for answer in zone.answers}
            ttl = min(
                (min(ttls[e.place.layer], e.expires - now if e.expires else 1 << 31) for _, e in hits), default=0
            )
        owner = dnslib.DNSLabel(question.labels)
        for code, text in found:
            if question.type in (dnslib.QTYPE.A, dnslib.QTYPE.ANY):
                reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.A, ttl=ttl, rdata=dnslib.A(_dotted(code))))
            if question.type == dnslib.QTYPE.TXT:
                strings = [text[i : i + 255].encode() for i in range(0, len(text), 255)]
                reply.add_answer(dnslib.RR(owner, dnslib.QTYPE.TXT, ttl=ttl, rdata=dnslib.TXT(strings)))
        return bool(found)

    def _text(self, zone: Zone, entry: Entry, part: "Part") -> str:
        since = datetime.datetime.fromtimestamp(entry.since, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = next(answer.text for answer in zone.answers if answer.layer == entry.place.layer)
        url = f"{self._public_url}/ip/{part}"
        layer = entry.place.layer
        return render(text, reason=entry.reason, since=since, url=url, address=str(part), layer=layer)

    # Listings

    def _entry(self, layer: Layer, part: "Part", now: int) -> Entry | None:
        """Return the live entry of a layer with the longest prefix around an address."""
        found = [
            entry
            for entry in self._entries
            if entry.place.layer == layer and part.meets(entry) and not 0 < entry.expires <= now
        ]
        return max(found, key=lambda entry: entry.place.prefix_length, default=None)

    def _hits(self, zone: Zone, part: "Part", now: int) -> list[tuple[int, Entry]]:
        if zone.dry_run:
            return []
        is_mta = self._entry(Layer.MTA, part, now) is not None
        is_excluded = zone.kind != "allow" and self._entry(Layer.EXCLUDED, part, now) is not None
        hits = []
        for answer in zone.answers:
            entry = self._entry(answer.layer, part, now)
            if entry is None or (is_excluded and answer.layer != Layer.MTA):
                continue
            if is_mta and zone.kind == "block" and answer.layer != Layer.OPERATOR:
                continue
            host_bits = V4_BITS if entry.place.is_v4 else V6_BITS
            is_range = entry.place.prefix_length < host_bits
            if is_mta and zone.kind == "class" and answer.layer in _DYNAMIC and is_range:
                continue
            hits.append((answer.code + (entry.trust if answer.layer == Layer.MTA else 0), entry))
        return hits

    def _has_below(self, zone: Zone, part: "Part") -> bool:
        test = Part(part.family, _TEST_LISTED[part.family], _ADDRESS_BITS[part.family])
        if part.holds(test):
            return True
        layers = {answer.layer for answer in zone.answers}
        listed = [entry for entry in self._entries if entry.place.layer in layers]
        return not zone.dry_run and any(part.meets(entry) for entry in listed)


@dataclass(frozen=True)
class Part:
    """The address, or the leading part of one, that a name spells: all of the family's bits and how many count."""

    family: int
    value: int
    length: int

    @property
    def is_whole(self) -> bool:
        """Whether it is one address."""
        return self.length == _ADDRESS_BITS[self.family]

    def holds(self, other: "Part") -> bool:
        """Whether ``other`` begins as this does."""
        rest = _ADDRESS_BITS[self.family] - self.length
        return self.length <= other.length and self.value >> rest == other.value >> rest

    def meets(self, entry: Entry) -> bool:
        """Whether an entry's prefix and this one have an address in common."""
        place = entry.place
        if place.is_v4 != (self.family == 4):
            return False
        value = place.value if place.is_v4 else place.value << 64
        other = Part(self.family, value, place.prefix_length)
        return self.holds(other) or other.holds(self)

    def __str__(self) -> str:
        packed = self.value.to_bytes(_ADDRESS_BITS[self.family] // 8, "big")
        return socket.inet_ntop(socket.AF_INET if self.family == 4 else socket.AF_INET6, packed)


def _v4(below: tuple[str, ...]) -> Part | None:
    if len(below) > 4 or any(label not in _OCTETS for label in below):
        return None
    value = 0
    for label in reversed(below):
        value = value << 8 | int(label)
    return Part(4, value << 8 * (4 - len(below)), 8 * len(below))


def _v6(below: tuple[str, ...]) -> Part | None:
    if len(below) > 32 or any(len(label) != 1 or label not in "0123456789abcdef" for label in below):
        return None
    value = int("".join(reversed(below)), 16)
    return Part(6, value << 4 * (32 - len(below)), 4 * len(below))


_OCTETS = frozenset(str(number) for number in range(256))


def _is_allowed(zone: Zone, client: str) -> bool:
    if not zone.access.allow or not client:
        return True
    return any(ipaddress.ip_address(client) in ipaddress.ip_network(prefix) for prefix in zone.access.allow)


def siphash(key: bytes, data: bytes) -> bytes:
    """Return SipHash-2-4 of ``data`` under a key of 16 octets, as 8 octets, the least significant first."""
    low, high = (int.from_bytes(key[i : i + 8], "little") for i in (0, 8))
    state = [
        low ^ 0x736F6D6570736575,
        high ^ 0x646F72616E646F6D,
        low ^ 0x6C7967656E657261,
        high ^ 0x7465646279746573,
    ]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        state[3] ^= word
        _sip_rounds(state, 2)
        state[0] ^= word
    state[2] ^= 0xFF
    _sip_rounds(state, 4)
    return (state[0] ^ state[1] ^ state[2] ^ state[3]).to_bytes(8, "little")


def _sip_rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        for a, b, turn, half in ((0, 1, 13, True), (2, 3, 16, False), (0, 3, 21, False), (2, 1, 17, True)):
            v[a] = (v[a] + v[b]) % (1 << 64)
            v[b] = _turned(v[b], turn) ^ v[a]
            if half:
                v[a] = _turned(v[a], 32)


def _turned(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) % (1 << 64)


def _labels(name: str) -> tuple[str, ...]:
    return tuple(name.split("."))


def _is_under(name: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return name[-len(above) :] == above


def _dotted(code: int) -> str:
    return ".".join(str(code >> shift & 255) for shift in (24, 16, 8, 0))
