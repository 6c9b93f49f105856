# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Snapshots of all listings: what the answering threads read without a lock, and how the next one is made.

Rules:

1. A published view and all that it points to is immutable. A change copies what it touches (a /16 of hosts, a
   list of ranges) and shares the rest, so its cost does not grow with the number of listings.
2. A reader announces the epoch in its slot before it loads the view and 0 afterwards. What a change has replaced
   is freed when no slot holds an epoch from before the change.
3. There is one writer at a time; the caller sees to that. Readers with the GIL need no slot, since a writer
   publishes and frees with the GIL held.

Columns of numbers in, lookups out. Knows layers as numbers, and neither zones, nor DNS, nor the clock.
"""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport abort, calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #define LOAD(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
    #define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
    """
    uint64_t LOAD(uint64_t *) noexcept nogil
    View *LOAD_VIEW "LOAD"(View **) noexcept nogil
    void STORE(uint64_t *, uint64_t) noexcept nogil
    void STORE_VIEW "STORE"(View **, View *) noexcept nogil

RECORD_PAGE_BITS = 12
REASON_TEXT_BYTES = 120
MAX_READERS = READER_SLOTS

cdef enum:
    PAGE_BITS = 12
    PAGE_MASK = 0xFFF
    PAGES = 1 << 20
    FIRST_HEADS = 1 << 10


cdef void *allocate(size_t size) noexcept nogil:
    cdef void *block = malloc(size)
    if not block:
        # Half a change can neither be published nor undone, and nothing smaller is left to give up.
        abort()
    return block


# Reading


cdef inline uint16_t *lows(const Leaf *leaf) noexcept nogil:
    return <uint16_t *> (leaf.record + leaf.count)


cdef inline const Record *record_at(const View *view, uint32_t number) noexcept nogil:
    return &view.records[number >> PAGE_BITS][number & PAGE_MASK]


cdef inline const unsigned char *reason_at(const View *view, uint32_t number) noexcept nogil:
    return view.reasons[number >> PAGE_BITS][number & PAGE_MASK]


cdef inline bint is_live(const Record *record, uint32_t now) noexcept nogil:
    return record.expires == 0 or record.expires > now


cdef inline size_t lower16(const uint16_t *low, size_t count, uint16_t wanted) noexcept nogil:
    cdef size_t half
    cdef const uint16_t *base = low
    while count > 0:
        half = count >> 1
        if base[half] < wanted:
            base += half + 1
            count -= half + 1
        else:
            count = half
    return base - low


cdef inline size_t lower64(const uint64_t *value, size_t count, uint64_t wanted) noexcept nogil:
    cdef size_t half
    cdef const uint64_t *base = value
    while count > 0:
        half = count >> 1
        if base[half] < wanted:
            base += half + 1
            count -= half + 1
        else:
            count = half
    return base - value


cdef inline uint32_t host4(const HostTree *tree, uint32_t value) noexcept nogil:
    cdef const Page *page
    cdef const Leaf *leaf
    cdef size_t at
    if not tree:
        return NO_RECORD
    page = tree.page[value >> 24]
    if not page:
        return NO_RECORD
    leaf = page.leaf[(value >> 16) & 255]
    if not leaf:
        return NO_RECORD
    at = lower16(lows(leaf), leaf.count, <uint16_t> value)
    return leaf.record[at] if at < leaf.count and lows(leaf)[at] == <uint16_t> value else <uint32_t> NO_RECORD


cdef inline uint32_t host6(const HostList *list_, uint64_t value) noexcept nogil:
    cdef size_t at
    if not list_:
        return NO_RECORD
    at = lower64(list_.value, list_.count, value)
    return list_.record[at] if at < list_.count and list_.value[at] == value else <uint32_t> NO_RECORD


cdef inline const Record *covering(
    const View *view, const Ranges *ranges, uint64_t value, uint32_t now
) noexcept nogil:
    cdef size_t at
    cdef uint32_t prefix
    if not ranges:
        return NULL
    at = lower64(ranges.end, ranges.intervals, value)
    if at == ranges.intervals or ranges.start[at] > value:
        return NULL
    prefix = ranges.prefix[at]
    while prefix != NO_RECORD:
        if is_live(record_at(view, ranges.record[prefix]), now):
            return record_at(view, ranges.record[prefix])
        prefix = ranges.parent[prefix]
    return NULL


