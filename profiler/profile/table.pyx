# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The table of profiles: rows of observations in, profiles and the slots that changed out.

Profiles stand densely in order of first appearance, in pages that never move; a hash index finds them. Folding runs
without the GIL. Rows that name a mail transaction instead of an address are joined here to the client that opened
it, so that the journal of rows suffices to rebuild every join. Knows no clock, no file and no class of verdicts
but two bits: whether an address counts as a bot or as a mail server already (see :meth:`Table.fold`).
"""

from libc.math cimport exp2, log
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from profiler.row cimport Row

import secrets

import numpy as np

from profiler.observation import Event, Reason, Sign
from profiler.profile.record import (
    COLUMNS,
    FAST_HALF_LIFE_SECONDS,
    HALF_LIVES_AN_EPOCH,
    LLR_BAD,
    LLR_GOOD,
    PROFILE,
    SLOT_SECONDS,
    SLOW_HALF_LIFE_SECONDS,
    Fast,
    Slow,
)

BLOCK = 256  # profiles written to a checkpoint at once
STANDING = np.dtype(
    [("since", "<i8"), ("classes", "u1"), ("trust", "u1"), ("confidence", "<u2"), ("spare", "<u4")]
)
MAX_PROFILES = 1 << 26
MAX_OPEN_TRANSACTIONS = 1 << 20
#: How large the C structures are; test_table holds them equal to the dtypes.
C_BYTES = {"profile": sizeof(Profile), "columns": sizeof(Columns), "standing": sizeof(Standing), "row": sizeof(Row)}

cdef enum:
    PAGE_BITS = 12
    PAGE = 1 << PAGE_BITS
    BLOCK_BITS = 8
    NO_SLOT = 0xFFFFFFFF
    WEIGHT_STEPS = 512
    BASE_WEIGHT = 64
    RING = 16
    CLASS_BOT = 1
    CLASS_MTA = 4

cdef uint8_t CONNECT = Event.CONNECT
cdef uint8_t MESSAGE = Event.MESSAGE
cdef uint8_t REJECT = Event.REJECT
cdef uint8_t DEFER = Event.DEFER
cdef uint8_t BOUNCE = Event.BOUNCE
cdef uint8_t AUTH_FAIL = Event.AUTH_FAIL
cdef uint8_t AUTH_OK = Event.AUTH_OK
cdef uint8_t PREGREET = Event.PREGREET
cdef uint8_t LOST = Event.LOST
cdef uint8_t SPAM = Event.SPAM
cdef uint8_t HAM = Event.HAM
cdef uint8_t TRAP = Event.TRAP
cdef uint8_t COMPLAINT = Event.COMPLAINT
cdef uint8_t FLOW = Event.FLOW
cdef uint8_t ENVELOPE = Event.ENVELOPE
cdef uint8_t CLOSED = Event.CLOSED
cdef uint8_t PARDON = Event.PARDON
cdef uint8_t NAMED = Event.NAMED
cdef uint8_t UNKNOWN_RECIPIENT = Reason.UNKNOWN_RECIPIENT
cdef uint8_t RELAY_DENIED = Reason.RELAY_DENIED
cdef uint8_t DNSBL = Reason.DNSBL
cdef uint8_t GREYLIST = Reason.GREYLIST
cdef uint8_t CONTENT = Reason.CONTENT
cdef uint8_t PROTOCOL_ERROR = Reason.PROTOCOL
cdef uint8_t TEMPORARY = Reason.TEMPORARY
cdef int F_GOOD = Fast.GOOD
cdef int F_BAD_RECIPIENT = Fast.BAD_RECIPIENT
cdef int F_BAD_CONTENT = Fast.BAD_CONTENT
cdef int F_REFUSED = Fast.REFUSED
cdef int F_PROTOCOL = Fast.PROTOCOL
cdef int F_AUTH_FAIL = Fast.AUTH_FAIL
cdef int F_FLOW = Fast.FLOW
cdef int F_SUBMITTED = Fast.SUBMITTED
cdef int S_GOOD = Slow.GOOD
cdef int S_BAD = Slow.BAD
cdef int S_FLOW = Slow.FLOW
cdef int S_OTHER = Slow.OTHER
cdef int TRAP_UNITS = 4

cdef uint32_t RDNS_BITS = 0x7F  # the seven RDNS signs
cdef uint32_t HELO_BITS = 0x1F00  # the five HELO signs
cdef uint32_t AUTHENTICATED = Sign.AUTHENTICATED
cdef uint32_t OPENS = Sign.OPENS
cdef int64_t SECOND = 1000000
cdef int64_t MINUTE = 60 * SECOND
cdef int64_t HOUR = 3600 * SECOND
cdef int64_t DAY = 86400 * SECOND
cdef int64_t SLOT = SLOT_SECONDS * SECOND
cdef int64_t FAST_EPOCH = HALF_LIVES_AN_EPOCH * FAST_HALF_LIFE_SECONDS * SECOND
cdef int64_t SLOW_EPOCH = HALF_LIVES_AN_EPOCH * SLOW_HALF_LIFE_SECONDS * SECOND
cdef double HALF_LIVES = HALF_LIVES_AN_EPOCH
cdef uint32_t SATURATED = 0xFFFFFFFF
cdef double BAD = LLR_BAD
cdef double GOOD = LLR_GOOD
cdef double SCREEN = 2.0

cdef uint32_t WEIGHTS[WEIGHT_STEPS]
cdef int _step
for _step in range(WEIGHT_STEPS):
    WEIGHTS[_step] = <uint32_t>(BASE_WEIGHT * exp2((_step + 0.5) * HALF_LIVES_AN_EPOCH / WEIGHT_STEPS) + 0.5)

# (network, mask) of IPv4 space that has no profile; test_table holds it equal to profiler.address.is_reserved.
cdef uint32_t RESERVED4[18][2]
for _step, (_net, _length) in enumerate(
    (
        (0x00000000, 8), (0x0A000000, 8), (0x64400000, 10), (0x7F000000, 8), (0xA9FE0000, 16),
        (0xAC100000, 12), (0xC0000000, 24), (0xC0000200, 24), (0xC01FC400, 24), (0xC034C100, 24),
        (0xC0586300, 24), (0xC0A80000, 16), (0xC0AF3000, 24), (0xC6120000, 15), (0xC6336400, 24),
        (0xCB007100, 24), (0xE0000000, 4), (0xF0000000, 4),
    )
):  # fmt: skip
    RESERVED4[_step][0] = _net
    RESERVED4[_step][1] = (0xFFFFFFFF << (32 - _length)) & 0xFFFFFFFF


cdef bint is_reserved(uint64_t hi, uint64_t lo) noexcept nogil:
    cdef int i
    cdef uint32_t v4
    if hi == 0:
        if lo >> 32 != 0xFFFF:
            return True
        v4 = <uint32_t>lo
        for i in range(18):
            if v4 & RESERVED4[i][1] == RESERVED4[i][0]:
                return True
        return False
    if hi >> 61 != 1 or hi >> 41 == 0x20010000 >> 9 or hi >> 32 == 0x20010DB8 or hi >> 48 == 0x2002:
        return True
    return hi >> 16 == 0x2620004F8000ULL or hi >> 44 == 0x3FFF0


cdef inline uint32_t saturating(uint32_t have, uint64_t more) noexcept nogil:
    cdef uint64_t total = have + more
    return SATURATED if total > SATURATED else <uint32_t>total


cdef inline uint64_t mix(uint64_t hi, uint64_t lo, uint64_t seed) noexcept nogil:
    # The finaliser of MurmurHash3 over both halves, seeded so that nobody can invent colliding addresses.
    cdef uint64_t x = lo ^ seed ^ (hi * 0x9E3779B97F4A7C15ULL)
    x ^= x >> 33
    x *= 0xFF51AFD7ED558CCDULL
    x ^= x >> 33
    x *= 0xC4CEB9FE1A85EC53ULL
    return x ^ (x >> 33)


cdef inline double linear_count(uint64_t newest, uint64_t before) noexcept nogil:
    cdef uint64_t both = newest | before
    cdef int zeros = 0
    if both == 0:
        return 0.0
    while ~both:
        zeros += 1
        both |= both + 1
    if zeros == 0:
        return 266.0  # 64 ln 64: the bitmap's end
    return 64.0 * log(64.0 / zeros)


cdef inline void add_decayed(
    uint32_t *newest, uint32_t *before, int width, int16_t *epoch, int kind, uint64_t n, int64_t time,
    int64_t length
) noexcept nogil:
    cdef int64_t e = time // length
    cdef uint32_t weight = WEIGHTS[(time - e * length) // (length // WEIGHT_STEPS)]
    if e > epoch[0]:
        if e == epoch[0] + 1:
            memcpy(before, newest, 4 * width)
        else:
            memset(before, 0, 4 * width)
        memset(newest, 0, 4 * width)
        epoch[0] = <int16_t>e
    if e == epoch[0]:
        newest[kind] = saturating(newest[kind], n * weight)
    elif e == epoch[0] - 1:
        before[kind] = saturating(before[kind], n * weight)


cdef inline void fast(Profile *p, int kind, uint64_t n, int64_t time) noexcept nogil:
    add_decayed(&p.fast[0][0], &p.fast[1][0], 8, &p.fast_epoch, kind, n, time, FAST_EPOCH)


cdef inline void slow(Profile *p, int kind, uint64_t n, int64_t time) noexcept nogil:
    add_decayed(&p.slow[0][0], &p.slow[1][0], 4, &p.slow_epoch, kind, n, time, SLOW_EPOCH)


cdef inline void ring(Profile *p, int column, uint64_t n, int64_t time) noexcept nogil:
    cdef int32_t slot = <int32_t>(time // SLOT)
    cdef int32_t s
    cdef uint64_t total
    if slot > p.slot:
        if slot - p.slot >= RING:
            memset(p.recent, 0, sizeof(p.recent))
        else:
            for s in range(p.slot + 1, slot + 1):
                p.recent[s % RING][0] = 0
                p.recent[s % RING][1] = 0
        p.slot = slot
    elif slot <= p.slot - RING:
        return
    total = p.recent[slot % RING][column] + n
    p.recent[slot % RING][column] = <uint16_t>(0xFFFF if total > 0xFFFF else total)


cdef inline bint bitmap(uint64_t *maps, Profile *p, uint64_t value, int64_t time) noexcept nogil:
    cdef int32_t day = <int32_t>(time // DAY)
    # The hash's upper bits: its lower ones may serve others.
    cdef uint64_t bit = 1ULL << (value >> 58)
    cdef bint is_new
    if day > p.day:
        if day == p.day + 1:
            p.helos[1] = p.helos[0]
            p.destinations[1] = p.destinations[0]
        else:
            p.helos[1] = 0
            p.destinations[1] = 0
        p.helos[0] = 0
        p.destinations[0] = 0
        p.day = day
    is_new = not (maps[0] | maps[1]) & bit
    if day == p.day:
        maps[0] |= bit
    elif day == p.day - 1:
        maps[1] |= bit
    return is_new


cdef inline double ring_cusum(Profile *p, int32_t now_slot) noexcept nogil:
    cdef double g = 0.0
    cdef int32_t s
    for s in range(p.slot - RING + 1, p.slot + 1):
        if s <= now_slot - RING:
            continue
        g += BAD * p.recent[s & (RING - 1)][1] + GOOD * p.recent[s & (RING - 1)][0]
        if g < 0:
            g = 0
    return g


cdef inline void statement(uint32_t *kept, uint32_t bits, int64_t time) noexcept nogil:
    cdef uint32_t value = (<uint32_t>(time // HOUR) << 7) | bits
    if value > kept[0]:
        kept[0] = value


cdef inline bint is_mail_flow(Row *row) noexcept nogil:
    return row.proto == 6 and row.dport == 25


cdef inline bint is_bad(Row *row) noexcept nogil:
    return row.reason == UNKNOWN_RECIPIENT or row.reason == RELAY_DENIED


cdef inline int bad(Profile *p, int kind, uint64_t n, int64_t time) noexcept nogil:
    fast(p, kind, n, time)
    slow(p, S_BAD, n, time)
    ring(p, 1, n, time)
    return 1


cdef inline bint is_pardoned(Profile *p, Row *row) noexcept nogil:
    return p.pardoned and row.time // MINUTE <= p.pardoned


cdef int count_failure(Profile *p, Row *row, bint by_user) noexcept nogil:
    # What speaks against the address; returns 1 where it may bring a verdict nearer.
    cdef uint64_t n = row.count
    if is_pardoned(p, row):
        return 0
    if row.event == REJECT or row.event == BOUNCE:
        # A known user's slips of the pen say nothing about the host that they write from.
        if is_bad(row) and not by_user:
            return bad(p, F_BAD_RECIPIENT, n, row.time)
        if row.reason == CONTENT:
            return bad(p, F_BAD_CONTENT, n, row.time)
        # Refused because of a list (perhaps ours) or for the receiver's own trouble: that proves nothing.
        if row.reason != DNSBL and row.reason != GREYLIST and row.reason != TEMPORARY:
            fast(p, F_REFUSED, n, row.time)
    elif row.event == SPAM or row.event == COMPLAINT:
        return bad(p, F_BAD_CONTENT, n, row.time)
    elif row.event == TRAP:
        return bad(p, F_BAD_CONTENT, TRAP_UNITS * n, row.time)
    elif row.event == AUTH_FAIL:
        fast(p, F_AUTH_FAIL, n, row.time)
        return 1
    elif row.event == PREGREET or (row.event == LOST and row.reason == PROTOCOL_ERROR):
        fast(p, F_PROTOCOL, n, row.time)
        return 1
    return 0


cdef int count_row(Profile *p, Row *row, bint by_user) noexcept nogil:
    # Fold one row; returns 1 where it may bring a verdict of bot nearer. ``by_user``: of an authenticated session.
    cdef int blamed = 0
    cdef uint64_t n = row.count
    if p.first == 0 or row.time < p.first:
        p.first = row.time
    if row.time > p.last:
        p.last = row.time
    p.observations = saturating(p.observations, n)
    if row.signs & RDNS_BITS:
        statement(&p.rdns, row.signs & RDNS_BITS, row.time)
    if row.signs & HELO_BITS:
        statement(&p.helo, (row.signs & HELO_BITS) >> 8, row.time)
    if row.helo:
        bitmap(p.helos, p, row.helo, row.time)
    if row.event == MESSAGE:
        p.messages = saturating(p.messages, n)
        if by_user:
            fast(p, F_SUBMITTED, n, row.time)
        else:
            fast(p, F_GOOD, n, row.time)
            slow(p, S_GOOD, n, row.time)
            ring(p, 0, n, row.time)
    elif row.event == HAM:
        fast(p, F_GOOD, n, row.time)
        slow(p, S_GOOD, n, row.time)
        ring(p, 0, n, row.time)
    elif row.event == FLOW:
        if is_mail_flow(row):
            if is_pardoned(p, row):
                return 0
            fast(p, F_FLOW, n, row.time)
            slow(p, S_FLOW, n, row.time)
            blamed = bitmap(p.destinations, p, row.target, row.time)
        else:
            slow(p, S_OTHER, n, row.time)
    elif row.event == AUTH_OK:
        fast(p, F_SUBMITTED, n, row.time)
    elif row.event == CONNECT or row.event == DEFER:
        slow(p, S_OTHER, n, row.time)
    else:
        if row.event == REJECT and not row.queue:
            p.messages = saturating(p.messages, n)
        blamed = count_failure(p, row, by_user)
    return blamed


cdef void pardon(Profile *p, int64_t time) noexcept nogil:
    # A delisting: the past is forgiven on the bad side only, and late rows of before stay forgiven.
    cdef uint32_t minute = <uint32_t>(time // MINUTE)
    cdef int e, k, s
    if minute <= p.pardoned:
        return
    p.pardoned = minute
    for e in range(2):
        for k in range(F_BAD_RECIPIENT, F_SUBMITTED):
            p.fast[e][k] = 0
        p.slow[e][S_BAD] = 0
        p.slow[e][S_FLOW] = 0
        p.helos[e] = 0
        p.destinations[e] = 0
    for s in range(RING):
        p.recent[s][1] = 0


cdef double decayed(uint32_t newest, uint32_t before, int16_t epoch, int64_t now, int64_t length) noexcept nogil:
    cdef double half_life = length / HALF_LIVES
    cdef double value = newest / (BASE_WEIGHT * exp2((now - epoch * length) / half_life))
    return value + before / (BASE_WEIGHT * exp2((now - (epoch - 1) * length) / half_life))


cdef void read_columns(Profile *p, Standing *standing, int64_t now, Columns *c) noexcept nogil:
    cdef int k
    cdef int32_t s, now_slot = <int32_t>(now // SLOT)
    cdef int32_t today = <int32_t>(now // DAY)
    c.ip_hi, c.ip_lo, c.first, c.last = p.ip_hi, p.ip_lo, p.first, p.last
    c.saturated = 0
    for k in range(8):
        c.fast[k] = decayed(p.fast[0][k], p.fast[1][k], p.fast_epoch, now, FAST_EPOCH)
        c.saturated |= p.fast[0][k] == SATURATED or p.fast[1][k] == SATURATED
    for k in range(4):
        c.slow[k] = decayed(p.slow[0][k], p.slow[1][k], p.slow_epoch, now, SLOW_EPOCH)
        c.saturated |= p.slow[0][k] == SATURATED or p.slow[1][k] == SATURATED
    c.recent_good = c.recent_bad = 0
    for s in range(p.slot - RING + 1, p.slot + 1):
        if s > now_slot - RING:
            c.recent_good += p.recent[s & (RING - 1)][0]
            c.recent_bad += p.recent[s & (RING - 1)][1]
            c.saturated |= p.recent[s & (RING - 1)][0] == 0xFFFF
    c.cusum = ring_cusum(p, now_slot)
    c.helos = c.destinations = 0
    if p.day >= today - 1:
        c.helos = linear_count(p.helos[0], p.helos[1] if p.day >= today else 0)
        c.destinations = linear_count(p.destinations[0], p.destinations[1] if p.day >= today else 0)
    c.observations, c.messages = p.observations, p.messages
    c.rdns = p.rdns & 0x7F
    c.helo = (p.helo & 0x1F) << 8
    c.classes = standing.classes


cdef void *enlarged(void *block, size_t count, size_t size) except NULL nogil:
    cdef void *grown = realloc(block, count * size)
    if not grown:
        with gil:
            raise MemoryError
    return grown


cdef class Joins:
    """Open mail transactions: which client opened which queue entry. Two generations bound it in size."""

    cdef Open *newest
    cdef Open *older
    cdef uint32_t used
    cdef uint32_t capacity

    def __cinit__(self, uint32_t capacity=MAX_OPEN_TRANSACTIONS):
        # Half a million open transactions a generation: more than the largest Postfix queue keeps active.
        if capacity < 2 or capacity & (capacity - 1):
            raise ValueError(f"{capacity} open transactions: a power of two is needed")
        self.capacity = capacity
        self.newest = <Open *>calloc(capacity, sizeof(Open))
        self.older = <Open *>calloc(capacity, sizeof(Open))
        if not self.newest or not self.older:
            raise MemoryError

    def __dealloc__(self):
        free(self.newest)
        free(self.older)

    cdef Open *find(self, Open *generation, uint64_t queue) noexcept nogil:
        cdef uint32_t at = <uint32_t>(queue >> 32) & (self.capacity - 1)
        while generation[at].queue and generation[at].queue != queue:
            at = (at + 1) & (self.capacity - 1)
        return &generation[at]

    cdef void open(self, uint64_t queue, uint64_t hi, uint64_t lo, uint64_t signs) noexcept nogil:
        cdef Open *entry = self.find(self.newest, queue)
        cdef Open *swapped
        if not entry.queue:
            if self.used * 2 >= self.capacity:
                swapped = self.older
                self.older = self.newest
                self.newest = swapped
                memset(self.newest, 0, self.capacity * sizeof(Open))
                self.used = 0
                entry = self.find(self.newest, queue)
            self.used += 1
        entry.queue, entry.ip_hi, entry.ip_lo, entry.signs = queue, hi, lo, signs

    cdef Open *client(self, uint64_t queue) noexcept nogil:
        cdef Open *entry = self.find(self.newest, queue)
        if not entry.queue:
            entry = self.find(self.older, queue)
        # A closed transaction keeps its place without an address, so that probing goes on past it.
        return entry if entry.queue and entry.ip_hi | entry.ip_lo else NULL

    def dump(self):
        """Return both generations' entries, newest last, as bytes."""
        cdef uint32_t i
        parts = [self.used.to_bytes(4, "little")]
        older = []
        newest = []
        for i in range(self.capacity):
            if self.older[i].queue:
                older.append((<unsigned char *>&self.older[i])[:sizeof(Open)])
            if self.newest[i].queue:
                newest.append((<unsigned char *>&self.newest[i])[:sizeof(Open)])
        parts.append(len(older).to_bytes(4, "little"))
        return b"".join(parts + older + newest)

    def load(self, const unsigned char[::1] data):
        """Take over what :meth:`dump` returned, into an empty instance of at least that capacity.

        Raises:
            ValueError: the data is damaged.
        """
        cdef Open entry
        cdef Open *place
        cdef Py_ssize_t at = 8
        cdef Py_ssize_t count = (data.shape[0] - 8) // <Py_ssize_t>sizeof(Open)
        cdef uint32_t older = int.from_bytes(bytes(data[4:8]), "little")
        if data.shape[0] != 8 + count * <Py_ssize_t>sizeof(Open) or older > count:
            raise ValueError("damaged open transactions")
        if max(<Py_ssize_t>older, count - older) * 2 > self.capacity:
            raise ValueError(f"{count} open transactions do not fit {self.capacity} places")
        while at < data.shape[0]:
            memcpy(&entry, &data[at], sizeof(Open))
            place = self.find(self.older if older else self.newest, entry.queue)
            place[0] = entry
            if older:
                older -= 1
            at += sizeof(Open)
        self.used = int.from_bytes(bytes(data[:4]), "little")


