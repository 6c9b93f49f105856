"""Where an export datagram ends, and where the next may start: C only, for the flow parser.

For datagrams that follow one another without anything between: NetFlow v5 says how many records it has, IPFIX how
long it is; NetFlow v9 says neither, so its sets are walked until what follows is no set.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from profiler.parse.pcap cimport be16, be32

cdef enum:
    V5_HEADER_BYTES = 24
    V5_RECORD_BYTES = 48
    V5_RECORDS_MAX = 30
    V9_HEADER_BYTES = 20
    IPFIX_HEADER_BYTES = 16
    DATAGRAM_MAX_BYTES = 65535
    PLAUSIBLE_BYTES = 24
    EARLIEST_EXPORT_SECONDS = 946684800  # the year 2000: only for finding the way back after damage

cdef enum Framing:
    WHOLE
    MORE
    BROKEN  # what follows the given length cannot be delimited
    PADDED  # the same, and zeros: nothing to complain of


cdef inline bint is_version(uint16_t word) noexcept nogil:
    return word == 5 or word == 9 or word == 10


cdef inline Framing frame(const uint8_t *p, Py_ssize_t n, bint final, Py_ssize_t *length) noexcept nogil:
    # How long the datagram at ``p`` is, where datagrams simply follow one another.
    cdef Py_ssize_t at
    cdef uint16_t word
    length[0] = 0
    if n < 4:
        return MORE
    word = be16(p)
    if word == 5:
        if be16(p + 2) == 0 or be16(p + 2) > V5_RECORDS_MAX:
            return BROKEN
        length[0] = V5_HEADER_BYTES + V5_RECORD_BYTES * be16(p + 2)
        return WHOLE if length[0] <= n else MORE
    if word == 10:
        if be16(p + 2) < IPFIX_HEADER_BYTES:
            return BROKEN
        length[0] = be16(p + 2)
        return WHOLE if length[0] <= n else MORE
    if word != 9:
        return BROKEN
    at = V9_HEADER_BYTES
    while True:
        length[0] = at
        if n == at and final:
            return WHOLE
        if n < at + 4:
            if n < at:
                length[0] = 0
            return MORE
        word = be16(p + at)
        if is_version(word):
            return WHOLE
        if word == 0 and be16(p + at + 2) == 0:
            return PADDED
        if (1 < word < 256) or be16(p + at + 2) < 4 or at + be16(p + at + 2) > DATAGRAM_MAX_BYTES:
            return BROKEN
        if at + be16(p + at + 2) > n:
            return MORE
        at += be16(p + at + 2)


cdef inline bint is_plausible(const uint8_t *p, int64_t latest_seconds) noexcept nogil:
    # Whether a datagram starts here; ``p`` has PLAUSIBLE_BYTES. Stricter than :func:`frame`: it searches.
    cdef uint16_t version = be16(p)
    cdef uint32_t seconds
    if not is_version(version) or be16(p + 2) == 0:
        return False
    seconds = be32(p + (4 if version == 10 else 8))
    if seconds < EARLIEST_EXPORT_SECONDS or seconds > latest_seconds:
        return False
    if version == 5:
        return be16(p + 2) <= V5_RECORDS_MAX and be32(p + 12) < 1000000000
    if version == 9:
        return (be16(p + 20) < 2 or be16(p + 20) > 255) and be16(p + 22) >= 4
    return (
        (be16(p + 16) > 255 or be16(p + 16) == 2 or be16(p + 16) == 3)
        and be16(p + 18) >= 4
        and be16(p + 18) + IPFIX_HEADER_BYTES <= be16(p + 2)
    )
