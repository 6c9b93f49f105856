# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A query's bytes and a view of the listings to the reply's bytes, without the GIL.

Rules:

1. No allocation, no socket, no clock: the caller gives the time and a buffer of at least 512 bytes.
2. What is no query (RFC 1035: shorter than a header, or a response) gets no reply. All else gets one: FORMERR
   with a bare header if it cannot be read whole, REFUSED outside our zones.
3. The question is echoed byte for byte, so the case of its letters survives.
4. A name with something below it is NODATA, never NXDOMAIN (RFC 8020, RFC 9156).
5. A reply that does not fit has TC and no record: never a part of an RRset (RFC 2181).

The twin in :mod:`dnsbl.wire.twin` says the same in plain words and is compared with this in the tests.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from dnsbl.wire.cookie cimport COOKIE_BYTES, Secret, is_length_allowed, is_ours, read_secret, write_cookie
from dnsbl.wire.rate cimport CODED, DROPPED, PASSED, take
from dnsbl.zone.snapshot cimport Record, Snapshots, View, any4, any6, find4, find6, reason_at

import ipaddress
from string import Template

from dnsbl.errors import ZoneError
from dnsbl.listing.codes import LAYER_NAMES

cdef extern from "arpa/inet.h" nogil:
    int AF_INET6
    const char *inet_ntop(int family, const void *source, char *target, unsigned int size)

EDNS_PAYLOAD_BYTES = UDP_CAP_BYTES
TEST_TEXT = "test entry (RFC 5782): always listed"

cdef enum:
    HEADER_BYTES = 12
    PLAIN_UDP_BYTES = 512
    OPT_BYTES = 11
    OPTION_HEAD_BYTES = 4
    EDE_BYTES = OPTION_HEAD_BYTES + 2
    ZONEVERSION_BYTES = OPTION_HEAD_BYTES + 6
    NSID_BYTES = 128
    NAME_BYTES = 255
    MAX_LABELS = 128
    MAX_HITS = 5
    MAX_SERVERS = 8
    MAX_ADDRESSES = 8
    TEXT_BYTES = 1024
    SOA_BYTES = 560
    ADDRESS_TEXT_BYTES = 48

    TYPE_A = 1
    TYPE_NS = 2
    TYPE_SOA = 6
    TYPE_TXT = 16
    TYPE_AAAA = 28
    TYPE_OPT = 41
    TYPE_IXFR = 251
    TYPE_AXFR = 252
    TYPE_ANY = 255
    OPTION_NSID = 3
    OPTION_COOKIE = 10
    OPTION_EDE = 15
    OPTION_ZONEVERSION = 19
    CLASS_IN = 1
    CLASS_CH = 3

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16

    # Extended errors (RFC 8914 §4); 0 stands for none here.
    NO_EDE = 0
    EDE_PROHIBITED = 18
    EDE_NOT_AUTHORITATIVE = 20

    AUTHORITATIVE = 0x04
    TRUNCATED = 0x02

    KIND_BLOCK = 0
    KIND_ALLOW = 1
    KIND_CLASS = 2

    OPERATOR = 0
    DYNAMIC_DECLARED = 2
    DYNAMIC_INFERRED = 3
    MTA = 4
    EXCLUDED = 5

    # In a compiled text: here goes the reason, the date, the address.
    MARK_REASON = 1
    MARK_SINCE = 2
    MARK_ADDRESS = 3

    TEST_LISTED = 0x7F000002
    ACCESS_CODE = 0x7FFFFFFE
    RATE_CODE = 0x7FFFFFFF
    KEY_LABEL_BYTES = 64

cdef uint64_t TEST6_LISTED = 0x0000FFFF7F000002

RCODES = {
    NOERROR: "NOERROR",
    FORMERR: "FORMERR",
    SERVFAIL: "SERVFAIL",
    NXDOMAIN: "NXDOMAIN",
    NOTIMP: "NOTIMP",
    REFUSED: "REFUSED",
    BADVERS: "BADVERS",
}

# Zones in the form that answering reads: one block without pointers, so that a snapshot can hold a copy.

cdef struct AnswerImage:
    uint32_t layer
    uint32_t code
    uint32_t ttl
    uint32_t text_length
    unsigned char text[TEXT_BYTES]

cdef struct ServerImage:
    uint32_t name_length
    unsigned char name[NAME_BYTES + 1]
    uint32_t ttl
    uint32_t count4
    unsigned char address4[MAX_ADDRESSES * 4]
    uint32_t count6
    unsigned char address6[MAX_ADDRESSES * 16]

cdef struct ZoneImage:
    uint32_t suffix_length
    unsigned char suffix[NAME_BYTES + 1]
    uint32_t slot
    uint32_t kind
    uint32_t dry_run
    uint32_t ttl
    uint32_t negative_ttl
    # Where the zone's prefixes and keys stand in the set's.
    uint32_t allow_at, allowed
    uint32_t key_at, keys
    uint32_t refused_with_code
    uint32_t test_code
    uint32_t soa_length
    uint32_t soa_serial_at
    # Where in ``soa`` pointers into the zone's name stand, and to which octet of it they point.
    uint32_t pointers
    uint32_t pointer_at[2]
    uint32_t pointer_to[2]
    unsigned char soa[SOA_BYTES]
    uint32_t servers
    uint32_t server[MAX_SERVERS]
    uint32_t answers
    AnswerImage answer[MAX_HITS]

cdef struct ZoneSet:
    uint32_t zones
    uint32_t servers
    uint32_t nsid_length
    uint32_t version_length
    uint32_t prefixes
    uint32_t keys
    Secret cookie
    unsigned char nsid[NSID_BYTES]
    unsigned char version[256]

cdef struct PrefixImage:
    uint32_t size
    uint32_t bits
    unsigned char address[16]

# A label of a key, in ascending order in a zone.
cdef struct KeyImage:
    unsigned char label[KEY_LABEL_BYTES]

cdef struct Query:
    int question_end
    int name_length
    int labels
    uint16_t type_
    uint16_t class_
    bint has_opt
    bint do
    bint wants_nsid
    bint wants_zoneversion
    int cookie_size  # 0: none
    unsigned char cookie[COOKIE_BYTES]
    int version
    int payload
    uint8_t label_at[MAX_LABELS]  # offsets into ``name``
    unsigned char name[NAME_BYTES + 1]  # in lower case

cdef struct Reply:
    unsigned char *out
    int at
    int limit
    bint overflow
    uint16_t answers
    uint16_t authority
    uint16_t additional
    uint16_t ede
    # Whose version to tell: the zone that answers.
    const ZoneImage *zone
    const Client *client
    uint32_t now

