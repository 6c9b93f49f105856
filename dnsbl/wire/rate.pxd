from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    PASSED = 0
    DROPPED = 1
    TRUNCATED = 2
    CODED = 3
    ACTIONS = 4

cdef struct Bucket:
    uint64_t client
    uint32_t second
    uint32_t credit

cdef struct Rates:
    uint32_t per_second
    uint32_t slip
    uint32_t with_code
    uint32_t limited
    uint64_t key[2]
    Bucket *bucket

cdef int take(Rates *rates, const unsigned char *address, int size, uint32_t now) noexcept nogil

cdef class RateTable:
    cdef Rates rates
