from libc.stdint cimport uint32_t

from dnsbl.wire.rate cimport Rates
from dnsbl.zone.snapshot cimport View

cdef enum:
    NO_ZONE = 0
    UDP_CAP_BYTES = 1232

# Who asks: octets of the address, 0 for the server itself, which is refused nothing.
cdef struct Client:
    int size
    unsigned char address[16]
    Rates *rates  # NULL: no limit

# What the counters want to know of a reply: the zone's slot (NO_ZONE: none of ours) and the extended rcode.
cdef struct Outcome:
    uint32_t slot
    uint32_t rcode
    uint32_t limited  # of dnsbl.wire.rate: what a client beyond its limit got

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
) noexcept nogil