cdef struct Hit:
    const Record *record
    const AnswerImage *answer
    uint32_t code
    uint32_t ttl

# The address or part of one that a name spells below its zone.
cdef struct Spelled:
    int octets  # 1 to 4 if it can be IPv4, else 0
    int nibbles  # 1 to 32 if it can be IPv6, else 0
    uint32_t v4
    uint64_t hi
    uint64_t lo


cdef inline const ZoneImage *zones_of(const ZoneSet *zones) noexcept nogil:
    return <const ZoneImage *> (zones + 1)


cdef inline const ServerImage *servers_of(const ZoneSet *zones) noexcept nogil:
    return <const ServerImage *> (zones_of(zones) + zones.zones)


cdef inline const PrefixImage *prefixes_of(const ZoneSet *zones) noexcept nogil:
    return <const PrefixImage *> (servers_of(zones) + zones.servers)


cdef inline const KeyImage *keys_of(const ZoneSet *zones) noexcept nogil:
    return <const KeyImage *> (prefixes_of(zones) + zones.prefixes)


# Reading a query


cdef inline uint16_t get16(const unsigned char *at) noexcept nogil:
    return <uint16_t> (at[0] << 8 | at[1])


cdef bint read_question(const unsigned char *query, int length, Query *q) noexcept nogil:
    cdef int at = HEADER_BYTES
    cdef int size, i
    q.labels = 0
    while True:
        if at >= length:
            return False
        size = query[at]
        if not size:
            break
        # A pointer or an extended label has nothing to point to in a question's name.
        if size > 63 or at + 1 + size - HEADER_BYTES > NAME_BYTES - 1:
            return False
        q.label_at[q.labels] = <uint8_t> (at - HEADER_BYTES)
        q.labels += 1
        at += 1 + size
    at += 1
    if at + 4 > length:
        return False
    q.name_length = at - HEADER_BYTES
    q.type_ = get16(query + at)
    q.class_ = get16(query + at + 2)
    q.question_end = at + 4
    for i in range(q.name_length):
        # Octets of length are below 64, so they are no letters.
        q.name[i] = query[HEADER_BYTES + i] | (<unsigned char> 0x20 if 65 <= query[HEADER_BYTES + i] <= 90 else 0)
    return True


cdef int skip_name(const unsigned char *query, int length, int at) noexcept nogil:
    """Return where the name at ``at`` ends, or -1; a compression pointer ends it and is not followed."""
    while at < length:
        if not query[at]:
            return at + 1
        if query[at] >= 0xC0:
            return at + 2 if at + 2 <= length else -1
        if query[at] > 63:
            return -1
        at += 1 + query[at]
    return -1


cdef bint read_option(const unsigned char *option, int room, bint takes_cookies, Query *q) noexcept nogil:
    """Note one option, which has ``room`` octets at most; false if it breaks its own RFC."""
    cdef int code = get16(option)
    cdef int size = get16(option + 2)
    if OPTION_HEAD_BYTES + size > room:
        return False
    if code == OPTION_NSID:
        q.wants_nsid = True
    elif code == OPTION_COOKIE and not q.cookie_size and takes_cookies:
        if not is_length_allowed(size):
            return False
        q.cookie_size = size
        memcpy(q.cookie, option + OPTION_HEAD_BYTES, min(size, COOKIE_BYTES))
    elif code == OPTION_ZONEVERSION:
        q.wants_zoneversion = True
        # RFC 9660 §3.1: a question about the version has no data.
        return not size
    return True


cdef bint read_opt(
    const unsigned char *query, int owner, int at, int size, bint takes_cookies, Query *q
) noexcept nogil:
    """Read an OPT record whose fixed part begins at ``at``; false if it breaks RFC 6891."""
    cdef int option = at + 10
    cdef int end = option + size
    if q.has_opt or query[owner]:
        return False
    while option < end:
        if option + OPTION_HEAD_BYTES > end or not read_option(query + option, end - option, takes_cookies, q):
            return False
        option += OPTION_HEAD_BYTES + get16(query + option + 2)
    q.has_opt = True
    q.payload = get16(query + at + 2)
    q.version = query[at + 5]
    q.do = query[at + 6] >> 7
    return True


cdef bint read_records(const unsigned char *query, int length, bint takes_cookies, Query *q) noexcept nogil:
    """Walk over what follows the question; false unless it is whole, ends with the message and has one OPT."""
    cdef int at = q.question_end
    cdef int records = get16(query + 6) + get16(query + 8)
    cdef int additional = get16(query + 10)
    cdef int i, owner, size
    q.has_opt = False
    q.do = False
    q.wants_nsid = False
    q.wants_zoneversion = False
    q.cookie_size = 0
    q.version = 0
    q.payload = PLAIN_UDP_BYTES
    for i in range(records + additional):
        owner = at
        at = skip_name(query, length, at)
        if at < 0 or at + 10 > length:
            return False
        size = get16(query + at + 8)
        if at + 10 + size > length:
            return False
        if get16(query + at) == TYPE_OPT:
            if i < records or not read_opt(query, owner, at, size, takes_cookies, q):
                return False
        at += 10 + size
    return at == length


cdef const ZoneImage *zone_of(const ZoneSet *zones, const Query *q, int *labels) noexcept nogil:
    """Return the zone with the longest matching name; ``labels`` is how many labels stand before it."""
    cdef const ZoneImage *zone
    cdef uint32_t i
    cdef int start, label
    for i in range(zones.zones):
        zone = zones_of(zones) + i
        start = q.name_length - <int> zone.suffix_length
        if start < 0 or memcmp(q.name + start, zone.suffix, zone.suffix_length):
            continue
        for label in range(q.labels - 1, -1, -1):
            if q.label_at[label] == start:
                labels[0] = label
                return zone
    return NULL


cdef inline int octet(const unsigned char *label) noexcept nogil:
    """Return the value of a label of decimal digits without leading zeros, or -1."""
    cdef int value = 0
    cdef int i
    if label[0] > 3 or (label[0] > 1 and label[1] == c"0"):
        return -1
    for i in range(1, label[0] + 1):
        if not c"0" <= label[i] <= c"9":
            return -1
        value = value * 10 + (label[i] - c"0")
    return value if value < 256 else -1


cdef inline int nibble(const unsigned char *label) noexcept nogil:
    """Return the value of a label of one hexadecimal digit in lower case, or -1."""
    if label[0] != 1:
        return -1
    if c"0" <= label[1] <= c"9":
        return label[1] - c"0"
    if c"a" <= label[1] <= c"f":
        return label[1] - c"a" + 10
    return -1