cdef class Table:
    """Profiles by address. Not for two threads at once."""

    cdef Profile **pages
    cdef Standing **standings
    cdef Mark **marks
    cdef uint8_t *dirty
    cdef uint32_t *index
    cdef uint32_t *changed
    cdef uint32_t *last
    cdef Waiting *queue
    cdef uint32_t page_count, used, index_bits, changed_count, changed_capacity, run_number
    cdef uint32_t queue_count, queue_capacity
    cdef uint64_t seed
    cdef readonly Joins joins
    cdef readonly uint64_t folded, unjoined, reserved, overflowed
    cdef uint32_t limit

    def __cinit__(self, uint32_t limit=MAX_PROFILES, uint32_t open_transactions=MAX_OPEN_TRANSACTIONS):
        self.limit = limit
        self.index_bits = 12
        self.index = <uint32_t *>calloc(1 << self.index_bits, 4)
        if not self.index:
            raise MemoryError
        self.seed = secrets.randbits(64)
        self.joins = Joins(open_transactions)

    def __dealloc__(self):
        cdef uint32_t i
        for i in range(self.page_count):
            free(self.pages[i])
            free(self.standings[i])
            free(self.marks[i])
        free(self.pages)
        free(self.standings)
        free(self.marks)
        free(self.dirty)
        free(self.index)
        free(self.changed)
        free(self.last)
        free(self.queue)

    def __len__(self):
        return self.used

    cdef inline Profile *at(self, uint32_t slot) noexcept nogil:
        return &self.pages[slot >> PAGE_BITS][slot & (PAGE - 1)]

    cdef inline Standing *standing(self, uint32_t slot) noexcept nogil:
        return &self.standings[slot >> PAGE_BITS][slot & (PAGE - 1)]

    cdef int add_page(self) except -1 nogil:
        cdef uint32_t n = self.page_count
        cdef void *grown = realloc(self.pages, (n + 1) * sizeof(void *))
        if grown:
            self.pages = <Profile **>grown
            grown = realloc(self.standings, (n + 1) * sizeof(void *))
        if grown:
            self.standings = <Standing **>grown
            grown = realloc(self.marks, (n + 1) * sizeof(void *))
        if grown:
            self.marks = <Mark **>grown
            grown = realloc(self.dirty, (n + 1) * (PAGE >> BLOCK_BITS))
        if grown:
            self.dirty = <uint8_t *>grown
            memset(self.dirty + n * (PAGE >> BLOCK_BITS), 0, PAGE >> BLOCK_BITS)
            self.pages[n] = <Profile *>calloc(PAGE, sizeof(Profile))
            self.standings[n] = <Standing *>calloc(PAGE, sizeof(Standing))
            self.marks[n] = <Mark *>calloc(PAGE, sizeof(Mark))
        if not grown or not self.pages[n] or not self.standings[n] or not self.marks[n]:
            with gil:
                raise MemoryError
        self.page_count = n + 1
        return 0

    cdef int grow_index(self) except -1 nogil:
        cdef uint32_t bits = self.index_bits + 1
        cdef uint32_t *index = <uint32_t *>calloc(<size_t>1 << bits, 4)
        cdef uint64_t mask = (<uint64_t>1 << bits) - 1
        cdef uint64_t at
        cdef uint32_t slot
        if not index:
            with gil:
                raise MemoryError
        for slot in range(self.used):
            at = mix(self.at(slot).ip_hi, self.at(slot).ip_lo, self.seed) & mask
            while index[at]:
                at = (at + 1) & mask
            index[at] = slot + 1
        free(self.index)
        self.index = index
        self.index_bits = bits
        return 0

    cdef uint32_t lookup(self, uint64_t hi, uint64_t lo) noexcept nogil:
        cdef uint64_t mask = (<uint64_t>1 << self.index_bits) - 1
        cdef uint64_t at = mix(hi, lo, self.seed) & mask
        cdef Profile *p
        while self.index[at]:
            p = self.at(self.index[at] - 1)
            if p.ip_lo == lo and p.ip_hi == hi:
                return self.index[at] - 1
            at = (at + 1) & mask
        return NO_SLOT

    cdef int64_t obtain(self, uint64_t hi, uint64_t lo) except -2 nogil:
        # The slot of the address, made if missing; -1 if the table is full.
        cdef uint32_t slot = self.lookup(hi, lo)
        cdef uint64_t mask, at
        if slot != NO_SLOT:
            return slot
        if self.used >= self.limit:
            return -1
        if self.used >= self.page_count << PAGE_BITS:
            self.add_page()
        if (self.used + 1) * 2 > (<uint64_t>1 << self.index_bits):
            self.grow_index()
        slot = self.used
        self.used += 1
        self.at(slot).ip_hi = hi
        self.at(slot).ip_lo = lo
        mask = (<uint64_t>1 << self.index_bits) - 1
        at = mix(hi, lo, self.seed) & mask
        while self.index[at]:
            at = (at + 1) & mask
        self.index[at] = slot + 1
        return slot

    cdef inline Mark *mark(self, uint32_t slot) noexcept nogil:
        return &self.marks[slot >> PAGE_BITS][slot & (PAGE - 1)]

    cdef int note_change(self, uint32_t slot, Mark *mark, uint32_t row) except -1 nogil:
        cdef uint32_t capacity = self.changed_capacity
        self.dirty[slot >> BLOCK_BITS] = 1
        if mark.changed != self.run_number:
            if self.changed_count == capacity:
                capacity = capacity * 2 + 1024
                self.changed = <uint32_t *>enlarged(self.changed, capacity, 4)
                self.last = <uint32_t *>enlarged(self.last, capacity, 4)
                self.changed_capacity = capacity
            mark.changed, mark.position = self.run_number, self.changed_count
            self.changed[self.changed_count] = slot
            self.changed_count += 1
        self.last[mark.position] = row
        return 0

    cdef bint must_wait(self, uint32_t slot, Mark *mark, Row *row) noexcept nogil:
        # Whether an address that was blamed in this run already is to be judged before this row is folded.
        cdef Standing *standing = self.standing(slot)
        if mark.suspended == self.run_number:
            return True
        if mark.blamed != self.run_number or standing.classes & CLASS_BOT:
            return False
        if row.event == FLOW:
            return is_mail_flow(row) and not standing.classes & CLASS_MTA
        return row.event == TRAP or ring_cusum(self.at(slot), <int32_t>(row.time // SLOT)) >= SCREEN

    cdef int apply(self, Row *row, Waiting waiting, Mark *mark) except -1 nogil:
        cdef Profile *p = self.at(waiting.slot)
        self.note_change(waiting.slot, mark, waiting.row)
        self.folded += 1
        if row.event == PARDON:
            pardon(p, row.time)
        elif row.event == NAMED:
            statement(&p.rdns, row.signs & RDNS_BITS, row.time)
        elif count_row(p, row, waiting.by_user):
            mark.blamed = self.run_number
        return 0

    cdef int take(self, Row *row, Waiting waiting, bint patient) except -1 nogil:
        # Fold a row, or put it at the end of the queue.
        cdef Mark *mark = self.mark(waiting.slot)
        if not patient or not self.must_wait(waiting.slot, mark, row):
            return self.apply(row, waiting, mark)
        mark.suspended = self.run_number
        if self.queue_count == self.queue_capacity:
            self.queue_capacity = self.queue_capacity * 2 + 1024
            self.queue = <Waiting *>enlarged(self.queue, self.queue_capacity, sizeof(Waiting))
        self.queue[self.queue_count] = waiting
        self.queue_count += 1
        return 0

    cdef int run(self, Row *rows, uint32_t count) except -1 nogil:
        cdef int64_t slot
        cdef uint32_t i
        cdef Row *row
        cdef Open *client
        cdef Waiting waiting
        cdef uint64_t hi, lo
        for i in range(count):
            row = &rows[i]
            waiting.row, waiting.by_user = i, row.signs & AUTHENTICATED
            hi, lo = row.ip_hi, row.ip_lo
            if row.queue:
                if row.signs & OPENS:
                    self.joins.open(row.queue, hi, lo, row.signs)
                elif not hi | lo:
                    client = self.joins.client(row.queue)
                    if not client:
                        self.unjoined += 1
                        continue
                    hi, lo = client.ip_hi, client.ip_lo
                    waiting.by_user = <uint32_t>client.signs & AUTHENTICATED
                    if row.event == CLOSED:
                        client.ip_hi = client.ip_lo = 0
                        continue
                elif row.event == REJECT:
                    client = self.joins.client(row.queue)
                    waiting.by_user = <uint32_t>client.signs & AUTHENTICATED if client else 0
            if hi:
                lo = 0
            if is_reserved(hi, lo) or row.time <= 0:
                self.reserved += 1
                continue
            if row.event == ENVELOPE or row.event == CLOSED:
                continue
            slot = self.obtain(hi, lo)
            if slot < 0:
                self.overflowed += 1
                continue
            waiting.slot = <uint32_t>slot
            self.take(row, waiting, True)
        return 0

    cdef int run_queue(self, Row *rows, uint32_t count, bint patient) except -1 nogil:
        cdef uint32_t i, waited = self.queue_count
        self.queue_count = 0  # what waits on is put back before the place that is read
        for i in range(waited):
            if self.queue[i].row < count:
                self.take(&rows[self.queue[i].row], self.queue[i], patient)
        return 0

    @property
    def waiting(self):
        """How many rows wait for :meth:`resume`."""
        return self.queue_count

    def fold(self, const unsigned char[::1] rows):
        """Fold rows and return ``(slots, last)``: which slots changed, and for each its last row that was folded.

        ``rows`` are the bytes of an array of dtype OBSERVATION. Rows of an address that was blamed and is blamed
        again while its verdict may turn wait for :meth:`resume`, so that the caller can judge it in between: so a
        bot is seen at the very message that condemns it, though a batch is folded in a few runs.
        """
        cdef uint32_t count = rows.shape[0] // <Py_ssize_t>sizeof(Row)
        if rows.shape[0] % <Py_ssize_t>sizeof(Row):
            raise ValueError(f"{rows.shape[0]} bytes are no whole number of rows")
        if self.queue_count:
            raise ValueError(f"{self.queue_count} rows of the batch before wait: resume it first")
        self.run_number += 1
        self.changed_count = 0
        if count:
            with nogil:
                self.run(<Row *>&rows[0], count)
        return self._changed()

    def resume(self, const unsigned char[::1] rows, bint patient=True):
        """Go on with the rows that wait, of the same ``rows`` as :meth:`fold` had; return the same as it.

        Not ``patient``: fold them all, whatever they say of an address.
        """
        cdef uint32_t count = rows.shape[0] // <Py_ssize_t>sizeof(Row)
        self.run_number += 1
        self.changed_count = 0
        if self.queue_count and count:
            with nogil:
                self.run_queue(<Row *>&rows[0], count, patient)
        return self._changed()

    def _changed(self):
        slots = np.empty(self.changed_count, np.uint32)
        last = np.empty(self.changed_count, np.uint32)
        cdef uint32_t[::1] slot_view = slots
        cdef uint32_t[::1] last_view = last
        if self.changed_count:
            memcpy(&slot_view[0], self.changed, <size_t>self.changed_count * 4)
            memcpy(&last_view[0], self.last, <size_t>self.changed_count * 4)
        return slots, last

    def find(self, uint64_t hi, uint64_t lo):
        """Return the slot of an address (of its /64 in IPv6), or -1."""
        cdef uint32_t slot = self.lookup(hi, 0 if hi else lo)
        return -1 if slot == NO_SLOT else slot

    def ensure(self, uint64_t hi, uint64_t lo):
        """Return the slot of an address, made empty if missing; -1 if the table is full."""
        cdef uint32_t used = self.used
        cdef int64_t slot = self.obtain(hi, 0 if hi else lo)
        if self.used > used:
            self.dirty[slot >> BLOCK_BITS] = 1
        return slot

    def columns(self, const uint32_t[::1] slots, now):
        """Return an array of dtype COLUMNS for ``slots`` as of ``now`` (µs since 1970), one for all or one each."""
        cdef const int64_t[::1] moments = np.ascontiguousarray(
            np.broadcast_to(np.asarray(now, np.int64), slots.shape[0])
        )
        result = np.zeros(slots.shape[0], COLUMNS)
        cdef unsigned char[::1] view
        cdef Py_ssize_t i
        if slots.shape[0]:
            view = result.view(np.uint8)
            for i in range(slots.shape[0]):
                if slots[i] >= self.used:
                    raise IndexError(f"slot {slots[i]} of {self.used}")
            with nogil:
                for i in range(slots.shape[0]):
                    read_columns(
                        self.at(slots[i]), self.standing(slots[i]), moments[i], &(<Columns *>&view[0])[i]
                    )
        return result

    def standings_of(self, const uint32_t[::1] slots):
        """Return an array of dtype STANDING: what judging decided of ``slots``."""
        result = np.zeros(slots.shape[0], STANDING)
        cdef unsigned char[::1] view
        cdef Py_ssize_t i
        if slots.shape[0]:
            view = result.view(np.uint8)
            for i in range(slots.shape[0]):
                (<Standing *>&view[0])[i] = self.standing(slots[i])[0]
        return result

    def decide(self, uint32_t slot, int64_t since, uint8_t classes, uint8_t trust, uint16_t confidence):
        """Keep what judging decided of ``slot``."""
        cdef Standing *standing = self.standing(slot)
        standing.since, standing.classes, standing.trust, standing.confidence = since, classes, trust, confidence
        self.dirty[slot >> BLOCK_BITS] = 1

    def standing_slots(self):
        """Return the slots that have any class."""
        found = np.empty(self.used, np.uint32)
        cdef uint32_t[::1] view = found
        cdef uint32_t slot
        cdef Py_ssize_t n = 0
        for slot in range(self.used):
            if self.standing(slot).classes:
                view[n] = slot
                n += 1
        return found[:n].copy()

    def profiles(self):
        """Return a copy of all profiles, dtype PROFILE, sorted by address."""
        result = np.empty(self.used, PROFILE)
        cdef unsigned char[::1] view
        cdef uint32_t slot
        if self.used:
            view = result.view(np.uint8)
            for slot in range(self.used):
                (<Profile *>&view[0])[slot] = self.at(slot)[0]
        return result[np.lexsort((result["ip_lo"], result["ip_hi"]))]

    def dirty_blocks(self):
        """Return the numbers of the blocks of 256 profiles that changed since :meth:`mark_clean`."""
        cdef uint32_t block
        return [block for block in range((self.used + BLOCK - 1) >> BLOCK_BITS) if self.dirty[block]]

    def mark_clean(self, blocks):
        """Take ``blocks`` for written."""
        for block in blocks:
            self.dirty[<uint32_t>block] = 0

    def block(self, uint32_t number):
        """Return a block's profiles and standings as bytes."""
        cdef uint32_t start = number << BLOCK_BITS
        cdef uint32_t count = min(<uint32_t>BLOCK, self.used - start)
        return (
            (<unsigned char *>self.at(start))[:count * sizeof(Profile)]
            + (<unsigned char *>self.standing(start))[:count * sizeof(Standing)]
        )

    def load_block(self, const unsigned char[::1] data):
        """Append a block that :meth:`block` returned; blocks come in order, into an empty table."""
        cdef Py_ssize_t count = data.shape[0] // <Py_ssize_t>(sizeof(Profile) + sizeof(Standing))
        cdef Profile *profile
        cdef Py_ssize_t i
        cdef int64_t slot
        cdef uint32_t first = self.used
        if data.shape[0] != count * <Py_ssize_t>(sizeof(Profile) + sizeof(Standing)) or self.used % BLOCK:
            raise ValueError("a damaged block of profiles")
        for i in range(count):
            profile = &(<Profile *>&data[0])[i]
            slot = self.obtain(profile.ip_hi, profile.ip_lo)
            if slot != first + i:
                raise ValueError("a damaged block of profiles: an address stands twice")
            self.at(<uint32_t>slot)[0] = profile[0]
            self.standing(<uint32_t>slot)[0] = (<Standing *>&data[count * <Py_ssize_t>sizeof(Profile)])[i]