cdef const Record *find4(
    const View *view, int layer, uint32_t value, uint32_t now, bint hosts_only
) noexcept nogil:
    """Return what lists the address: its host, else the longest live prefix around it; NULL: nothing."""
    cdef uint32_t number = host4(view.v4[layer], value)
    if number != NO_RECORD and is_live(record_at(view, number), now):
        return record_at(view, number)
    return NULL if hosts_only else covering(view, view.ranges4[layer], value, now)


cdef const Record *find6(
    const View *view, int layer, uint64_t value, uint32_t now, bint hosts_only
) noexcept nogil:
    """Return what lists the /64: itself, else the longest live prefix around it; NULL: nothing."""
    cdef uint32_t number = host6(view.v6[layer], value)
    if number != NO_RECORD and is_live(record_at(view, number), now):
        return record_at(view, number)
    return NULL if hosts_only else covering(view, view.ranges6[layer], value, now)


cdef inline bint meets(const Ranges *ranges, uint64_t first, uint64_t last) noexcept nogil:
    cdef size_t at
    if not ranges:
        return False
    at = lower64(ranges.end, ranges.intervals, first)
    return at < ranges.intervals and ranges.start[at] <= last


cdef bint any4(const View *view, int layer, uint32_t first, uint32_t last) noexcept nogil:
    """Whether anything is listed in an octet-aligned block, expired or not: one /8, /16 or /24."""
    cdef const HostTree *tree = view.v4[layer]
    cdef const Page *page = tree.page[first >> 24] if tree else NULL
    cdef const Leaf *leaf
    cdef size_t at
    if page:
        if last - first > 0xFFFF:
            return True
        leaf = page.leaf[(first >> 16) & 255]
        if leaf:
            at = lower16(lows(leaf), leaf.count, <uint16_t> first)
            if at < leaf.count and lows(leaf)[at] <= <uint16_t> last:
                return True
    return meets(view.ranges4[layer], first, last)


cdef bint any6(const View *view, int layer, uint64_t first, uint64_t last) noexcept nogil:
    """Whether anything is listed from the /64 ``first`` to the /64 ``last``, expired or not."""
    cdef const HostList *list_ = view.v6[layer]
    cdef size_t at
    if list_:
        at = lower64(list_.value, list_.count, first)
        if at < list_.count and list_.value[at] <= last:
            return True
    return meets(view.ranges6[layer], first, last)


cdef void copy_tree(const HostTree *tree, uint64_t *value, uint32_t *record) noexcept nogil:
    """Write a tree's hosts in ascending order, and their records."""
    cdef const Leaf *leaf
    cdef size_t i, j, k
    cdef size_t n = 0
    for i in range(256):
        if not tree.page[i]:
            continue
        for j in range(256):
            leaf = tree.page[i].leaf[j]
            if not leaf:
                continue
            memcpy(record + n, leaf.record, leaf.count * sizeof(uint32_t))
            for k in range(leaf.count):
                value[n] = i << 24 | j << 16 | lows(leaf)[k]
                n += 1


# Writing


cdef inline size_t leaf_bytes(size_t count) noexcept nogil:
    return sizeof(uint32_t) + count * (sizeof(uint32_t) + sizeof(uint16_t))


cdef void free_tree(HostTree *tree) noexcept nogil:
    cdef size_t i, j
    if not tree:
        return
    for i in range(256):
        if tree.page[i]:
            for j in range(256):
                free(tree.page[i].leaf[j])
            free(tree.page[i])
    free(tree)


cdef Ranges *new_ranges(size_t intervals, size_t prefixes) noexcept nogil:
    cdef char *block = <char *> allocate(
        sizeof(Ranges) + intervals * (2 * sizeof(uint64_t) + sizeof(uint32_t)) + prefixes * 2 * sizeof(uint32_t)
    )
    cdef Ranges *ranges = <Ranges *> block
    ranges.start = <uint64_t *> (block + sizeof(Ranges))
    ranges.end = ranges.start + intervals
    ranges.prefix = <uint32_t *> (ranges.end + intervals)
    ranges.record = ranges.prefix + intervals
    ranges.parent = ranges.record + prefixes
    ranges.intervals = 0
    ranges.prefixes = <uint32_t> prefixes
    return ranges