cdef void spell(const Query *q, int labels, Spelled *s) noexcept nogil:
    """Read the ``labels`` before the zone, the most significant part last, as IPv4, as IPv6, or as both."""
    cdef int i, part
    s.octets = labels if labels <= 4 else 0
    s.nibbles = labels if labels <= 32 else 0
    s.v4 = 0
    s.hi = 0
    s.lo = 0
    if s.octets:
        for i in range(labels):
            part = octet(q.name + q.label_at[labels - 1 - i])
            if part < 0:
                s.octets = 0
                break
            s.v4 |= <uint32_t> part << (24 - 8 * i)
    if s.nibbles:
        for i in range(labels):
            part = nibble(q.name + q.label_at[labels - 1 - i])
            if part < 0:
                s.nibbles = 0
                break
            if i < 16:
                s.hi |= <uint64_t> part << (60 - 4 * i)
            else:
                s.lo |= <uint64_t> part << (124 - 4 * i)


# Who may ask


cdef bint is_in(const PrefixImage *prefix, const Client *client) noexcept nogil:
    cdef int whole = prefix.bits // 8
    cdef int rest = prefix.bits % 8
    if <int> prefix.size != client.size or memcmp(prefix.address, client.address, whole):
        return False
    return not rest or (prefix.address[whole] ^ client.address[whole]) >> (8 - rest) == 0


cdef bint is_allowed(const ZoneSet *zones, const ZoneImage *zone, const Client *client) noexcept nogil:
    cdef uint32_t i
    if not zone.allowed or not client.size:
        return True
    for i in range(zone.allow_at, zone.allow_at + zone.allowed):
        if is_in(prefixes_of(zones) + i, client):
            return True
    return False


cdef bint has_key(const ZoneSet *zones, const ZoneImage *zone, const unsigned char *label) noexcept nogil:
    """Whether a label, with its length before it, is one of the zone's keys."""
    cdef const KeyImage *keys = keys_of(zones) + zone.key_at
    cdef uint32_t low = 0
    cdef uint32_t high = zone.keys
    cdef uint32_t middle
    cdef int order
    while low < high:
        middle = (low + high) // 2
        # Of labels of different lengths the first octet decides.
        order = memcmp(keys[middle].label, label, label[0] + 1)
        if not order:
            return True
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return False


# Looking up


cdef inline const Record *find(
    const View *view, int layer, const Spelled *s, uint32_t now, bint hosts_only
) noexcept nogil:
    if s.octets == 4:
        return find4(view, layer, s.v4, now, hosts_only)
    return find6(view, layer, s.hi, now, hosts_only)


cdef int hits_of(const View *view, const ZoneImage *zone, const Spelled *s, uint32_t now, Hit *hits) noexcept nogil:
    """Fill ``hits`` with what the zone says of a whole address; return how many, 0 if it is not listed."""
    cdef const AnswerImage *answer
    cdef const Record *record
    cdef uint32_t i
    cdef int count = 0
    if zone.dry_run:
        return 0
    for i in range(zone.answers):
        answer = &zone.answer[i]
        record = find(view, answer.layer, s, now, False)
        if record:
            hits[count].record = record
            hits[count].answer = answer
            hits[count].code = answer.code + (record.trust if answer.layer == MTA else 0)
            count += 1
    if not count or zone.kind == KIND_ALLOW:
        return with_one_ttl(hits, count, now)
    if find(view, EXCLUDED, s, now, False):
        count = only_mta(hits, count)
    elif find(view, MTA, s, now, False):
        count = spare_mta(view, zone, s, now, hits, count)
    return with_one_ttl(hits, count, now)


cdef int only_mta(Hit *hits, int count) noexcept nogil:
    """Leave of an address that is never to be listed what speaks for it; return how many hits are left."""
    cdef int kept = 0
    cdef int i
    for i in range(count):
        if hits[i].answer.layer == MTA:
            hits[kept] = hits[i]
            kept += 1
    return kept


cdef int spare_mta(
    const View *view, const ZoneImage *zone, const Spelled *s, uint32_t now, Hit *hits, int count
) noexcept nogil:
    """Take off what must not be said of a legitimate mail server; return how many hits are left."""
    cdef int kept = 0
    cdef int i
    cdef uint32_t layer
    for i in range(count):
        layer = hits[i].answer.layer
        if zone.kind == KIND_BLOCK:
            if layer != OPERATOR:
                continue
        elif layer == DYNAMIC_DECLARED or layer == DYNAMIC_INFERRED:
            if not find(view, layer, s, now, True):
                continue
        hits[kept] = hits[i]
        kept += 1
    return kept


cdef int with_one_ttl(Hit *hits, int count, uint32_t now) noexcept nogil:
    """Give all hits the smallest TTL, which never passes a listing's end (RFC 2181 §5.2)."""
    cdef uint32_t ttl = <uint32_t> -1
    cdef int i
    for i in range(count):
        ttl = min(ttl, hits[i].answer.ttl)
        if hits[i].record.expires:
            ttl = min(ttl, hits[i].record.expires - now)
    for i in range(count):
        hits[i].ttl = ttl
    return count


cdef bint has_below(const View *view, const ZoneImage *zone, const Spelled *s) noexcept nogil:
    """Whether a name that spells a part of an address has a listing or a test point below it."""
    cdef uint32_t i
    cdef uint32_t mask4 = 0
    cdef uint64_t rest6 = 0
    cdef bint is_part4 = 0 < s.octets < 4
    cdef bint is_part6 = 0 < s.nibbles < 32
    if is_part4:
        mask4 = <uint32_t> -1 << (32 - 8 * s.octets)
        if TEST_LISTED & mask4 == s.v4:
            return True
    if is_part6:
        if s.nibbles <= 16:
            rest6 = 0 if s.nibbles == 16 else (<uint64_t> -1) >> (4 * s.nibbles)
            if not s.hi:
                return True
        elif not s.hi and (TEST6_LISTED >> (128 - 4 * s.nibbles)) == s.lo >> (128 - 4 * s.nibbles):
            return True
    if zone.dry_run:
        return False
    for i in range(zone.answers):
        if is_part4 and any4(view, zone.answer[i].layer, s.v4, s.v4 | ~mask4):
            return True
        if is_part6 and any6(view, zone.answer[i].layer, s.hi, s.hi | rest6):
            return True
    return False


