"""A packet of a capture file in, its UDP payload and sender out: C only, for the flow parser.

Takes classic pcap (draft-ietf-opsawg-pcap) in both byte orders with the link types below. Reassembles nothing and
knows nothing of what the payload says.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

cdef enum:
    FILE_HEADER_BYTES = 24
    PACKET_HEADER_BYTES = 16
    PACKET_MAX_BYTES = 262144  # libpcap's MAXIMUM_SNAPLEN
    VLAN_TAGS_MAX = 4
    EXTENSIONS_MAX = 8
    SENDER_MAX_BYTES = 18

cdef enum Order:
    NOT_PCAP
    BIG
    LITTLE

cdef enum Found:
    UDP
    OTHER  # not UDP over IP, or a later fragment: nothing to say about it
    FRAGMENT
    TRUNCATED

cdef enum Link:
    LINK_NULL = 0
    LINK_ETHERNET = 1
    LINK_RAW_BSD = 12
    LINK_RAW_OPENBSD = 14
    LINK_RAW = 101
    LINK_LOOP = 108
    LINK_SLL = 113
    LINK_IPV4 = 228
    LINK_IPV6 = 229
    LINK_SLL2 = 276

cdef struct Datagram:
    const uint8_t *data
    Py_ssize_t length
    uint8_t sender[SENDER_MAX_BYTES]  # the address's bytes, then the port's
    uint8_t sender_length


cdef inline uint16_t be16(const uint8_t *p) noexcept nogil:
    return <uint16_t>((p[0] << 8) | p[1])


cdef inline uint32_t be32(const uint8_t *p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]


cdef inline uint32_t file32(const uint8_t *p, Order order) noexcept nogil:
    if order == LITTLE:
        return (<uint32_t>p[3] << 24) | (<uint32_t>p[2] << 16) | (<uint32_t>p[1] << 8) | p[0]
    return be32(p)


cdef inline Order order_of(const uint8_t *p) noexcept nogil:
    # Microsecond and nanosecond magics; the packets' own times are not used, so they need no telling apart.
    cdef uint32_t magic = be32(p)
    if magic == 0xA1B2C3D4U or magic == 0xA1B23C4DU:
        return BIG
    if magic == 0xD4C3B2A1U or magic == 0x4D3CB2A1U:
        return LITTLE
    return NOT_PCAP


cdef inline bint is_link_known(uint32_t link) noexcept nogil:
    return (
        link == LINK_NULL or link == LINK_ETHERNET or link == LINK_RAW_BSD or link == LINK_RAW_OPENBSD
        or link == LINK_RAW or link == LINK_LOOP or link == LINK_SLL or link == LINK_IPV4
        or link == LINK_IPV6 or link == LINK_SLL2
    )


cdef inline Py_ssize_t network_offset(uint32_t link, const uint8_t *p, Py_ssize_t n) noexcept nogil:
    # Where the IP header starts; -1: the packet is not IP or too short to say.
    cdef Py_ssize_t at
    cdef uint16_t kind
    cdef int tags
    if link == LINK_NULL or link == LINK_LOOP:
        return 4
    if link == LINK_SLL:
        return 16 if n >= 16 and (be16(p + 14) == 0x0800 or be16(p + 14) == 0x86DD) else -1
    if link == LINK_SLL2:
        return 20 if n >= 20 and (be16(p) == 0x0800 or be16(p) == 0x86DD) else -1
    if link != LINK_ETHERNET:
        return 0
    at = 12
    for tags in range(VLAN_TAGS_MAX + 1):
        if n < at + 2:
            return -1
        kind = be16(p + at)
        if kind == 0x0800 or kind == 0x86DD:
            return at + 2
        if kind != 0x8100 and kind != 0x88A8 and kind != 0x9100:
            return -1
        at += 4
    return -1


cdef inline Found udp_of(const uint8_t *p, Py_ssize_t n, bint fragment, Datagram *out) noexcept nogil:
    # ``p`` is the UDP header; the sender's address is already in ``out``.
    cdef Py_ssize_t length
    if n < 8:
        return TRUNCATED
    length = be16(p + 4)
    if length < 8:
        return OTHER
    memcpy(out.sender + out.sender_length, p, 2)
    out.sender_length += 2
    out.data = p + 8
    out.length = length - 8
    if fragment:
        return FRAGMENT
    return UDP if length <= n else TRUNCATED


cdef inline Found ipv4_udp(const uint8_t *p, Py_ssize_t n, Datagram *out) noexcept nogil:
    cdef Py_ssize_t header = (p[0] & 15) * 4
    cdef uint16_t fragment
    if header < 20 or n < header or p[9] != 17:
        return OTHER
    fragment = be16(p + 6)
    if fragment & 0x1FFF:
        return OTHER
    memcpy(out.sender, p + 12, 4)
    out.sender_length = 4
    return udp_of(p + header, n - header, fragment & 0x2000 != 0, out)


cdef inline Found ipv6_udp(const uint8_t *p, Py_ssize_t n, Datagram *out) noexcept nogil:
    cdef uint8_t kind
    cdef Py_ssize_t at = 40
    cdef bint fragment = False
    cdef int extensions
    if n < 40:
        return OTHER
    kind = p[6]
    memcpy(out.sender, p + 8, 16)
    out.sender_length = 16
    for extensions in range(EXTENSIONS_MAX):
        if kind == 17:
            return udp_of(p + at, n - at, fragment, out)
        if n < at + 8:
            return OTHER
        if kind == 44:
            if be16(p + at + 2) & 0xFFF8:
                return OTHER
            fragment = be16(p + at + 2) & 1
            kind = p[at]
            at += 8
        elif kind == 0 or kind == 43 or kind == 60:
            kind = p[at]
            at += 8 + <Py_ssize_t>p[at + 1] * 8
        else:
            return OTHER
        if at > n:
            return OTHER
    return OTHER


cdef inline Found find_datagram(
    uint32_t link, const uint8_t *p, Py_ssize_t n, Datagram *out
) noexcept nogil:
    cdef Py_ssize_t at = network_offset(link, p, n)
    if at < 0 or n - at < 20:
        return OTHER
    p += at
    n -= at
    if p[0] >> 4 == 4:
        return ipv4_udp(p, n, out)
    if p[0] >> 4 == 6:
        return ipv6_udp(p, n, out)
    return OTHER
