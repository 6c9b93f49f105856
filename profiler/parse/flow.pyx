# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""NetFlow v5, NetFlow v9 (RFC 3954) and IPFIX (RFC 7011) exports in, one row a flow out.

In: a capture of datagrams in pieces (:meth:`FlowParser.feed`: a pcap file, or datagrams one after another), or
datagrams as they arrive (:meth:`FlowParser.datagrams`). Out: :class:`profiler.parse.registry.Parsed`.

Rules:

1. Sans-io and deterministic: the same bytes give the same rows however they are split; ``now`` is given.
2. What cannot be understood is a counted value with a reason; the rest of the capture counts.
3. Memory is bounded: templates and domains by number, what waits for its rest by the size of a datagram. Rows take
   at most 24 bytes a byte fed (2 for NetFlow v5), so feed a large capture in pieces.
4. A template belongs to (exporter, version, observation domain): nobody's template reads another's data.
5. The loops over records hold no GIL and touch no Python object.

Must not know what a flow means: replies and scans are told apart by the fold.
"""

import ipaddress
from collections import OrderedDict

import numpy as np

from profiler.observation import OBSERVATION
from profiler.parse.registry import FUTURE, FUTURE_SECONDS, REJECTED_KEPT, Parsed

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from profiler.keyed cimport siphash
from profiler.parse cimport pcap
from profiler.parse.flow_frame cimport (
    BROKEN, IPFIX_HEADER_BYTES, MORE, PLAUSIBLE_BYTES, V5_HEADER_BYTES, V5_RECORD_BYTES, V5_RECORDS_MAX,
    V9_HEADER_BYTES, WHOLE, Framing, frame, is_plausible, is_version,
)
from profiler.parse.flow_template cimport (
    BEFORE_EXPORT_US, BYTES, DPORT, DST4, DST6, DURATION, DURATION_MS, DURATION_US, END, FIELDS_MAX, FLAGS, IE_MAX,
    IE_OTHER, INIT, INTERVAL, INTERVAL_OF, INTERVAL_RUN, MILLISECONDS, NO_SLOT, NO_UNIT, NTP_MICROSECONDS,
    NTP_NANOSECONDS, PACKETS, PROTO, SECONDS, SELECTOR, SLOTS, SPACE, SPORT, SRC4, SRC6, START, UPTIME_MS,
    Domain, Export, Field, Place, Rule, Step, Template, compile_template, decode, learn_options, locate,
)
from profiler.parse.pcap cimport be16, be32
from profiler.row cimport Row

#: Templates known at once, in all and of one exporter; the oldest that was not repeated makes room.
TEMPLATES_MAX = 65_536
EXPORTER_TEMPLATES_MAX = 4_096
#: Observation domains whose options (sampling, uptime) are remembered.
DOMAINS_MAX = 65_536

cdef int64_t FUTURE_US = FUTURE_SECONDS * 1_000_000
cdef uint64_t KEPT = REJECTED_KEPT

cdef enum:
    CACHE_SLOTS = 4096

cdef enum Why:
    UNKNOWN_TEMPLATE
    NO_SOURCE
    IN_FUTURE
    NOT_FLOW
    SHORT
    BAD_COUNT
    BAD_SET
    BAD_RECORD
    BAD_TEMPLATE
    FRAGMENTED
    SNAPPED
    PCAPNG
    BAD_LINK
    BAD_PACKET
    CUT

_WHY = {
    UNKNOWN_TEMPLATE: "template {detail} of {exporter}, domain {domain}, not seen yet: "
    "its flows count once the exporter has sent it",
    NO_SOURCE: "template {detail} of {exporter}, domain {domain}, has no source address: "
    "its records are left out, this is said once",
    IN_FUTURE: FUTURE + ": set the clock of {exporter}",
    NOT_FLOW: "not NetFlow v5, NetFlow v9 or IPFIX: the first word is {detail}, not 5, 9 or 10",
    SHORT: "the datagram of {detail} bytes is shorter than it says",
    BAD_COUNT: "a NetFlow v5 datagram has 1 to 30 records, this one says {detail}",
    BAD_SET: "set {detail} is malformed: the rest of its datagram is left out",
    BAD_RECORD: "a record of template {detail} runs past its set: the rest of the set is left out",
    BAD_TEMPLATE: "template {detail} of {exporter}, domain {domain}, is malformed: a template has 1 to 512 fields "
    "that fit into a datagram, and an id from 256",
    FRAGMENTED: "an IP fragment from {exporter}: fragments are not put together, lower the exporter's datagram size",
    SNAPPED: "a packet from {exporter} was cut when captured: capture with an unlimited snap length (tcpdump -s 0)",
    PCAPNG: "a pcapng file: convert it with editcap -F pcap",
    BAD_LINK: "a pcap file of link type {detail}: capture Ethernet, raw IP, Linux cooked or loopback",
    BAD_PACKET: "the pcap file is damaged: a packet of {detail} bytes; what follows is left out",
    CUT: "the capture ends within a datagram",
}

#: Information elements that say something to us: element, slot, rank (0 wins), unit. RFC 7012 and its IANA registry,
#: which NetFlow v9 shares up to 127; 34 to 50 as Cisco's NetFlow v9 has them.
_ELEMENTS = (
    (8, SRC4, 0, NO_UNIT), (12, DST4, 0, NO_UNIT), (27, SRC6, 0, NO_UNIT), (28, DST6, 0, NO_UNIT),
    (4, PROTO, 0, NO_UNIT),
    (7, SPORT, 0, NO_UNIT), (180, SPORT, 1, NO_UNIT), (182, SPORT, 1, NO_UNIT),
    (11, DPORT, 0, NO_UNIT), (181, DPORT, 1, NO_UNIT), (183, DPORT, 1, NO_UNIT),
    (2, PACKETS, 0, NO_UNIT), (86, PACKETS, 1, NO_UNIT), (24, PACKETS, 2, NO_UNIT), (298, PACKETS, 3, NO_UNIT),
    (1, BYTES, 0, NO_UNIT), (85, BYTES, 1, NO_UNIT), (23, BYTES, 2, NO_UNIT), (231, BYTES, 3, NO_UNIT),
    (352, BYTES, 4, NO_UNIT),
    (6, FLAGS, 0, NO_UNIT),
    (153, END, 0, MILLISECONDS), (155, END, 1, NTP_MICROSECONDS), (157, END, 2, NTP_NANOSECONDS),
    (151, END, 3, SECONDS), (21, END, 4, UPTIME_MS), (159, END, 5, BEFORE_EXPORT_US), (323, END, 6, MILLISECONDS),
    (324, END, 7, NTP_MICROSECONDS), (325, END, 8, NTP_NANOSECONDS), (322, END, 9, SECONDS),
    (152, START, 0, MILLISECONDS), (154, START, 1, NTP_MICROSECONDS), (156, START, 2, NTP_NANOSECONDS),
    (150, START, 3, SECONDS), (22, START, 4, UPTIME_MS), (158, START, 5, BEFORE_EXPORT_US),
    (161, DURATION, 0, DURATION_MS), (162, DURATION, 1, DURATION_US),
    (160, INIT, 0, NO_UNIT),
    (34, INTERVAL, 0, INTERVAL_OF), (305, INTERVAL, 1, INTERVAL_RUN), (50, INTERVAL, 2, INTERVAL_OF),
    (306, SPACE, 0, NO_UNIT),
    (302, SELECTOR, 0, NO_UNIT), (48, SELECTOR, 1, NO_UNIT),
)  # fmt: skip

#: A NetFlow v5 record as a template: element (210: padding) and length.
_V5_FIELDS = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2), (210, 1), (6, 1),
    (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (210, 2),
)  # fmt: skip

cdef Rule RULES[IE_MAX]


def _fill_rules():
    cdef int element
    for element in range(IE_MAX):
        RULES[element].slot = NO_SLOT
    for element, slot, rank, unit in _ELEMENTS:
        RULES[element].slot = slot
        RULES[element].rank = rank
        RULES[element].unit = unit


_fill_rules()

cdef enum Mode:
    UNDECIDED
    CONCATENATED
    CAPTURE_HEADER
    CAPTURE
    REFUSED

cdef struct Cached:
    uint64_t exporter
    uint64_t key
    Template *template

cdef struct Rejection:
    uint64_t detail
    uint32_t number
    uint32_t domain
    uint8_t why
    uint8_t sender_length
    uint8_t sender[pcap.SENDER_MAX_BYTES]

cdef struct Source:  # of the datagram at hand
    uint64_t id  # keyed hash of the sender's bytes
    uint32_t domain
    uint16_t version
    uint8_t sender_length
    uint8_t sender[pcap.SENDER_MAX_BYTES]


cdef class _Domain:
    cdef Domain c


cdef class _Template:
    cdef Template c
    cdef _Domain domain  # keeps ``c.domain`` alive

    def __dealloc__(self):
        free(self.c.steps)


cdef class _RowOwner:
    # Lends the malloc'ed rows to NumPy, without a copy.
    cdef Row *rows
    cdef Py_ssize_t length
    cdef Py_ssize_t shape[1]
    cdef Py_ssize_t strides[1]

    def __dealloc__(self):
        free(self.rows)

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        self.shape[0] = self.length * <Py_ssize_t>sizeof(Row)
        self.strides[0] = 1
        buffer.buf = self.rows
        buffer.obj = self
        buffer.len = self.shape[0]
        buffer.itemsize = 1
        buffer.readonly = 0
        buffer.ndim = 1
        buffer.format = b"B"
        buffer.shape = self.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL


def _exporter_text(bytes sender):
    # The address, and the port where it follows.
    cdef Py_ssize_t length = len(sender)
    if length in (6, 18):
        address = str(ipaddress.ip_address(sender[: length - 2]))
        port = int.from_bytes(sender[length - 2 :], "big")
        return f"{address}:{port}" if length == 6 else f"[{address}]:{port}"
    if length in (4, 16):
        return str(ipaddress.ip_address(sender))
    return "the exporter"


cdef inline uint64_t key_of(const Source *source, uint16_t template_id) noexcept nogil:
    return <uint64_t>source.version << 48 | <uint64_t>source.domain << 16 | template_id


cdef class FlowParser:
    """Exports of any number of exporters to rows; for one thread at a time.

    ``context`` is a :class:`profiler.parse.registry.Context`: the key for the hashes of destination addresses and the
    time that counts as now. A row's ``line`` is the number of the data record, from 1: over the parser's life for
    :meth:`feed`, in each call for :meth:`datagram` and :meth:`datagrams`.
    """

    #: Microseconds since 1970; a flow that ends over FUTURE_SECONDS later is refused. A live parser is kept informed.
    cdef public int64_t now
    #: Templates dropped because there were too many.
    cdef readonly uint64_t templates_dropped
    cdef bytes _key
    cdef uint64_t _k0, _k1
    cdef object _templates  # OrderedDict: (exporter, key) -> _Template, oldest first
    cdef dict _by_exporter  # exporter -> OrderedDict of its keys, oldest first
    cdef object _domains  # OrderedDict: (exporter, key of template 0) -> _Domain
    cdef Cached *_cache
    cdef Rejection *_rejections
    cdef Row *_rows
    cdef Py_ssize_t _length, _capacity
    cdef uint64_t _rejected, _records
    cdef uint32_t _number
    cdef bint _no_memory
    cdef _Template _v5
    # Framing of a capture.
    cdef bytes _pending
    cdef Mode _mode
    cdef bint _is_lost
    cdef pcap.Order _order
    cdef uint32_t _link
    cdef Source _source

    def __cinit__(self, context):
        cdef Field fields[FIELDS_MAX]
        cdef Step steps[FIELDS_MAX]
        cdef uint32_t count = 0
        self._cache = <Cached *>malloc(CACHE_SLOTS * sizeof(Cached))
        self._rejections = <Rejection *>malloc(KEPT * sizeof(Rejection))
        if self._cache == NULL or self._rejections == NULL:
            raise MemoryError
        memset(self._cache, 0, CACHE_SLOTS * sizeof(Cached))
        self._v5 = _Template()
        self._v5.domain = _Domain()
        self._v5.c.domain = &self._v5.domain.c
        for element, length in _V5_FIELDS:
            fields[count].element = element
            fields[count].length = length
            count += 1
        compile_template(&self._v5.c, fields, count, RULES, steps)
        self.now = context.now
        self._key = context.hash_key
        self._k0 = int.from_bytes(self._key[:8], "little")
        self._k1 = int.from_bytes(self._key[8:16], "little")
        self._templates = OrderedDict()
        self._by_exporter = {}
        self._domains = OrderedDict()
        self._pending = b""

    def __dealloc__(self):
        free(self._cache)
        free(self._rejections)
        free(self._rows)

    @property
    def templates(self):
        """How many templates are known."""
        return len(self._templates)

    def feed(self, data, bint final=False):
        """Return what the next piece of a capture completes; ``final`` says that no further piece follows.

        A pcap file is known by its first bytes, and its exporters by the packets' source address and port; else the
        bytes are datagrams one after another, all of one exporter, as in an IPFIX file (RFC 5655).

        Raises:
            MemoryError: the rows do not fit; feed smaller pieces.
        """
        cdef bytes whole = self._pending + bytes(data) if self._pending else bytes(data)
        cdef const uint8_t *p = <const uint8_t *><char *>whole
        cdef Py_ssize_t n = len(whole)
        cdef Py_ssize_t used
        self._begin()
        with nogil:
            used = self._capture(p, n, final)
        self._pending = whole[used:]
        return self._end()

    def datagram(self, bytes data, bytes exporter):
        """Return the flows of one export; see :meth:`datagrams`."""
        return self.datagrams([(data, exporter)])

    def datagrams(self, batch):
        """Return the flows of exports as received: a sequence of (datagram, exporter).

        ``exporter`` is the sender: the 4 or 16 bytes of its address, then the 2 of its port, if ports tell exporters
        apart.

        Raises:
            ValueError: an exporter has more than 18 bytes.
            MemoryError: the rows do not fit; pass fewer datagrams.
        """
        cdef list held = list(batch)  # keeps the bytes alive while the GIL is released
        cdef Py_ssize_t count = len(held)
        cdef Py_ssize_t i
        cdef bytes data, exporter
        cdef pcap.Datagram *datagrams = <pcap.Datagram *>malloc((count or 1) * sizeof(pcap.Datagram))
        if datagrams == NULL:
            raise MemoryError
        try:
            for i in range(count):
                data, exporter = held[i]
                if len(exporter) > pcap.SENDER_MAX_BYTES:
                    raise ValueError("an exporter is an address of 4 or 16 bytes and a port of 2")
                datagrams[i].data = <const uint8_t *><char *>data
                datagrams[i].length = len(data)
                datagrams[i].sender_length = <uint8_t>len(exporter)
                memcpy(datagrams[i].sender, <char *>exporter, len(exporter))
            self._begin()
            self._number = 0
            with nogil:
                for i in range(count):
                    self._from(&datagrams[i])
                    self._datagram(datagrams[i].data, datagrams[i].length)
        finally:
            free(datagrams)
        return self._end()

    # What a call gathers.

    cdef int _begin(self) except -1:
        self._length = 0
        self._rejected = 0
        self._records = 0
        self._no_memory = False
        return 0

    cdef object _end(self):
        cdef _RowOwner owner
        cdef Row *rows
        if self._no_memory:
            raise MemoryError("the rows of one call do not fit into memory: pass less at once")
        rejected = [self._rejection(i) for i in range(min(self._rejected, KEPT))]
        if self._length == 0:
            return Parsed(np.empty(0, OBSERVATION), rejected, self._rejected, self._records)
        owner = _RowOwner()
        rows = <Row *>realloc(self._rows, self._length * sizeof(Row))
        owner.rows = rows if rows != NULL else self._rows
        owner.length = self._length
        self._rows = NULL
        self._capacity = 0
        return Parsed(np.frombuffer(owner, OBSERVATION), rejected, self._rejected, self._records)

    cdef object _rejection(self, Py_ssize_t i):
        cdef Rejection *rejection = &self._rejections[i]
        cdef bytes sender = rejection.sender[:rejection.sender_length]
        text = _WHY[rejection.why].format(
            detail=rejection.detail, domain=rejection.domain, exporter=_exporter_text(sender)
        )
        return rejection.number, text

    cdef bint _room(self, Py_ssize_t count) noexcept nogil:
        cdef Py_ssize_t capacity = self._capacity
        cdef Row *rows
        if self._length + count <= capacity:
            return True
        capacity = max(self._length + count, capacity * 2, 1024)
        rows = <Row *>realloc(self._rows, capacity * sizeof(Row))
        if rows == NULL:
            self._no_memory = True
            return False
        self._rows = rows
        self._capacity = capacity
        return True

    cdef void _reject(self, Why why, uint64_t detail, bint numbered) noexcept nogil:
        # ``numbered``: the record has its number already; else what is rejected takes one.
        cdef Rejection *rejection
        if not numbered:
            self._number += 1
            self._records += 1
        if self._rejected < KEPT:
            rejection = &self._rejections[self._rejected]
            rejection.why = why
            rejection.detail = detail
            rejection.number = self._number
            rejection.domain = self._source.domain
            rejection.sender_length = self._source.sender_length
            memcpy(rejection.sender, self._source.sender, pcap.SENDER_MAX_BYTES)
        self._rejected += 1

    # A capture: where its datagrams start and end. Each returns how many bytes are done with.

    cdef Py_ssize_t _capture(self, const uint8_t *p, Py_ssize_t n, bint final) noexcept nogil:
        cdef Py_ssize_t at = 0
        if self._mode == UNDECIDED:
            if n < 4 and not final:
                return 0
            self._source.id = siphash(self._k0, self._k1, self._source.sender, 0)
            self._mode = CONCATENATED
            self._order = pcap.order_of(p) if n >= 4 else pcap.NOT_PCAP
            if self._order != pcap.NOT_PCAP:
                self._mode = CAPTURE_HEADER
            elif n >= 4 and be32(p) == 0x0A0D0D0A:
                self._reject(PCAPNG, 0, False)
                self._mode = REFUSED
        if self._mode == CAPTURE_HEADER and n >= pcap.FILE_HEADER_BYTES:
            at = pcap.FILE_HEADER_BYTES
            self._link = pcap.file32(p + 20, self._order) & 0xFFFF
            self._mode = CAPTURE
            if not pcap.is_link_known(self._link):
                self._reject(BAD_LINK, self._link, False)
                self._mode = REFUSED
        if self._mode == CONCATENATED:
            at = self._concatenated(p, n, final)
        elif self._mode == CAPTURE:
            at += self._packets(p + at, n - at)
        elif self._mode == REFUSED:
            return n
        if final and at < n and self._mode != REFUSED:
            self._source.sender_length = 0
            self._reject(CUT, 0, False)
            return n
        return at

    cdef Py_ssize_t _packets(self, const uint8_t *p, Py_ssize_t n) noexcept nogil:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t length
        while n - at >= pcap.PACKET_HEADER_BYTES:
            length = pcap.file32(p + at + 8, self._order)
            if length > pcap.PACKET_MAX_BYTES:
                self._source.sender_length = 0
                self._reject(BAD_PACKET, length, False)
                self._mode = REFUSED
                return n
            if n - at - pcap.PACKET_HEADER_BYTES < length:
                return at
            self._packet(p + at + pcap.PACKET_HEADER_BYTES, length)
            at += pcap.PACKET_HEADER_BYTES + length
        return at

    cdef void _packet(self, const uint8_t *p, Py_ssize_t n) noexcept nogil:
        cdef pcap.Datagram datagram
        cdef pcap.Found found = pcap.find_datagram(self._link, p, n, &datagram)
        if found == pcap.OTHER:
            return
        self._from(&datagram)
        if found == pcap.UDP:
            self._datagram(datagram.data, datagram.length)
        elif found == pcap.FRAGMENT:
            self._reject(FRAGMENTED, 0, False)
        else:
            self._reject(SNAPPED, 0, False)

    cdef Py_ssize_t _concatenated(self, const uint8_t *p, Py_ssize_t n, bint final) noexcept nogil:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t length
        cdef Framing framing
        cdef int64_t latest_seconds = self.now // 1000000 + 86400
        while at < n:
            if self._is_lost:
                while n - at >= PLAUSIBLE_BYTES and not is_plausible(p + at, latest_seconds):
                    at += 1
                if n - at < PLAUSIBLE_BYTES:
                    return n if final else at
                self._is_lost = False
            framing = frame(p + at, n - at, final, &length)
            if framing == MORE:
                if final and be16(p + at) == 9 and length >= V9_HEADER_BYTES:
                    self._datagram(p + at, length)
                    at += length
                return at
            if length:
                self._datagram(p + at, length)
            if framing == BROKEN and n - at >= 4:
                self._reject_unframed(p + at, length)
            at += length
            if framing != WHOLE:
                self._is_lost = True
                at += 1 if length == 0 else 0
        return at

    cdef void _reject_unframed(self, const uint8_t *p, Py_ssize_t length) noexcept nogil:
        self._source.domain = 0
        if length:
            self._reject(BAD_SET, be16(p + length), False)
        elif be16(p) == 5:
            self._reject(BAD_COUNT, be16(p + 2), False)
        elif be16(p) == 10:
            self._reject(SHORT, be16(p + 2), False)
        else:
            self._reject(NOT_FLOW, be16(p), False)

    cdef void _from(self, const pcap.Datagram *datagram) noexcept nogil:
        self._source.sender_length = datagram.sender_length
        memcpy(self._source.sender, datagram.sender, datagram.sender_length)
        self._source.id = siphash(self._k0, self._k1, datagram.sender, datagram.sender_length)
        self._source.domain = 0

    # One datagram.

    cdef void _datagram(self, const uint8_t *p, Py_ssize_t n) noexcept nogil:
        cdef Export export
        cdef uint16_t version = be16(p) if n >= 2 else 0
        self._source.domain = 0
        self._source.version = version
        if not is_version(version):
            self._reject(NOT_FLOW, version, False)
            return
        if n < (V5_HEADER_BYTES if version == 5 else V9_HEADER_BYTES if version == 9 else IPFIX_HEADER_BYTES):
            self._reject(SHORT, n, False)
            return
        export.k0 = self._k0
        export.k1 = self._k1
        export.latest = self.now + FUTURE_US
        export.interval = 1
        export.has_uptime = version != 10
        export.uptime = be32(p + 4)
        export.time = <int64_t>be32(p + (4 if version == 10 else 8)) * 1000000
        if version == 5:
            self._version5(p, n, &export)
        elif version == 9:
            self._source.domain = be32(p + 16)
            self._sets(p + V9_HEADER_BYTES, n - V9_HEADER_BYTES, &export)
        else:
            self._source.domain = be32(p + 12)
            if be16(p + 2) < IPFIX_HEADER_BYTES or be16(p + 2) > n:
                self._reject(SHORT, n, False)
                return
            self._sets(p + IPFIX_HEADER_BYTES, be16(p + 2) - IPFIX_HEADER_BYTES, &export)

    cdef void _version5(self, const uint8_t *p, Py_ssize_t n, Export *export) noexcept nogil:
        cdef uint16_t count = be16(p + 2)
        if count == 0 or count > V5_RECORDS_MAX:
            self._reject(BAD_COUNT, count, False)
            return
        if n < V5_HEADER_BYTES + V5_RECORD_BYTES * count:
            self._reject(SHORT, n, False)
            return
        export.time += be32(p + 12) // 1000
        # Two bits of mode, which exporters leave 0 though they sample, then the interval.
        export.interval = max(be16(p + 22) & 0x3FFF, 1)
        self._fixed(&self._v5.c, p + V5_HEADER_BYTES, V5_RECORD_BYTES * count, export)

    cdef void _sets(self, const uint8_t *p, Py_ssize_t n, Export *export) noexcept nogil:
        cdef Py_ssize_t at = 0
        cdef uint16_t set_id, length
        cdef uint16_t templates = 0 if self._source.version == 9 else 2
        while n - at >= 4:
            set_id = be16(p + at)
            length = be16(p + at + 2)
            if set_id == 0 and length == 0:
                return
            if length < 4 or length > n - at:
                self._reject(BAD_SET, set_id, False)
                return
            if set_id > 255:
                self._data(set_id, p + at + 4, length - 4, export)
            elif set_id == templates or set_id == templates + 1:
                self._definitions(p + at + 4, length - 4, set_id == templates + 1)
            else:
                self._reject(BAD_SET, set_id, False)
            at += length

    # Data sets.

    cdef void _data(self, uint16_t set_id, const uint8_t *p, Py_ssize_t n, Export *export) noexcept nogil:
        cdef Template *t = self._find(key_of(&self._source, set_id))
        cdef uint64_t init_ms
        if t == NULL:
            self._reject(UNKNOWN_TEMPLATE, set_id, False)
            return
        if self._source.version == 10:
            init_ms = t.domain.init_ms
            export.has_uptime = init_ms != 0
            export.uptime = <uint32_t>(<uint64_t>(export.time // 1000) - init_ms)
        export.interval = max(t.domain.interval, 1)
        if not t.has_source and not t.is_options and not t.was_told and n >= t.length:
            t.was_told = True
            self._reject(NO_SOURCE, set_id, False)
        if t.steps != NULL:
            self._varying(t, set_id, p, n, export)
        else:
            self._fixed(t, p, n, export)

    cdef void _fixed(self, Template *t, const uint8_t *p, Py_ssize_t n, const Export *export) noexcept nogil:
        cdef Py_ssize_t count = n // t.length
        cdef Py_ssize_t i
        cdef Row *row
        if t.is_options:
            for i in range(count):
                learn_options(t, p + i * t.length, t.places)
            return
        if not t.has_source:
            self._records += count
            self._number += <uint32_t>count
            return
        if not self._room(count):
            return
        for i in range(count):
            self._number += 1
            row = &self._rows[self._length]
            row.line = self._number
            if decode(t, p + i * t.length, t.places, export, row):
                self._length += 1
            else:
                self._reject(IN_FUTURE, 0, True)
        self._records += count

    cdef void _varying(
        self, Template *t, uint16_t set_id, const uint8_t *p, Py_ssize_t n, const Export *export
    ) noexcept nogil:
        cdef Place places[SLOTS]
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t length
        while n - at >= t.length:
            length = locate(t, p + at, n - at, places)
            if length < 0:
                self._reject(BAD_RECORD, set_id, False)
                return
            if t.is_options:
                learn_options(t, p + at, places)
            else:
                self._number += 1
                self._records += 1
                if t.has_source:
                    if not self._room(1):
                        return
                    self._rows[self._length].line = self._number
                    if decode(t, p + at, places, export, &self._rows[self._length]):
                        self._length += 1
                    else:
                        self._reject(IN_FUTURE, 0, True)
            at += length

    # Template sets.

    cdef void _definitions(self, const uint8_t *p, Py_ssize_t n, bint is_options) noexcept nogil:
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t length
        while n - at >= 4:
            if be16(p + at) == 0:
                return
            length = self._definition(p + at, n - at, is_options)
            if length < 0:
                self._reject(BAD_TEMPLATE, be16(p + at), False)
                return
            at += length

    cdef Py_ssize_t _definition(self, const uint8_t *p, Py_ssize_t n, bint is_options) noexcept nogil:
        # One (options) template record; returns its length, -1 where it is malformed.
        cdef Field fields[FIELDS_MAX]
        cdef uint16_t template_id = be16(p)
        cdef uint32_t count = be16(p + 2)
        cdef uint32_t scopes = 0
        cdef uint32_t i
        cdef Py_ssize_t at = 4
        cdef bint is_v9 = self._source.version == 9
        if not is_v9 and count == 0:
            self._withdraw(template_id, is_options)
            return 4
        if template_id < 256:
            return -1
        if is_options:
            at = 6
            if n < at:
                return -1
            if is_v9:
                scopes = count // 4
                count = scopes + be16(p + 4) // 4
        if count > FIELDS_MAX:
            self._withdraw(template_id, is_options)
            return -1
        for i in range(count):
            if n - at < 4:
                return -1
            fields[i].element = be16(p + at)
            fields[i].length = be16(p + at + 2)
            at += 4
            if i < scopes:
                fields[i].element = IE_OTHER
            elif fields[i].element & 0x8000 and not is_v9:
                fields[i].element = IE_OTHER
                at += 4
                if at > n:
                    return -1
        return at if self._define(template_id, fields, count, is_options, p, at) else -1

    cdef bint _define(
        self, uint16_t template_id, const Field *fields, uint32_t count, bint is_options, const uint8_t *p, Py_ssize_t n
    ) noexcept nogil:
        cdef uint64_t key = key_of(&self._source, template_id)
        cdef uint64_t definition = siphash(self._k0, self._k1, p, n) ^ is_options
        cdef Template *known = self._find(key)
        cdef Template t
        cdef Step steps[FIELDS_MAX]
        if known != NULL and known.definition == definition:
            known.was_refreshed = True
            return True
        memset(&t, 0, sizeof(Template))
        t.definition = definition
        t.is_options = is_options
        if not compile_template(&t, fields, count, RULES, steps):
            self._withdraw(template_id, is_options)
            return False
        with gil:
            try:
                self._keep(key, &t)
            except MemoryError:
                self._no_memory = True
        return True

    # The templates known: a dictionary, and before it a cache that needs no GIL.

    cdef Cached *_cached(self, uint64_t exporter, uint64_t key) noexcept nogil:
        return &self._cache[((exporter ^ key) * <uint64_t>0x9E3779B97F4A7C15ULL) >> 52]

    cdef Template *_find(self, uint64_t key) noexcept nogil:
        cdef uint64_t exporter = self._source.id
        cdef Cached *cached = self._cached(exporter, key)
        if cached.template == NULL or cached.exporter != exporter or cached.key != key:
            with gil:
                return self._load(cached, exporter, key)
        return cached.template

    cdef Template *_load(self, Cached *cached, uint64_t exporter, uint64_t key) noexcept:
        cdef _Template found = self._templates.get((exporter, key))
        if found is None:
            return NULL
        cached.exporter = exporter
        cached.key = key
        cached.template = &found.c
        return cached.template

    cdef int _keep(self, uint64_t key, const Template *t) except -1:
        cdef uint64_t exporter = self._source.id
        cdef _Template kept = _Template()
        self._forget(exporter, key)
        kept.c = t[0]
        kept.c.steps = NULL
        if t.steps != NULL:
            kept.c.steps = <Step *>malloc(t.fields * sizeof(Step))
            if kept.c.steps == NULL:
                raise MemoryError
            memcpy(kept.c.steps, t.steps, t.fields * sizeof(Step))
        kept.domain = self._domain(exporter, key & ~<uint64_t>0xFFFF)
        kept.c.domain = &kept.domain.c
        own = self._by_exporter.setdefault(exporter, OrderedDict())
        if len(own) >= EXPORTER_TEMPLATES_MAX:
            self._drop_oldest(own, exporter)
        elif len(self._templates) >= TEMPLATES_MAX:
            self._drop_oldest(self._templates, None)
            own = self._by_exporter.setdefault(exporter, own)
        own[exporter, key] = None
        self._templates[exporter, key] = kept
        return 0

    cdef _Domain _domain(self, uint64_t exporter, uint64_t key):
        domain = self._domains.get((exporter, key))
        if domain is None:
            if len(self._domains) >= DOMAINS_MAX:
                self._domains.popitem(last=False)
            domain = self._domains[exporter, key] = _Domain()
        return domain

    cdef int _drop_oldest(self, order, exporter) except -1:
        # A template that was repeated since gets a second turn.
        cdef _Template oldest
        while True:
            place = next(iter(order))
            oldest = self._templates[place]
            if not oldest.c.was_refreshed:
                break
            oldest.c.was_refreshed = False
            order.move_to_end(place)
        self._forget(place[0], place[1])
        self.templates_dropped += 1
        return 0

    cdef int _forget(self, uint64_t exporter, uint64_t key) except -1:
        cdef Cached *cached = self._cached(exporter, key)
        if (exporter, key) not in self._templates:
            return 0
        if cached.exporter == exporter and cached.key == key:
            cached.template = NULL
        del self._templates[exporter, key]
        own = self._by_exporter[exporter]
        del own[exporter, key]
        if not own:
            del self._by_exporter[exporter]
        return 0

    cdef void _withdraw(self, uint16_t template_id, bint is_options) noexcept nogil:
        # RFC 7011 section 8.1; the id of a template set withdraws all of its kind in the domain.
        cdef uint64_t exporter = self._source.id
        cdef uint64_t key = key_of(&self._source, template_id)
        with gil:
            if template_id > 255:
                self._forget(exporter, key)
            else:
                self._forget_all(exporter, key >> 16, is_options)

    cdef int _forget_all(self, uint64_t exporter, uint64_t domain, bint is_options) except -1:
        cdef _Template known
        for place in list(self._by_exporter.get(exporter, ())):
            known = self._templates[place]
            if place[1] >> 16 == domain and known.c.is_options == is_options:
                self._forget(exporter, place[1])
        return 0