cdef inline bint is_test_point(const Spelled *s) noexcept nogil:
    if s.octets == 4:
        return s.v4 == TEST_LISTED
    return s.nibbles == 32 and not s.hi and s.lo == TEST6_LISTED


cdef inline bint is_test_blank(const Spelled *s) noexcept nogil:
    """Whether this is an address that no list may hold (RFC 5782 §5)."""
    if s.octets == 4:
        return s.v4 == TEST_LISTED - 1
    return s.nibbles == 32 and not s.hi and s.lo == TEST6_LISTED - 1


cdef const ServerImage *server_named(const ZoneSet *zones, const Query *q, bint *is_above) noexcept nogil:
    """Return the name server of this name; ``is_above`` tells whether the name stands above one."""
    cdef const ServerImage *server
    cdef uint32_t i
    cdef int start
    is_above[0] = False
    for i in range(zones.servers):
        server = servers_of(zones) + i
        start = <int> server.name_length - q.name_length
        if start < 0 or memcmp(server.name + start, q.name, q.name_length):
            continue
        if start == 0:
            return server
        if on_label(server.name, start):
            is_above[0] = True
    return NULL


cdef bint on_label(const unsigned char *name, int start) noexcept nogil:
    cdef int at = 0
    while at < start:
        at += 1 + name[at]
    return at == start


# Writing a reply


cdef inline void put16(Reply *r, uint16_t value) noexcept nogil:
    r.out[r.at] = <unsigned char> (value >> 8)
    r.out[r.at + 1] = <unsigned char> value
    r.at += 2


cdef inline void put32(Reply *r, uint32_t value) noexcept nogil:
    put16(r, <uint16_t> (value >> 16))
    put16(r, <uint16_t> value)


cdef inline bint has_room(Reply *r, int size) noexcept nogil:
    if r.at + size > r.limit:
        r.overflow = True
    return not r.overflow


cdef inline void put(Reply *r, const unsigned char *bytes_, int size) noexcept nogil:
    if has_room(r, size):
        memcpy(r.out + r.at, bytes_, size)
        r.at += size


cdef inline void put_fixed(Reply *r, int owner, uint16_t type_, uint32_t ttl, int size) noexcept nogil:
    """Begin a record whose owner's name stands at ``owner``, if the record with ``size`` octets of data fits."""
    if has_room(r, 12 + size):
        put16(r, <uint16_t> (0xC000 | owner))
        put16(r, type_)
        put16(r, CLASS_IN)
        put32(r, ttl)
        put16(r, <uint16_t> size)