cdef inline void interval(Ranges *ranges, uint64_t start, uint64_t end, uint32_t prefix) noexcept nogil:
    cdef size_t at = ranges.intervals
    ranges.start[at] = start
    ranges.end[at] = end
    ranges.prefix[at] = prefix
    ranges.intervals += 1


cdef void flatten(
    Ranges *ranges, const uint64_t *value, const unsigned char *length, int bits, uint32_t *stack
) noexcept nogil:
    """Fill intervals and parents from prefixes in the order of (value, length); ``stack`` holds ``bits`` + 1."""
    cdef size_t i
    cdef int depth = 0
    cdef uint64_t at = 0
    cdef uint64_t end
    for i in range(ranges.prefixes):
        while depth:
            end = last_of(value[stack[depth - 1]], length[stack[depth - 1]], bits)
            if end >= value[i]:
                break
            if at <= end:
                interval(ranges, at, end, stack[depth - 1])
                at = end + 1
            depth -= 1
        if depth and at < value[i]:
            interval(ranges, at, value[i] - 1, stack[depth - 1])
        at = value[i]
        ranges.parent[i] = stack[depth - 1] if depth else <uint32_t> NO_RECORD
        stack[depth] = <uint32_t> i
        depth += 1
    while depth:
        end = last_of(value[stack[depth - 1]], length[stack[depth - 1]], bits)
        if at <= end:
            interval(ranges, at, end, stack[depth - 1])
            at = end + 1
            if not at:
                return
        depth -= 1


cdef inline uint64_t last_of(uint64_t value, int length, int bits) noexcept nogil:
    return value | ((<uint64_t> -1) >> (64 - bits + length))


