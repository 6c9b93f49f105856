"""A template compiled to offsets, and one record decoded by it into a row: C only, for the flow parser.

Rules:

1. A value is loaded as the eight bytes that *end* where its field ends, masked to the field's length (reduced-size
   encoding, RFC 7011 section 6.2, costs nothing). A record never starts nearer than 16 bytes to its datagram's
   start, so the load stays inside; a field that the template lacks has mask 0.
2. Nothing here allocates, raises or needs the GIL.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from profiler.keyed cimport siphash
from profiler.row cimport Row


cdef extern from "endian.h" nogil:
    uint64_t be64toh(uint64_t)
    uint64_t htobe64(uint64_t)

cdef enum:
    FIELDS_MAX = 512  # of one template
    SELECTORS_MAX = 16  # of one observation domain
    IE_MAX = 512  # information elements that can have a rule
    IE_OTHER = 0xFFFF  # an enterprise's own: skipped
    VARIABLE = 0xFFFF
    NO_SLOT = 255
    EVENT_FLOW = 14
    REASON_PROTOCOL = 10
    PROTO_TCP = 6
    TCP_SYN = 0x02
    TCP_SYN_ACK = 0x12

cdef enum:  # slots: what a row needs of a record
    SRC4
    DST4
    PROTO
    SPORT
    DPORT
    PACKETS
    BYTES
    FLAGS
    END
    START
    DURATION
    INIT  # when the exporter's uptime was 0, ms since 1970
    INTERVAL  # sampling
    SPACE
    SELECTOR
    SRC6
    DST6
    SLOTS

cdef enum:  # units of a value
    NO_UNIT
    UPTIME_MS
    SECONDS
    MILLISECONDS
    NTP_MICROSECONDS
    NTP_NANOSECONDS
    BEFORE_EXPORT_US
    DURATION_MS
    DURATION_US
    INTERVAL_OF  # one packet in so many
    INTERVAL_RUN  # so many in a row, then SPACE are left out (RFC 5477 section 8.2)

cdef struct Rule:  # what an information element is to us
    uint8_t slot
    uint8_t rank  # of several fields for one slot the lowest wins, then the first
    uint8_t unit

cdef struct Field:
    uint16_t element
    uint16_t length

cdef struct Place:
    uint64_t mask  # for a 16-byte address: whether it is there
    int32_t offset  # from the record's start; of a number: 8 bytes before its end

cdef struct Step:
    uint16_t length
    uint8_t slot

cdef struct Domain:  # what options say for all templates of an observation domain
    uint64_t init_ms
    uint32_t interval
    uint32_t selectors
    uint32_t selector[SELECTORS_MAX]
    uint32_t selector_interval[SELECTORS_MAX]

cdef struct Template:
    uint64_t definition  # hash of it
    Domain *domain
    Step *steps  # NULL: every field has a fixed length
    uint32_t fields
    uint32_t length  # of a record; of the shortest where fields vary
    bint is_options
    bint has_source
    bint has_sampling
    bint was_told
    bint was_refreshed
    uint8_t end_unit
    uint8_t start_unit
    uint8_t duration_unit
    uint8_t interval_unit
    Place places[SLOTS]

cdef struct Export:  # what a record needs from outside itself
    int64_t time  # µs since 1970
    int64_t latest  # a later flow is refused
    uint64_t k0
    uint64_t k1
    uint32_t uptime  # ms, as of ``time``
    bint has_uptime
    uint32_t interval  # sampling, at least 1


cdef inline uint64_t number(const uint8_t *record, const Place *place) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, record + place.offset, 8)
    return be64toh(word) & place.mask


cdef inline bint put(Place *place, uint8_t slot, int32_t offset, uint16_t length) noexcept nogil:
    # False: the length does not suit the slot, the field stays unknown.
    if slot == SRC6 or slot == DST6:
        if length != 16:
            return False
        place.offset = offset
        place.mask = 1
        return True
    if length == 0 or length > 8 or ((slot == SRC4 or slot == DST4) and length != 4):
        return False
    place.offset = offset + length - 8
    place.mask = (<uint64_t>0xFFFFFFFFFFFFFFFFULL) >> (64 - 8 * length)
    return True


cdef inline void set_unit(Template *t, uint8_t slot, uint8_t unit) noexcept nogil:
    if slot == END:
        t.end_unit = unit
    elif slot == START:
        t.start_unit = unit
    elif slot == DURATION:
        t.duration_unit = unit
    elif slot == INTERVAL:
        t.interval_unit = unit


cdef inline bint compile_template(
    Template *t, const Field *fields, uint32_t count, const Rule *rules, Step *steps
) noexcept nogil:
    # Fills ``t``, and ``steps`` (one a field) where lengths vary; False: a record would have no length.
    cdef uint32_t best[SLOTS]
    cdef uint8_t rank[SLOTS]
    cdef uint64_t length = 0
    cdef uint32_t i
    cdef bint varies = False
    cdef Rule rule
    cdef Place place
    memset(rank, 255, SLOTS)
    for i in range(SLOTS):
        t.places[i].offset = -8
        t.places[i].mask = 0
    for i in range(count):
        steps[i].length = fields[i].length
        steps[i].slot = NO_SLOT
        if fields[i].element < IE_MAX:
            rule = rules[fields[i].element]
            if rule.slot != NO_SLOT and rule.rank < rank[rule.slot] and (
                fields[i].length == VARIABLE or put(&place, rule.slot, 0, fields[i].length)
            ):
                if rank[rule.slot] != 255:
                    steps[best[rule.slot]].slot = NO_SLOT
                rank[rule.slot] = rule.rank
                best[rule.slot] = i
                steps[i].slot = rule.slot
                set_unit(t, rule.slot, rule.unit)
        if fields[i].length == VARIABLE:
            varies = True
            length += 1
        else:
            length += fields[i].length
    if length == 0 or length > 65535:
        return False
    t.length = <uint32_t>length
    t.fields = count
    t.steps = steps if varies else NULL
    t.has_source = rank[SRC4] != 255 or rank[SRC6] != 255
    t.has_sampling = rank[INTERVAL] != 255 or rank[SELECTOR] != 255
    if not varies:
        length = 0
        for i in range(count):
            if steps[i].slot != NO_SLOT:
                put(&t.places[steps[i].slot], steps[i].slot, <int32_t>length, steps[i].length)
            length += steps[i].length
    return True


cdef inline Py_ssize_t locate(
    const Template *t, const uint8_t *record, Py_ssize_t room, Place *places
) noexcept nogil:
    # Fills ``places`` for one record of varying length and returns that length; -1: it runs past ``room``.
    cdef Py_ssize_t at = 0
    cdef uint32_t i
    cdef uint16_t length
    memcpy(places, t.places, sizeof(Place) * SLOTS)
    for i in range(t.fields):
        length = t.steps[i].length
        if length == VARIABLE:
            if at + 1 > room:
                return -1
            length = record[at]
            at += 1
            if length == 255:
                if at + 2 > room:
                    return -1
                length = <uint16_t>((record[at] << 8) | record[at + 1])
                at += 2
        if at + length > room:
            return -1
        if t.steps[i].slot != NO_SLOT:
            put(&places[t.steps[i].slot], t.steps[i].slot, <int32_t>at, length)
        at += length
    return at


cdef inline int64_t ntp_microseconds(uint64_t value) noexcept nogil:
    # RFC 7011 section 6.1.9; seconds below 2^31 belong to the era that starts in 2036 (RFC 4330 section 3).
    cdef int64_t seconds = <int64_t>(value >> 32)
    if seconds < 0x80000000LL:
        seconds += 0x100000000LL
    return (seconds - 2208988800LL) * 1000000 + <int64_t>(((value & 0xFFFFFFFFULL) * 1000000) >> 32)


cdef inline int64_t moment(uint8_t unit, uint64_t value, const Export *export, uint32_t uptime) noexcept nogil:
    # µs since 1970. Uptimes are compared as a circle of 2^32 ms: up to 24.8 days to either side.
    if unit == UPTIME_MS:
        return export.time - <int64_t>(<int32_t>(uptime - <uint32_t>value)) * 1000
    if unit == MILLISECONDS:
        return <int64_t>min(value, 0x1000000000000ULL) * 1000
    if unit == SECONDS:
        return <int64_t>min(value, 0x10000000000ULL) * 1000000
    if unit == NTP_MICROSECONDS or unit == NTP_NANOSECONDS:
        return ntp_microseconds(value)
    return export.time - <int64_t>min(value, 0x100000000ULL)


cdef inline uint32_t interval_by(uint8_t unit, uint64_t interval, uint64_t space) noexcept nogil:
    # How many packets one counted packet stands for; 0: not said.
    if unit == INTERVAL_RUN and space and interval:
        interval = (min(interval, 0xFFFFFFFFULL) + min(space, 0xFFFFFFFFULL)) // interval
    return <uint32_t>min(interval, 0xFFFFFFFFULL)


cdef inline uint32_t sampling_of(
    const Template *t, const uint8_t *record, const Place *places, uint32_t default
) noexcept nogil:
    cdef uint32_t interval = interval_by(
        t.interval_unit, number(record, &places[INTERVAL]), number(record, &places[SPACE])
    )
    cdef uint64_t selector
    cdef uint32_t i
    if interval:
        return interval
    if places[SELECTOR].mask:
        selector = number(record, &places[SELECTOR])
        for i in range(t.domain.selectors):
            if t.domain.selector[i] == selector:
                return t.domain.selector_interval[i]
    return default


cdef inline void learn_options(const Template *t, const uint8_t *record, const Place *places) noexcept nogil:
    cdef Domain *domain = t.domain
    cdef uint64_t init_ms = number(record, &places[INIT])
    cdef uint32_t interval = interval_by(
        t.interval_unit, number(record, &places[INTERVAL]), number(record, &places[SPACE])
    )
    cdef uint32_t selector, i
    if init_ms:
        domain.init_ms = init_ms
    if not interval:
        return
    domain.interval = interval
    if places[SELECTOR].mask:
        selector = <uint32_t>number(record, &places[SELECTOR])
        for i in range(SELECTORS_MAX):
            if i == domain.selectors:
                domain.selectors += 1
                domain.selector[i] = selector
            if domain.selector[i] == selector:
                domain.selector_interval[i] = interval
                return


cdef inline void set_addresses(
    const uint8_t *record, const Place *places, const Export *export, Row *row
) noexcept nogil:
    cdef uint64_t source = number(record, &places[SRC4])
    cdef uint64_t target[2]
    cdef uint64_t half[2]
    row.ip_hi = 0
    row.ip_lo = 0xFFFF00000000ULL | source
    if places[SRC6].mask and source == 0:
        memcpy(half, record + places[SRC6].offset, 16)
        row.ip_hi = be64toh(half[0])
        row.ip_lo = be64toh(half[1])
    target[0] = 0
    target[1] = htobe64(0xFFFF00000000ULL | number(record, &places[DST4]))
    if places[DST6].mask and (not places[DST4].mask or source == 0):
        memcpy(target, record + places[DST6].offset, 16)
    row.target = 0
    if places[DST6].mask or places[DST4].mask:
        row.target = siphash(export.k0, export.k1, <const unsigned char *>target, 16)


cdef inline bint decode(
    const Template *t, const uint8_t *record, const Place *places, const Export *export, Row *row
) noexcept nogil:
    # Fills all of ``row`` but its line; False: the flow lies in the future.
    cdef uint64_t last = number(record, &places[END])
    cdef uint64_t first = number(record, &places[START])
    cdef uint64_t volume = number(record, &places[BYTES])
    cdef uint64_t packets = number(record, &places[PACKETS])
    cdef uint64_t init_ms
    cdef uint32_t uptime = export.uptime
    cdef uint32_t interval = export.interval
    cdef bint has_uptime = export.has_uptime
    cdef int64_t start, duration = 0

    if places[INIT].mask:
        init_ms = number(record, &places[INIT])
        uptime = <uint32_t>(<uint64_t>(export.time // 1000) - init_ms)
        has_uptime = True
    if t.end_unit == UPTIME_MS and not has_uptime:
        uptime = <uint32_t>last  # so that the flow ended when it was exported
    if places[DURATION].mask:
        duration = <int64_t>min(number(record, &places[DURATION]), 0x1000000000000ULL)
        if t.duration_unit == DURATION_US:
            duration //= 1000
    row.time = export.time
    # Exporters write 0 for a time that they do not know.
    if t.end_unit and last:
        row.time = moment(t.end_unit, last, export, uptime)
        if t.start_unit and first:
            start = moment(t.start_unit, first, export, uptime)
            duration = (row.time - start) // 1000 if start < row.time else 0
    elif t.start_unit and first and (t.start_unit != UPTIME_MS or has_uptime):
        row.time = moment(t.start_unit, first, export, uptime) + duration * 1000
    if row.time > export.latest:
        return False
    row.duration = <uint32_t>min(duration, 0xFFFFFFFFLL)

    if t.has_sampling:
        interval = sampling_of(t, record, places, interval)
    if interval > 1:
        volume = volume * interval if volume <= 0xFFFFFFFFFFFFFFFFULL // interval else 0xFFFFFFFFFFFFFFFFULL
        packets = min(packets, 0xFFFFFFFFULL) * interval
    row.bytes = volume
    row.packets = <uint32_t>min(packets, 0xFFFFFFFFULL)

    set_addresses(record, places, export, row)
    row.queue = 0
    row.helo = 0
    row.sender = 0
    row.count = 1
    row.signs = 0
    row.recipients = 0
    row.sport = <uint16_t>number(record, &places[SPORT])
    row.dport = <uint16_t>number(record, &places[DPORT])
    row.event = EVENT_FLOW
    row.proto = <uint8_t>number(record, &places[PROTO])
    row.reason = (
        REASON_PROTOCOL
        if row.proto == PROTO_TCP and number(record, &places[FLAGS]) & TCP_SYN_ACK == TCP_SYN
        else 0
    )
    memset(row.spare, 0, 3)
    return True