cdef void put_a(Reply *r, const Hit *hits, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        put_fixed(r, HEADER_BYTES, TYPE_A, hits[i].ttl, 4)
        if r.overflow:
            return
        put32(r, hits[i].code)
        r.answers += 1


cdef void put_text(Reply *r, uint32_t ttl, const unsigned char *text, int size) noexcept nogil:
    """Add a TXT record, its text cut into strings of at most 255 octets."""
    cdef int part
    cdef unsigned char length
    put_fixed(r, HEADER_BYTES, TYPE_TXT, ttl, size + (size + 254) // 255)
    while size > 0 and not r.overflow:
        part = min(size, 255)
        length = <unsigned char> part
        put(r, &length, 1)
        put(r, text, part)
        text += part
        size -= part
    r.answers += 1


cdef int put_digits(unsigned char *at, uint32_t value, int width) noexcept nogil:
    cdef int i
    for i in range(width - 1, -1, -1):
        at[i] = <unsigned char> (c"0" + value % 10)
        value //= 10
    return width


cdef int put_date(unsigned char *at, uint32_t seconds) noexcept nogil:
    """Write YYYY-MM-DD HH:MM UTC; the day to its date as in H. Hinnant's "days from civil", reversed."""
    cdef uint32_t day = seconds // 86400 + 719468
    cdef uint32_t minute = seconds % 86400 // 60
    cdef uint32_t era = day // 146097
    cdef uint32_t of_era = day - era * 146097
    cdef uint32_t year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    cdef uint32_t of_year = of_era - (365 * year + year // 4 - year // 100)
    cdef uint32_t shifted = (5 * of_year + 2) // 153
    cdef uint32_t month = shifted + 3 if shifted < 10 else shifted - 9
    put_digits(at, year + era * 400 + (1 if month <= 2 else 0), 4)
    at[4] = c"-"
    put_digits(at + 5, month, 2)
    at[7] = c"-"
    put_digits(at + 8, of_year - (153 * shifted + 2) // 5 + 1, 2)
    at[10] = c" "
    put_digits(at + 11, minute // 60, 2)
    at[13] = c":"
    put_digits(at + 14, minute % 60, 2)
    memcpy(at + 16, b" UTC", 4)
    return 20


cdef int put_address(unsigned char *at, const Spelled *s) noexcept nogil:
    cdef unsigned char raw[16]
    cdef char text[ADDRESS_TEXT_BYTES]
    cdef int i
    cdef int size = 0
    cdef uint32_t part
    if s.octets == 4:
        for i in range(4):
            part = (s.v4 >> (24 - 8 * i)) & 255
            size += put_digits(at + size, part, 3 if part > 99 else 2 if part > 9 else 1)
            if i < 3:
                at[size] = c"."
                size += 1
        return size
    for i in range(8):
        raw[i] = <unsigned char> (s.hi >> (56 - 8 * i))
        raw[8 + i] = <unsigned char> (s.lo >> (56 - 8 * i))
    inet_ntop(AF_INET6, raw, text, ADDRESS_TEXT_BYTES)
    while text[size]:
        at[size] = <unsigned char> text[size]
        size += 1
    return size


cdef void put_txt(Reply *r, const View *view, const Hit *hits, int count, const Spelled *s) noexcept nogil:
    # A compiled text is at most TEXT_BYTES long and each octet of it can be a mark for at most 120 octets; what
    # passes this buffer could not be sent anyway.
    cdef unsigned char text[4 * TEXT_BYTES]
    cdef const AnswerImage *answer
    cdef const unsigned char *reason
    cdef int i, size
    cdef uint32_t j
    for i in range(count):
        answer = hits[i].answer
        reason = reason_at(view, hits[i].record.reason)
        size = 0
        for j in range(answer.text_length):
            if size > 4 * TEXT_BYTES - 256:
                r.overflow = True
                return
            if answer.text[j] == MARK_REASON:
                memcpy(text + size, reason + 1, reason[0])
                size += reason[0]
            elif answer.text[j] == MARK_SINCE:
                size += put_date(text + size, hits[i].record.since)
            elif answer.text[j] == MARK_ADDRESS:
                size += put_address(text + size, s)
            else:
                text[size] = answer.text[j]
                size += 1
        put_text(r, hits[i].ttl, text, size)


cdef void put_soa(Reply *r, const View *view, const ZoneImage *zone, int apex, uint32_t ttl) noexcept nogil:
    cdef unsigned char *data
    cdef uint32_t i
    cdef int to
    put_fixed(r, apex, TYPE_SOA, ttl, zone.soa_length)
    if r.overflow:
        return
    data = r.out + r.at
    memcpy(data, zone.soa, zone.soa_length)
    for i in range(zone.pointers):
        to = 0xC000 | (apex + <int> zone.pointer_to[i])
        data[zone.pointer_at[i]] = <unsigned char> (to >> 8)
        data[zone.pointer_at[i] + 1] = <unsigned char> to
    r.at += zone.soa_serial_at
    put32(r, view.serial)
    r.at += zone.soa_length - zone.soa_serial_at - 4


cdef void put_negative(Reply *r, const View *view, const ZoneImage *zone, int apex) noexcept nogil:
    """Add the SOA that says how long a resolver may remember the answer (RFC 2308 §5)."""
    put_soa(r, view, zone, apex, min(zone.ttl, zone.negative_ttl))
    r.authority += 1


cdef void put_addresses(
    Reply *r, int owner, const ServerImage *server, uint16_t type_, uint16_t *counter
) noexcept nogil:
    cdef const unsigned char *address = &server.address4[0] if type_ == TYPE_A else &server.address6[0]
    cdef uint32_t count = server.count4 if type_ == TYPE_A else server.count6
    cdef int size = 4 if type_ == TYPE_A else 16
    cdef uint32_t i
    for i in range(count):
        put_fixed(r, owner, type_, server.ttl, size)
        put(r, address + size * i, size)
        counter[0] += 1


cdef void put_servers(Reply *r, const ZoneSet *zones, const ZoneImage *zone, int apex) noexcept nogil:
    """Add the NS records and, where it fits, the addresses of those servers whose name is in the zone."""
    cdef const ServerImage *server
    cdef int name_at[MAX_SERVERS]
    cdef uint32_t i
    cdef int start, mark
    for i in range(zone.servers):
        server = servers_of(zones) + zone.server[i]
        put_fixed(r, apex, TYPE_NS, zone.ttl, server.name_length)
        name_at[i] = r.at
        put(r, server.name, server.name_length)
        r.answers += 1
    if r.overflow:
        return
    mark = r.at
    for i in range(zone.servers):
        server = servers_of(zones) + zone.server[i]
        start = <int> server.name_length - <int> zone.suffix_length
        if start <= 0 or memcmp(server.name + start, zone.suffix, zone.suffix_length):
            continue
        if not on_label(server.name, start) or name_at[i] > 0x3FFF:
            continue
        put_addresses(r, name_at[i], server, TYPE_A, &r.additional)
        put_addresses(r, name_at[i], server, TYPE_AAAA, &r.additional)
    if r.overflow:
        # Addresses are a courtesy here: the servers themselves are the answer.
        r.overflow = False
        r.at = mark
        r.additional = 0


# The life of a query


cdef int answer_chaos(const ZoneSet *zones, const Query *q, Reply *r) noexcept nogil:
    """Answer version.bind and id.server in class CHAOS (RFC 4892); return the rcode."""
    cdef const unsigned char *text
    cdef uint32_t size
    cdef unsigned char length
    if q.class_ != CLASS_CH or (q.type_ != TYPE_TXT and q.type_ != TYPE_ANY):
        return REFUSED
    if q.name_length == 14 and not memcmp(q.name, b"\x07version\x04bind", 14):
        text, size = zones.version, zones.version_length
    elif q.name_length == 11 and not memcmp(q.name, b"\x02id\x06server", 11):
        text, size = zones.nsid, zones.nsid_length
    else:
        return REFUSED
    if not size:
        return REFUSED
    length = <unsigned char> size
    if not has_room(r, 13 + size):
        return NOERROR
    put(r, b"\xc0\x0c\x00\x10\x00\x03\x00\x00\x00\x00", 10)
    put16(r, <uint16_t> (size + 1))
    put(r, &length, 1)
    put(r, text, size)
    r.answers += 1
    r.out[2] |= AUTHORITATIVE
    return NOERROR


cdef bint put_code(const ZoneImage *zone, int labels, const Query *q, uint32_t code, Reply *r) noexcept nogil:
    """Answer a question for the A record of an address with an error's code; false if it is no such question."""
    cdef Spelled spelled
    if q.type_ != TYPE_A and q.type_ != TYPE_ANY:
        return False
    spell(q, labels, &spelled)
    if spelled.octets != 4 and spelled.nibbles != 32:
        return False
    put_fixed(r, HEADER_BYTES, TYPE_A, zone.negative_ttl, 4)
    if not r.overflow:
        put32(r, code)
        r.answers += 1
    r.out[2] |= AUTHORITATIVE
    return True


cdef int refuse_access(const ZoneImage *zone, int labels, const Query *q, Reply *r) noexcept nogil:
    """Answer a client that may not ask this zone; return the rcode."""
    r.ede = EDE_PROHIBITED
    if zone.refused_with_code and put_code(zone, labels, q, ACCESS_CODE, r):
        return NOERROR
    r.zone = NULL
    return REFUSED


cdef void answer_apex(
    const View *view, const ZoneSet *zones, const ZoneImage *zone, const Query *q, Reply *r
) noexcept nogil:
    if q.type_ == TYPE_SOA or q.type_ == TYPE_ANY:
        put_soa(r, view, zone, HEADER_BYTES, zone.ttl)
        r.answers += 1
    elif q.type_ == TYPE_NS:
        put_servers(r, zones, zone, HEADER_BYTES)
    if not r.answers and not r.overflow:
        put_negative(r, view, zone, HEADER_BYTES)


cdef void answer_server(const ServerImage *server, const Query *q, Reply *r) noexcept nogil:
    """Answer for a name server's own name; ANY gets one RRset (RFC 8482)."""
    if q.type_ == TYPE_A or (q.type_ == TYPE_ANY and server.count4):
        put_addresses(r, HEADER_BYTES, server, TYPE_A, &r.answers)
    elif q.type_ == TYPE_AAAA or q.type_ == TYPE_ANY:
        put_addresses(r, HEADER_BYTES, server, TYPE_AAAA, &r.answers)


cdef int answer_below(
    const View *view,
    const ZoneSet *zones,
    const ZoneImage *zone,
    int labels,
    int apex,
    const Query *q,
    uint32_t now,
    Reply *r,
) noexcept nogil:
    """Answer for a name of ``labels`` before the zone's name (and key); return the rcode."""
    cdef Spelled spelled
    cdef Hit hits[MAX_HITS]
    cdef const ServerImage *server
    cdef int count = 0
    cdef bint exists = False
    spell(q, labels, &spelled)
    if is_test_point(&spelled):
        answer_test_point(zone, q, r)
        exists = True
    elif (spelled.octets == 4 or spelled.nibbles == 32) and not is_test_blank(&spelled):
        count = hits_of(view, zone, &spelled, now, hits)
        exists = count > 0
    if count and (q.type_ == TYPE_A or q.type_ == TYPE_ANY):
        put_a(r, hits, count)
    elif count and q.type_ == TYPE_TXT:
        put_txt(r, view, hits, count, &spelled)
    if not exists:
        server = server_named(zones, q, &exists)
        if server:
            answer_server(server, q, r)
            exists = True
        elif not exists and (spelled.octets or spelled.nibbles):
            exists = has_below(view, zone, &spelled)
    if not r.answers and not r.overflow:
        put_negative(r, view, zone, apex)
    return NOERROR if exists else NXDOMAIN


cdef void answer_test_point(const ZoneImage *zone, const Query *q, Reply *r) noexcept nogil:
    if q.type_ == TYPE_A or q.type_ == TYPE_ANY:
        put_fixed(r, HEADER_BYTES, TYPE_A, zone.ttl, 4)
        if not r.overflow:
            put32(r, zone.test_code)
            r.answers += 1
    elif q.type_ == TYPE_TXT:
        put_text(r, zone.ttl, test_text, test_text_length)


cdef int answer_question(
    const View *view, const Query *q, uint32_t now, Reply *r, Outcome *outcome
) noexcept nogil:
    """Answer one whole question; return the rcode. AA is set in the reply's header where it is deserved."""
    cdef const ZoneSet *zones = <const ZoneSet *> view.zones
    cdef const ZoneImage *zone
    cdef const ServerImage *server
    cdef bint is_above = False
    cdef int labels = 0
    cdef int below
    if not zones:
        return REFUSED
    if q.class_ != CLASS_IN:
        return answer_chaos(zones, q, r)
    if q.type_ == TYPE_AXFR or q.type_ == TYPE_IXFR:
        return REFUSED
    zone = zone_of(zones, q, &labels)
    if not zone:
        server = server_named(zones, q, &is_above)
        if not server:
            r.ede = EDE_NOT_AUTHORITATIVE
            return REFUSED
        r.out[2] |= AUTHORITATIVE
        answer_server(server, q, r)
        return NOERROR
    outcome.slot = zone.slot
    r.zone = zone
    if zone.allowed and not is_allowed(zones, zone, r.client):
        return refuse_access(zone, labels, q, r)
    below = labels
    if zone.keys and labels and not server_named(zones, q, &is_above) and not is_above:
        below -= 1
        if not has_key(zones, zone, q.name + q.label_at[below]):
            r.ede = EDE_PROHIBITED
            r.zone = NULL
            return REFUSED
    r.out[2] |= AUTHORITATIVE
    if not labels:
        answer_apex(view, zones, zone, q, r)
        return NOERROR
    if not below:
        # All addresses stand below a key.
        put_negative(r, view, zone, HEADER_BYTES + q.label_at[labels])
        return NOERROR
    return answer_below(view, zones, zone, below, HEADER_BYTES + q.label_at[labels], q, now, r)


cdef int option_bytes(const ZoneSet *zones, const Query *q) noexcept nogil:
    """Return how long the OPT record is at most; an extended error comes with no records that need room."""
    cdef int size = OPT_BYTES
    if q.wants_nsid and zones.nsid_length:
        size += OPTION_HEAD_BYTES + <int> zones.nsid_length
    if q.wants_zoneversion:
        size += ZONEVERSION_BYTES
    if q.cookie_size:
        size += OPTION_HEAD_BYTES + COOKIE_BYTES
    return size


cdef void write_opt(Reply *r, const View *view, const Query *q, int rcode) noexcept nogil:
    """Add the OPT record (RFC 6891) with its options; there is room for it."""
    cdef const ZoneSet *zones = <const ZoneSet *> view.zones
    cdef int labels = 0
    cdef int at, length_at
    r.out[r.at] = 0
    r.at += 1
    put16(r, TYPE_OPT)
    put16(r, UDP_CAP_BYTES)
    put16(r, <uint16_t> (rcode >> 4 << 8))
    put16(r, 0x8000 if q.do else 0)
    length_at = r.at
    r.at += 2
    if q.wants_nsid and zones.nsid_length:
        put16(r, OPTION_NSID)
        put16(r, <uint16_t> zones.nsid_length)
        memcpy(r.out + r.at, zones.nsid, zones.nsid_length)
        r.at += zones.nsid_length
    if q.cookie_size:
        put16(r, OPTION_COOKIE)
        put16(r, COOKIE_BYTES)
        write_cookie(&zones.cookie, q.cookie, r.client.address, r.client.size, r.now, r.out + r.at)
        r.at += COOKIE_BYTES
    if q.wants_zoneversion and r.zone:
        at = 0
        while r.zone.suffix[at]:
            at += 1 + r.zone.suffix[at]
            labels += 1
        put16(r, OPTION_ZONEVERSION)
        put16(r, ZONEVERSION_BYTES - OPTION_HEAD_BYTES)
        # Labels of the zone's name, then the kind of version: 0, the SOA's serial.
        put16(r, <uint16_t> (labels << 8))
        put32(r, view.serial)
    if r.ede != NO_EDE:
        put16(r, OPTION_EDE)
        put16(r, EDE_BYTES - OPTION_HEAD_BYTES)
        put16(r, r.ede)
    r.out[length_at] = <unsigned char> ((r.at - length_at - 2) >> 8)
    r.out[length_at + 1] = <unsigned char> (r.at - length_at - 2)
    r.additional += 1


cdef bint limit(const ZoneSet *zones, const Query *q, Reply *r, Outcome *outcome) noexcept nogil:
    """Say what is due to a client beyond its limit, ``outcome.limited``; false if that is nothing."""
    cdef const ZoneImage *zone
    cdef int labels = 0
    if r.client.rates.with_code and zones and q.class_ == CLASS_IN:
        zone = zone_of(zones, q, &labels)
        if zone and zone.keys and labels:
            labels -= 1
        if zone and put_code(zone, labels, q, RATE_CODE, r):
            outcome.slot = zone.slot
            outcome.limited = CODED
            return True
    if outcome.limited == DROPPED:
        return False
    r.overflow = True
    return True


cdef bint is_known(const ZoneSet *zones, const Query *q, const Client *client, uint32_t now) noexcept nogil:
    """Whether a cookie of ours shows that the client is where it says."""
    return q.cookie_size and is_ours(&zones.cookie, q.cookie, q.cookie_size, client.address, client.size, now)


cdef int finish(Reply *r, const View *view, const Query *q, int rcode, Outcome *outcome) noexcept nogil:
    """Write the header's counts and the OPT record; return the reply's length."""
    cdef int end
    outcome.rcode = rcode
    if r.overflow:
        r.at = q.question_end
        r.answers = r.authority = r.additional = 0
        r.out[2] |= TRUNCATED
    if q.has_opt:
        write_opt(r, view, q, rcode)
    end = r.at
    r.out[3] = rcode & 15
    r.at = 4
    put16(r, 1)
    put16(r, r.answers)
    put16(r, r.authority)
    put16(r, r.additional)
    return end


cdef int refuse_header(unsigned char *out, int rcode, Outcome *outcome) noexcept nogil:
    """Write a reply of a bare header; return its length."""
    outcome.rcode = rcode
    out[3] = <unsigned char> rcode
    memset(out + 4, 0, 8)
    return HEADER_BYTES


cdef int answer(
    const unsigned char *query,
    int length,
    const View *view,
    const Client *client,
    uint32_t now,
    unsigned char *out,
    int cap,
    bint is_tcp,
    Outcome *outcome,
) noexcept nogil:
    """Write the reply to ``query`` into ``out`` and return its length; 0: it deserves none.

    ``now`` is in seconds since 1970; ``cap``, the room in ``out``, is at least 512 octets and over UDP bounds the
    reply together with what the client takes (RFC 6891 §6.2.5).
    """
    cdef Query q
    cdef Reply r
    cdef int rcode
    cdef const ZoneSet *zones = <const ZoneSet *> view.zones
    outcome.slot = NO_ZONE
    outcome.limited = PASSED
    if length < HEADER_BYTES or query[2] & 0x80:
        return 0
    out[0] = query[0]
    out[1] = query[1]
    out[2] = 0x80 | (query[2] & 0x79)
    q.has_opt = False
    q.cookie_size = 0
    if get16(query + 4) != 1 or not read_question(query, length, &q):
        return refuse_header(out, NOTIMP if query[2] & 0x78 else FORMERR, outcome)
    memset(&r, 0, sizeof(Reply))
    r.out = out
    r.client = client
    r.now = now
    r.at = q.question_end
    if query[2] & 0x78:
        memcpy(out + HEADER_BYTES, query + HEADER_BYTES, q.question_end - HEADER_BYTES)
        return finish(&r, view, &q, NOTIMP, outcome)
    if not read_records(query, length, zones and zones.cookie.is_on, &q):
        return refuse_header(out, FORMERR, outcome)
    memcpy(out + HEADER_BYTES, query + HEADER_BYTES, q.question_end - HEADER_BYTES)
    r.limit = cap if is_tcp else min(max(q.payload, PLAIN_UDP_BYTES), cap)
    if q.has_opt:
        r.limit -= option_bytes(zones, &q)
    if client.rates and not is_known(zones, &q, client, now):
        outcome.limited = take(client.rates, client.address, client.size, now)
        if outcome.limited != PASSED:
            return finish(&r, view, &q, NOERROR, outcome) if limit(zones, &q, &r, outcome) else 0
    rcode = answer_question(view, &q, now, &r, outcome) if not q.version else BADVERS
    return finish(&r, view, &q, rcode, outcome)


def reply(
    Snapshots snapshots not None, const unsigned char[::1] query, bytes client not None, uint32_t now, bint is_tcp
):
    """Return (reply or None, the zone's slot, the rcode) for one query, from the current view.

    ``client`` is the packed address of who asks; empty: the server itself, which is refused nothing.
    For callers with the GIL: it is held throughout, so the view stays (rule 3 of :mod:`dnsbl.zone.snapshot`).
    """
    cdef unsigned char out[65535]
    cdef Outcome outcome
    cdef Client who
    cdef int length
    memset(&who, 0, sizeof(Client))
    who.size = min(<int> len(client), 16)
    memcpy(who.address, <const unsigned char *> client, who.size)
    if not query.shape[0] or query.shape[0] > 65535:
        return None, NO_ZONE, NOERROR
    length = answer(
        &query[0],
        <int> query.shape[0],
        snapshots.current,
        &who,
        now,
        out,
        65535 if is_tcp else UDP_CAP_BYTES,
        is_tcp,
        &outcome,
    )
    if not length:
        return None, NO_ZONE, NOERROR
    return out[:length], outcome.slot, outcome.rcode


# Compiling zones

cdef bytes _test_text = TEST_TEXT.encode("ascii")
cdef const unsigned char *test_text = _test_text
cdef int test_text_length = len(_test_text)

_KINDS = {"block": KIND_BLOCK, "allow": KIND_ALLOW, "class": KIND_CLASS}


def wire_name(str name not None):
    """Return an absolute name in wire format, in lower case."""
    labels = [label.encode("ascii") for label in name.rstrip(".").lower().split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def compile_zones(zones, str public_url not None, slots, manners):
    """Return the zones in the form that :func:`answer` reads; ``slots`` numbers them for the counters, from 1.

    ``manners`` (:class:`dnsbl.zone.manners.Manners`) hold for all of them.

    Raises:
        ZoneError: a zone has more, or longer texts, than fits.
    """
    servers = {}
    ttls = {}
    for zone in zones:
        for server in zone.nameservers:
            name = wire_name(server.name)
            ttls[name] = min(zone.ttl, ttls.get(name, zone.ttl))
            known = servers.setdefault(name, {})
            known.update(dict.fromkeys(ipaddress.ip_address(address) for address in server.addresses))
    ordered = sorted(zones, key=lambda zone: -len(wire_name(zone.origin)))
    cdef bytearray block = bytearray(
        sizeof(ZoneSet) + len(ordered) * sizeof(ZoneImage) + len(servers) * sizeof(ServerImage)
        + sum(len(zone.access.allow) for zone in ordered) * sizeof(PrefixImage)
        + sum(len(zone.access.keys) for zone in ordered) * sizeof(KeyImage)
    )
    cdef ZoneSet *head = <ZoneSet *> <unsigned char *> block
    cdef ZoneImage *image = <ZoneImage *> (head + 1)
    cdef ServerImage *server_image = <ServerImage *> (image + len(ordered))
    head.zones = len(ordered)
    head.servers = len(servers)
    _compile_manners(head, manners)
    numbers = {name: number for number, name in enumerate(servers)}
    cdef int i
    for i, zone in enumerate(ordered):
        _compile_zone(&image[i], zone, public_url, slots[zone.origin], numbers)
    cdef PrefixImage *prefixes = <PrefixImage *> (server_image + len(servers))
    cdef uint32_t prefix_count = sum(len(zone.access.allow) for zone in ordered)
    for i, zone in enumerate(ordered):
        _compile_access(head, &image[i], zone.access, prefixes, <KeyImage *> (prefixes + prefix_count))
    for i, (name, addresses) in enumerate(servers.items()):
        _compile_server(&server_image[i], name, ttls[name], list(addresses))
    return bytes(block)


cdef _compile_manners(ZoneSet *head, manners):
    cdef bytes nsid = manners.nsid
    cdef bytes version = manners.version
    head.nsid_length = len(nsid)
    memcpy(head.nsid, <const unsigned char *> nsid, len(nsid))
    head.version_length = len(version)
    memcpy(head.version, <const unsigned char *> version, len(version))
    if manners.cookie_secret:
        read_secret(manners.cookie_secret, manners.cookie_rotates, &head.cookie)


cdef _compile_access(ZoneSet *head, ZoneImage *image, access, PrefixImage *prefixes, KeyImage *keys):
    """Add a zone's prefixes and keys to those of the set."""
    cdef PrefixImage *prefix
    cdef bytes packed
    image.refused_with_code = access.refused_with_code
    image.allow_at = head.prefixes
    image.allowed = len(access.allow)
    for text in access.allow:
        network = ipaddress.ip_network(text)
        packed = network.network_address.packed
        prefix = &prefixes[head.prefixes]
        prefix.size = len(packed)
        prefix.bits = network.prefixlen
        memcpy(prefix.address, <const unsigned char *> packed, len(packed))
        head.prefixes += 1
    image.key_at = head.keys
    image.keys = len(access.keys)
    for packed in sorted(bytes([len(key)]) + key.encode("ascii") for key in access.keys):
        memcpy(keys[head.keys].label, <const unsigned char *> packed, len(packed))
        head.keys += 1


cdef _compile_zone(ZoneImage *image, zone, str public_url, uint32_t slot, dict server_numbers):
    cdef bytes suffix = wire_name(zone.origin)
    cdef int i
    memcpy(image.suffix, <const unsigned char *> suffix, len(suffix))
    image.suffix_length = len(suffix)
    image.slot = slot
    image.kind = _KINDS[zone.kind]
    image.dry_run = zone.dry_run
    image.ttl = zone.ttl
    image.negative_ttl = zone.negative_ttl
    image.test_code = zone.test_code
    if len(zone.answers) > MAX_HITS or len(zone.nameservers) > MAX_SERVERS:
        raise ZoneError(f"{zone.origin}: at most {MAX_HITS} answers and {MAX_SERVERS} name servers in a zone")
    _compile_soa(image, zone, suffix)
    image.servers = len(zone.nameservers)
    for i, server in enumerate(zone.nameservers):
        image.server[i] = server_numbers[wire_name(server.name)]
    image.answers = len(zone.answers)
    for i, given in enumerate(zone.answers):
        _compile_answer(&image.answer[i], zone, given, public_url)


cdef _compile_answer(AnswerImage *image, zone, given, str public_url):
    text = Template(given.text).substitute(
        {
            "reason": chr(MARK_REASON),
            "since": chr(MARK_SINCE),
            "url": f"{public_url}/ip/{chr(MARK_ADDRESS)}",
            "address": chr(MARK_ADDRESS),
            "class": LAYER_NAMES[given.layer],
        }
    )
    cdef bytes data = text.encode("ascii", "replace")
    if len(data) > TEXT_BYTES:
        raise ZoneError(f"{zone.origin}: the text of layer {LAYER_NAMES[given.layer]!r} is too long: shorten it")
    image.layer = given.layer
    image.code = given.code
    image.ttl = given.ttl
    image.text_length = len(data)
    memcpy(image.text, <const unsigned char *> data, len(data))


cdef _compile_soa(ZoneImage *image, zone, bytes suffix):
    """Write the SOA's data; names that end like the zone's name point into it (RFC 1035 §4.1.4)."""
    cdef bytes data
    image.pointers = 0
    data = b""
    for name in (zone.soa.mname, zone.soa.rname):
        start, pointer = _shared_suffix(wire_name(name), suffix)
        data += wire_name(name)[:start]
        if pointer >= 0:
            image.pointer_at[image.pointers] = len(data)
            image.pointer_to[image.pointers] = pointer
            image.pointers += 1
            data += b"\xc0\0"
    image.soa_serial_at = len(data)
    for number in (0, zone.soa.refresh, zone.soa.retry, zone.soa.expire, zone.negative_ttl):
        data += number.to_bytes(4, "big")
    image.soa_length = len(data)
    memcpy(image.soa, <const unsigned char *> data, len(data))


def _shared_suffix(bytes name, bytes zone):
    """Return how much of ``name`` stands before what it shares with ``zone``, and where in ``zone``; else -1."""
    start = 0
    while name[start]:
        at = 0
        while zone[at]:
            if zone[at:] == name[start:]:
                return start, at
            at += 1 + zone[at]
        start += 1 + name[start]
    return len(name), -1


cdef _compile_server(ServerImage *image, bytes name, uint32_t ttl, list addresses):
    v4 = [address.packed for address in addresses if address.version == 4]
    v6 = [address.packed for address in addresses if address.version == 6]
    if max(len(v4), len(v6)) > MAX_ADDRESSES:
        raise ZoneError(f"a name server has more than {MAX_ADDRESSES} addresses of a family in all zones: give fewer")
    cdef bytes data4 = b"".join(v4)
    cdef bytes data6 = b"".join(v6)
    memcpy(image.name, <const unsigned char *> name, len(name))
    image.name_length = len(name)
    image.ttl = ttl
    image.count4 = len(v4)
    image.count6 = len(v6)
    memcpy(image.address4, <const unsigned char *> data4, len(data4))
    memcpy(image.address6, <const unsigned char *> data6, len(data6))