cdef class Snapshots:
    """The current view, the draft of the next one, and what waits to be freed."""

    def __cinit__(self):
        self.records = <Record **> calloc(PAGES, sizeof(Record *))
        self.reasons = <unsigned char ***> calloc(PAGES, sizeof(unsigned char **))
        self.current = <View *> calloc(1, sizeof(View))
        self.heads = <uint32_t *> malloc(FIRST_HEADS * sizeof(uint32_t))
        if not self.records or not self.reasons or not self.current or not self.heads:
            raise MemoryError
        memset(self.heads, 0xFF, FIRST_HEADS * sizeof(uint32_t))
        self.head_mask = FIRST_HEADS - 1
        self.current.records = self.records
        self.current.reasons = self.reasons
        self.epoch = 1
        self.free_records = []
        self.reason_numbers = {}
        self.reason_texts = []
        self.reason_references = []
        self.free_reasons = []

    def __dealloc__(self):
        cdef size_t i, j
        for i in range(self.garbage_count):
            free(self.garbage[self.garbage_head + i].block)
        free(self.garbage)
        if self.current:
            for i in range(LAYERS):
                free_tree(self.current.v4[i])
                free(self.current.v6[i])
                free(self.current.ranges4[i])
                free(self.current.ranges6[i])
            free(<void *> self.current.zones)
        free(self.draft)
        free(self.current)
        for i in range(PAGES if self.records and self.reasons else 0):
            if not self.records[i] and not self.reasons[i]:
                break
            free(self.records[i])
            if self.reasons[i]:
                for j in range(PAGE_MASK + 1):
                    free(self.reasons[i][j])
                free(self.reasons[i])
        free(self.records)
        free(self.reasons)
        free(self.references)
        free(self.chain)
        free(self.heads)

    # Readers

    cdef const View *enter(self, int slot) noexcept nogil:
        """Announce this reader and return the current view, which stays until :meth:`leave`."""
        STORE(&self.slots[slot].epoch, LOAD(&self.epoch))
        return LOAD_VIEW(&self.current)

    cdef void leave(self, int slot) noexcept nogil:
        STORE(&self.slots[slot].epoch, 0)

    cdef int take_slot(self) except -1:
        cdef int i
        for i in range(READER_SLOTS):
            if not self.slots[i].taken:
                self.slots[i].taken = 1
                return i
        raise RuntimeError(f"more than {READER_SLOTS} answering threads: lower dns.threads")

    cdef void give_slot(self, int slot) noexcept:
        STORE(&self.slots[slot].epoch, 0)
        self.slots[slot].taken = 0

    def find(self, int layer, bint is_v4, uint64_t value, uint32_t now):
        """Return (reason, since, expires, trust) of what lists a host, or None."""
        cdef const Record *record
        if is_v4:
            record = find4(self.current, layer, <uint32_t> value, now, False)
        else:
            record = find6(self.current, layer, value, now, False)
        if not record:
            return None
        return self.reason_texts[record.reason], record.since, record.expires, record.trust

    def copy_hosts(self, int layer, bint is_v4):
        """Return a layer's hosts in ascending order and their records' numbers: native uint64s, native uint32s."""
        cdef const HostTree *tree = self.current.v4[layer]
        cdef const HostList *list_ = self.current.v6[layer]
        cdef size_t count = (tree.count if tree else 0) if is_v4 else (list_.count if list_ else 0)
        cdef bytearray values = bytearray(count * sizeof(uint64_t))
        cdef bytearray records = bytearray(count * sizeof(uint32_t))
        cdef uint64_t *value = <uint64_t *> <char *> values
        cdef uint32_t *record = <uint32_t *> <char *> records
        if count and is_v4:
            copy_tree(tree, value, record)
        elif count:
            memcpy(value, list_.value, count * sizeof(uint64_t))
            memcpy(record, list_.record, count * sizeof(uint32_t))
        return values, records

    def copy_records(self):
        """Return all records by number, each four native uint32s (reason, since, expires, trust), and the reasons.

        Records that no listing has are in it too, with any values.
        """
        cdef bytearray copy = bytearray(self.record_count * sizeof(Record))
        cdef Record *record = <Record *> <char *> copy
        cdef uint32_t number
        for number in range(self.record_count):
            record[number] = self.records[number >> PAGE_BITS][number & PAGE_MASK]
        return copy, list(self.reason_texts)

    def counts(self):
        """Return the number of listings (hosts and prefixes) of each layer."""
        cdef list found = []
        cdef int i
        cdef const View *view = self.current
        for i in range(LAYERS):
            found.append(
                (view.v4[i].count if view.v4[i] else 0)
                + (view.v6[i].count if view.v6[i] else 0)
                + (view.ranges4[i].prefixes if view.ranges4[i] else 0)
                + (view.ranges6[i].prefixes if view.ranges6[i] else 0)
            )
        return found

    @property
    def serial(self):
        """The number of the current view."""
        return self.current.serial

    @property
    def waiting(self):
        """How many blocks and records wait until no reader can hold them."""
        return self.garbage_count

    @property
    def records_held(self):
        """How many distinct records the listings share."""
        return self.live_records

    # The writer

    cdef View *_edit(self):
        if not self.draft:
            self.draft = <View *> allocate(sizeof(View))
            memcpy(self.draft, self.current, sizeof(View))
        return self.draft

    def intern(self, bytes reason not None, uint32_t since, uint32_t expires, uint32_t trust, uint32_t uses=1):
        """Return the number of the record with these values, and count ``uses`` new listings for it."""
        cdef uint32_t number = self._intern(self._reason_number(reason[:REASON_TEXT_BYTES]), since, expires, trust)
        self.references[number] += uses
        return number

    def change_hosts(self, int layer, bint is_v4, const uint64_t[::1] values, const uint32_t[::1] records):
        """Draft hosts of a layer: ``values`` ascending and distinct; a record of ``NO_RECORD`` removes."""
        cdef View *draft = self._edit()
        cdef size_t count = values.shape[0]
        cdef HostTree *tree
        cdef HostList *list_
        if not count:
            return
        if is_v4:
            tree = draft.v4[layer]
            with nogil:
                draft.v4[layer] = self._merge4(tree, &values[0], &records[0], count)
            self._retire(tree)
        else:
            list_ = draft.v6[layer]
            with nogil:
                draft.v6[layer] = self._merge6(list_, &values[0], &records[0], count)
            self._retire(list_)

    def clear_hosts(self, int layer, bint is_v4):
        """Draft a layer without hosts."""
        cdef View *draft = self._edit()
        cdef HostTree *tree = draft.v4[layer]
        cdef HostList *list_ = draft.v6[layer]
        cdef size_t i
        if is_v4 and tree:
            with nogil:
                self._retire_tree(tree)
            draft.v4[layer] = NULL
        elif not is_v4 and list_:
            for i in range(list_.count):
                self._release(list_.record[i])
            self._retire(list_)
            draft.v6[layer] = NULL

    def set_ranges(
        self,
        int layer,
        bint is_v4,
        const uint64_t[::1] values,
        const unsigned char[::1] lengths,
        const uint32_t[::1] records,
    ):
        """Draft all prefixes of a layer, distinct and in the order of (value, length).

        The records' uses are the caller's to count: :meth:`intern` for each, :meth:`release` for what went.
        """
        cdef View *draft = self._edit()
        cdef size_t count = values.shape[0]
        cdef Ranges *ranges = NULL
        cdef uint32_t stack[65]
        if count:
            ranges = new_ranges(2 * count, count)
            memcpy(ranges.record, &records[0], count * sizeof(uint32_t))
            flatten(ranges, &values[0], &lengths[0], 32 if is_v4 else 64, stack)
        if is_v4:
            self._retire(draft.ranges4[layer])
            draft.ranges4[layer] = ranges
        else:
            self._retire(draft.ranges6[layer])
            draft.ranges6[layer] = ranges

    def set_zones(self, const unsigned char[::1] image):
        """Draft the zones, in the form that the answering code reads."""
        cdef View *draft = self._edit()
        cdef unsigned char *copy = <unsigned char *> allocate(image.shape[0])
        memcpy(copy, &image[0], image.shape[0])
        self._retire(<void *> draft.zones)
        draft.zones = copy

    def release(self, uint32_t number):
        """Count one listing less for a record; without any it is freed once no reader can hold it."""
        self._release(number)

    def publish(self, uint32_t serial):
        """Make the draft the current view: every query that arrives from now on is answered from it."""
        cdef View *before = self.current
        cdef View *draft = self._edit()
        draft.serial = serial
        self.draft = NULL
        STORE_VIEW(&self.current, draft)
        self._retire(before)
        STORE(&self.epoch, self.epoch + 1)
        self._reclaim()

    cdef void _retire(self, void *block) noexcept nogil:
        if block:
            self._defer(block, NO_RECORD)

    cdef void _defer(self, void *block, uint32_t record) noexcept nogil:
        cdef Garbage *item
        if self.garbage_head + self.garbage_count == self.garbage_size:
            if self.garbage_head > self.garbage_size // 2:
                memcpy(self.garbage, self.garbage + self.garbage_head, self.garbage_count * sizeof(Garbage))
                self.garbage_head = 0
            else:
                self.garbage_size = 2 * self.garbage_size + 64
                self.garbage = <Garbage *> realloc(self.garbage, self.garbage_size * sizeof(Garbage))
                if not self.garbage:
                    abort()
        item = &self.garbage[self.garbage_head + self.garbage_count]
        item.block = block
        item.record = record
        # Still reachable in the current epoch: a reader of the next one cannot see it.
        item.epoch = self.epoch + 1
        self.garbage_count += 1

    cdef void _reclaim(self):
        cdef uint64_t oldest = self.epoch
        cdef uint64_t epoch
        cdef int i
        cdef Garbage *item
        for i in range(READER_SLOTS):
            epoch = LOAD(&self.slots[i].epoch)
            if epoch and epoch < oldest:
                oldest = epoch
        while self.garbage_count and self.garbage[self.garbage_head].epoch <= oldest:
            item = &self.garbage[self.garbage_head]
            self.garbage_head += 1
            self.garbage_count -= 1
            if item.block:
                free(item.block)
            else:
                self._forget_record(item.record)
        if not self.garbage_count:
            self.garbage_head = 0

    # Records and reasons: counted, and found again by their values

    cdef uint32_t _intern(self, uint32_t reason, uint32_t since, uint32_t expires, uint32_t trust):
        cdef uint32_t number
        cdef Record *record
        cdef size_t head = mix(reason, since, expires, trust) & self.head_mask
        number = self.heads[head]
        while number != NO_RECORD:
            record = &self.records[number >> PAGE_BITS][number & PAGE_MASK]
            if (
                record.reason == reason
                and record.since == since
                and record.expires == expires
                and record.trust == trust
            ):
                return number
            number = self.chain[number]
        if self.free_records:
            number = self.free_records.pop()
        else:
            number = self.record_count
            if number == self.record_size:
                self._grow_records()
                head = mix(reason, since, expires, trust) & self.head_mask
            self.record_count += 1
        record = &self.records[number >> PAGE_BITS][number & PAGE_MASK]
        record.reason = reason
        record.since = since
        record.expires = expires
        record.trust = trust
        self.references[number] = 0
        self.chain[number] = self.heads[head]
        self.heads[head] = number
        self.reason_references[reason] += 1
        self.live_records += 1
        return number

    cdef void _grow_records(self):
        cdef uint32_t size = max(self.record_size * 2, PAGE_MASK + 1)
        cdef uint32_t number
        cdef size_t head
        cdef size_t page
        cdef uint32_t *heads
        cdef Record *record
        self.references = <uint32_t *> realloc(self.references, size * sizeof(uint32_t))
        self.chain = <uint32_t *> realloc(self.chain, size * sizeof(uint32_t))
        if not self.references or not self.chain:
            abort()
        for page in range(self.record_size >> PAGE_BITS, size >> PAGE_BITS):
            self.records[page] = <Record *> allocate((PAGE_MASK + 1) * sizeof(Record))
        heads = <uint32_t *> allocate(size * sizeof(uint32_t))
        memset(heads, 0xFF, size * sizeof(uint32_t))
        # Only records in use are in a chain; the freed ones are found through their list.
        for head in range(self.head_mask + 1):
            number = self.heads[head]
            while number != NO_RECORD:
                record = &self.records[number >> PAGE_BITS][number & PAGE_MASK]
                number = relink(heads, size - 1, self.chain, number, record)
        free(self.heads)
        self.heads = heads
        self.head_mask = size - 1
        self.record_size = size

    cdef void _release(self, uint32_t number) noexcept nogil:
        self.references[number] -= 1
        if not self.references[number]:
            self._unlink(number)
            self.live_records -= 1
            self._defer(NULL, number)

    cdef void _unlink(self, uint32_t number) noexcept nogil:
        cdef const Record *record = &self.records[number >> PAGE_BITS][number & PAGE_MASK]
        cdef uint32_t *link = &self.heads[
            mix(record.reason, record.since, record.expires, record.trust) & self.head_mask
        ]
        while link[0] != number:
            link = &self.chain[link[0]]
        link[0] = self.chain[number]

    cdef void _forget_record(self, uint32_t number):
        cdef uint32_t reason = self.records[number >> PAGE_BITS][number & PAGE_MASK].reason
        self.free_records.append(number)
        self.reason_references[reason] -= 1
        if not self.reason_references[reason]:
            del self.reason_numbers[self.reason_texts[reason]]
            free(self.reasons[reason >> PAGE_BITS][reason & PAGE_MASK])
            self.reasons[reason >> PAGE_BITS][reason & PAGE_MASK] = NULL
            self.free_reasons.append(reason)

    cdef uint32_t _reason_number(self, bytes text):
        cdef uint32_t number
        cdef unsigned char *copy
        cdef const unsigned char *start = text
        known = self.reason_numbers.get(text)
        if known is not None:
            return known
        if self.free_reasons:
            number = self.free_reasons.pop()
            self.reason_texts[number] = text
        else:
            number = len(self.reason_texts)
            self.reason_texts.append(text)
            self.reason_references.append(0)
            if not number & PAGE_MASK:
                self.reasons[number >> PAGE_BITS] = <unsigned char **> calloc(PAGE_MASK + 1, sizeof(void *))
                if not self.reasons[number >> PAGE_BITS]:
                    abort()
        copy = <unsigned char *> allocate(1 + len(text))
        copy[0] = <unsigned char> len(text)
        memcpy(copy + 1, start, len(text))
        self.reasons[number >> PAGE_BITS][number & PAGE_MASK] = copy
        self.reason_numbers[text] = number
        return number

    # Hosts: the old ones and the changes, merged beside

    cdef HostTree *_merge4(
        self, const HostTree *old, const uint64_t *value, const uint32_t *record, size_t count
    ) noexcept nogil:
        cdef HostTree *tree = <HostTree *> calloc(1, sizeof(HostTree))
        cdef Page *page = NULL
        cdef size_t first = 0
        cdef size_t end, i, octet
        cdef int64_t grown = 0
        if not tree:
            abort()
        if old:
            memcpy(tree, old, sizeof(HostTree))
        while first < count:
            octet = value[first] >> 24
            page = <Page *> calloc(1, sizeof(Page))
            if not page:
                abort()
            if tree.page[octet]:
                memcpy(page, tree.page[octet], sizeof(Page))
                self._retire(tree.page[octet])
            tree.page[octet] = page
            while first < count and value[first] >> 24 == octet:
                end = first + 1
                while end < count and value[end] >> 16 == value[first] >> 16:
                    end += 1
                i = (value[first] >> 16) & 255
                page.leaf[i] = self._merge_leaf(page.leaf[i], value + first, record + first, end - first, &grown)
                first = end
            for i in range(256):
                if page.leaf[i]:
                    break
            else:
                free(page)
                tree.page[octet] = NULL
        tree.count += grown
        if tree.count:
            return tree
        free(tree)
        return NULL

    cdef Leaf *_merge_leaf(
        self, Leaf *old, const uint64_t *value, const uint32_t *record, size_t count, int64_t *grown
    ) noexcept nogil:
        """Return the leaf with the changes made, NULL if nothing is left; ``grown``: by how many hosts."""
        cdef size_t had = old.count if old else 0
        cdef uint32_t *records = <uint32_t *> allocate((had + count) * sizeof(uint32_t))
        cdef uint16_t *low = <uint16_t *> allocate((had + count) * sizeof(uint16_t))
        cdef size_t i = 0
        cdef size_t j = 0
        cdef size_t n = 0
        cdef Leaf *leaf = NULL
        while i < had or j < count:
            if j == count or (i < had and lows(old)[i] < <uint16_t> value[j]):
                records[n] = old.record[i]
                low[n] = lows(old)[i]
                n += 1
                i += 1
                continue
            if i < had and lows(old)[i] == <uint16_t> value[j]:
                self._release(old.record[i])
                i += 1
            if record[j] != NO_RECORD:
                records[n] = record[j]
                low[n] = <uint16_t> value[j]
                n += 1
            j += 1
        if n:
            leaf = <Leaf *> allocate(leaf_bytes(n))
            leaf.count = <uint32_t> n
            memcpy(leaf.record, records, n * sizeof(uint32_t))
            memcpy(lows(leaf), low, n * sizeof(uint16_t))
        free(records)
        free(low)
        self._retire(old)
        grown[0] += <int64_t> n - <int64_t> had
        return leaf

    cdef void _retire_tree(self, HostTree *tree) noexcept nogil:
        cdef size_t i, j, k
        cdef Leaf *leaf
        for i in range(256):
            if not tree.page[i]:
                continue
            for j in range(256):
                leaf = tree.page[i].leaf[j]
                if leaf:
                    for k in range(leaf.count):
                        self._release(leaf.record[k])
                    self._retire(leaf)
            self._retire(tree.page[i])
        self._retire(tree)

    cdef HostList *_merge6(
        self, const HostList *old, const uint64_t *value, const uint32_t *record, size_t count
    ) noexcept nogil:
        cdef size_t had = old.count if old else 0
        cdef size_t room = had + count
        cdef char *block = <char *> allocate(sizeof(HostList) + room * (sizeof(uint64_t) + sizeof(uint32_t)))
        cdef HostList *list_ = <HostList *> block
        cdef size_t i = 0
        cdef size_t j = 0
        cdef size_t n = 0
        list_.value = <uint64_t *> (block + sizeof(HostList))
        list_.record = <uint32_t *> (list_.value + room)
        while i < had or j < count:
            if j == count or (i < had and old.value[i] < value[j]):
                list_.value[n] = old.value[i]
                list_.record[n] = old.record[i]
                n += 1
                i += 1
                continue
            if i < had and old.value[i] == value[j]:
                self._release(old.record[i])
                i += 1
            if record[j] != NO_RECORD:
                list_.value[n] = value[j]
                list_.record[n] = record[j]
                n += 1
            j += 1
        list_.count = n
        if n:
            return list_
        free(block)
        return NULL


cdef inline size_t mix(uint32_t a, uint32_t b, uint32_t c, uint32_t d) noexcept nogil:
    cdef uint64_t h = (<uint64_t> a << 32 | b) * <uint64_t> 0x9E3779B97F4A7C15
    h ^= h >> 29
    h = (h + (<uint64_t> c << 3 | d)) * <uint64_t> 0xBF58476D1CE4E5B9
    return h ^ (h >> 32)


cdef inline uint32_t relink(
    uint32_t *heads, size_t mask, uint32_t *chain, uint32_t number, const Record *record
) noexcept nogil:
    """Move a record to the head of its chain among ``heads``; return the next one of its old chain."""
    cdef size_t head = mix(record.reason, record.since, record.expires, record.trust) & mask
    cdef uint32_t after = chain[number]
    chain[number] = heads[head]
    heads[head] = number
    return after
