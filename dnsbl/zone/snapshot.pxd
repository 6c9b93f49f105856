# What the answering code reads of a snapshot, without the GIL. Nothing here is ever written after it is published.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    LAYERS = 6
    READER_SLOTS = 128
    NO_RECORD = 0xFFFFFFFF

# What the answers about a listing need, shared by all listings with equal values.
cdef struct Record:
    uint32_t reason
    uint32_t since
    uint32_t expires
    uint32_t trust

# The IPv4 hosts of one /16: ``count`` records, then as many lower halves of addresses, in ascending order.
cdef struct Leaf:
    uint32_t count
    uint32_t record[1]

cdef struct Page:
    Leaf *leaf[256]

# The IPv4 hosts of a layer, by octet. A null pointer: nothing is listed below.
cdef struct HostTree:
    uint64_t count
    Page *page[256]

# The IPv6 /64s of a layer in ascending order; the arrays follow in the same block.
cdef struct HostList:
    uint64_t count
    uint64_t *value
    uint32_t *record

# Prefixes shorter than a host, flattened: disjoint intervals in ascending order, each naming its longest prefix,
# which names the next longer one around it (NO_RECORD: none). The arrays follow in the same block.
cdef struct Ranges:
    uint32_t intervals
    uint32_t prefixes
    uint64_t *start
    uint64_t *end
    uint32_t *prefix
    uint32_t *record
    uint32_t *parent

cdef struct View:
    uint32_t serial
    const unsigned char *zones  # made and read by dnsbl.wire.answer
    Record **records  # by number, in pages
    unsigned char ***reasons  # by number, in pages; a byte of length, then the text
    HostTree *v4[LAYERS]
    HostList *v6[LAYERS]
    Ranges *ranges4[LAYERS]
    Ranges *ranges6[LAYERS]

# One reader's announcement of the epoch it reads in, 0 while it reads nothing; alone in its cache line.
cdef struct Slot:
    uint64_t epoch
    uint64_t taken
    uint64_t spare[6]

cdef struct Garbage:
    void *block
    uint32_t record
    uint64_t epoch

cdef const Record *record_at(const View *view, uint32_t number) noexcept nogil
cdef const unsigned char *reason_at(const View *view, uint32_t number) noexcept nogil
cdef const Record *find4(const View *view, int layer, uint32_t value, uint32_t now, bint hosts_only) noexcept nogil
cdef const Record *find6(const View *view, int layer, uint64_t value, uint32_t now, bint hosts_only) noexcept nogil
cdef bint any4(const View *view, int layer, uint32_t first, uint32_t last) noexcept nogil
cdef bint any6(const View *view, int layer, uint64_t first, uint64_t last) noexcept nogil

cdef class Snapshots:
    cdef View *current
    cdef View *draft
    cdef uint64_t epoch
    cdef Slot slots[READER_SLOTS]
    cdef Garbage *garbage
    cdef size_t garbage_head, garbage_count, garbage_size
    cdef Record **records
    cdef uint32_t *references
    cdef uint32_t *chain
    cdef uint32_t *heads
    cdef uint32_t record_count, record_size, head_mask, live_records
    cdef list free_records
    cdef unsigned char ***reasons
    cdef dict reason_numbers
    cdef list reason_texts, reason_references, free_reasons

    cdef const View *enter(self, int slot) noexcept nogil
    cdef void leave(self, int slot) noexcept nogil
    cdef int take_slot(self) except -1
    cdef void give_slot(self, int slot) noexcept
    cdef View *_edit(self)
    cdef void _retire(self, void *block) noexcept nogil
    cdef void _defer(self, void *block, uint32_t record) noexcept nogil
    cdef uint32_t _intern(self, uint32_t reason, uint32_t since, uint32_t expires, uint32_t trust)
    cdef void _grow_records(self)
    cdef void _release(self, uint32_t number) noexcept nogil
    cdef void _unlink(self, uint32_t number) noexcept nogil
    cdef void _forget_record(self, uint32_t number)
    cdef uint32_t _reason_number(self, bytes text)
    cdef void _retire_tree(self, HostTree *tree) noexcept nogil
    cdef HostTree *_merge4(self, const HostTree *old, const uint64_t *value, const uint32_t *record, size_t count) noexcept nogil
    cdef Leaf *_merge_leaf(self, Leaf *old, const uint64_t *value, const uint32_t *record, size_t count, int64_t *grown) noexcept nogil
    cdef HostList *_merge6(self, const HostList *old, const uint64_t *value, const uint32_t *record, size_t count) noexcept nogil
    cdef void _reclaim(self)
