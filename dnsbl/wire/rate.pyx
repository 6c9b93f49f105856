# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""How many replies a client's network may have (response rate limiting), without the GIL.

A client's address and the time in; whether it is answered, truncated or dropped, out. A network (/24, /56) may have
as many replies in a second as are configured, and as many at once. The table is of a fixed size, for one thread; the
network that was quiet longest makes room. Knows no message.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

import secrets

from dnsbl.wire.cookie cimport siphash

cdef enum:
    SETS = 1 << 14
    WAYS = 4
    V4_BYTES = 3
    V6_BYTES = 7


cdef int take(Rates *rates, const unsigned char *address, int size, uint32_t now) noexcept nogil:
    """Count one reply to an address of 4 or 16 octets; return PASSED, DROPPED or TRUNCATED."""
    cdef uint64_t client = siphash(rates.key, address, V4_BYTES if size == 4 else V6_BYTES) | 1
    cdef Bucket *set_ = rates.bucket + (client >> 32) % SETS * WAYS
    cdef Bucket *found = set_
    cdef int i
    for i in range(WAYS):
        if set_[i].client == client:
            found = &set_[i]
            break
        if set_[i].second < found.second:
            found = &set_[i]
    if found.client != client:
        found.client = client
        found.second = now
        found.credit = rates.per_second
    elif found.second < now:
        # A second's credit is all that can be saved.
        found.second = now
        found.credit = rates.per_second
    if found.credit:
        found.credit -= 1
        return PASSED
    rates.limited += 1
    return TRUNCATED if rates.slip and rates.limited % rates.slip == 0 else DROPPED


cdef class RateTable:
    """A thread's table: ``per_second`` replies for a network; beyond it each ``slip``-th is truncated (0: none).

    With ``with_code``, questions for an address are answered 127.255.255.255 instead.
    """

    def __cinit__(self, uint32_t per_second, uint32_t slip, bint with_code):
        self.rates.per_second = per_second
        self.rates.slip = slip
        self.rates.with_code = with_code
        self.rates.key[0] = secrets.randbits(64)
        self.rates.key[1] = secrets.randbits(64)
        self.rates.bucket = <Bucket *> calloc(SETS * WAYS, sizeof(Bucket))
        if not self.rates.bucket:
            raise MemoryError

    def __dealloc__(self):
        free(self.rates.bucket)

    def take(self, bytes address not None, uint32_t now):
        """Count one reply; return 0 if it may be given, 1 if it is dropped, 2 if it is truncated."""
        if len(address) not in (4, 16):
            raise ValueError("an address has 4 or 16 octets")
        return take(&self.rates, address, <int> len(address), now)
