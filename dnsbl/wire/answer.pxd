from libc.stdint cimport uint32_t

from dnsbl.zone.snapshot cimport View

cdef enum:
    NO_ZONE = 0
    UDP_CAP_BYTES = 1232

# What the counters want to know of a reply: the zone's slot (NO_ZONE: none of ours) and the extended rcode.
cdef struct Outcome:
    uint32_t slot
    uint32_t rcode

cdef int answer(
    const unsigned char *query,
    int length,
    const View *view,
    uint32_t now,
    unsigned char *out,
    int cap,
    bint is_tcp,
    Outcome *outcome,
) noexcept nogil
