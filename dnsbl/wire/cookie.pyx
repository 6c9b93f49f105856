# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""DNS cookies (RFC 7873) as interoperable servers make them (RFC 9018), without the GIL.

A secret, a client's cookie and address and the time in; a server's cookie, or whether one is ours, out. Nothing is
kept of a client: what was given to it is recognised because it can be made again. Knows no message.
"""

from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    VERSION = 1
    HEAD_BYTES = 8
    # RFC 9018 §4.3.
    OLDEST_SECONDS = 3600
    EARLIEST_SECONDS = 300
    ROTATION_SECONDS = 86400
    ADDRESS_BYTES = 16


cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)


cdef inline void sip_round(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotate(v[1], 13) ^ v[0]
    v[0] = rotate(v[0], 32)
    v[2] += v[3]
    v[3] = rotate(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = rotate(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = rotate(v[1], 17) ^ v[2]
    v[2] = rotate(v[2], 32)


cdef inline uint64_t little(const unsigned char *at, int size) noexcept nogil:
    cdef uint64_t value = 0
    cdef int i
    for i in range(size):
        value |= <uint64_t> at[i] << (8 * i)
    return value


cdef uint64_t siphash(const uint64_t *key, const unsigned char *data, int size) noexcept nogil:
    """Return SipHash-2-4 (Aumasson, Bernstein 2012) of ``size`` octets under a key of two words."""
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef int at = 0
    cdef int i
    v[0] = key[0] ^ <uint64_t> 0x736F6D6570736575
    v[1] = key[1] ^ <uint64_t> 0x646F72616E646F6D
    v[2] = key[0] ^ <uint64_t> 0x6C7967656E657261
    v[3] = key[1] ^ <uint64_t> 0x7465646279746573
    while True:
        if at + 8 <= size:
            word = little(data + at, 8)
        else:
            word = little(data + at, size - at) | <uint64_t> (size & 255) << 56
        v[3] ^= word
        sip_round(v)
        sip_round(v)
        v[0] ^= word
        if at + 8 > size:
            break
        at += 8
    v[2] ^= 0xFF
    for i in range(4):
        sip_round(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef inline bint is_length_allowed(int size) noexcept nogil:
    """Whether a COOKIE option may be so long (RFC 7873 §5.2.2)."""
    return size == CLIENT_COOKIE_BYTES or COOKIE_BYTES - 8 <= size <= LONGEST_COOKIE_BYTES


cdef uint64_t hash_of(
    const Secret *secret, const unsigned char *cookie, const unsigned char *address, int address_size
) noexcept nogil:
    """Return the hash over a client's cookie, the head of the server's after it, and the client's address."""
    cdef unsigned char data[CLIENT_COOKIE_BYTES + HEAD_BYTES + ADDRESS_BYTES]
    cdef unsigned char day[8]
    cdef uint64_t key[2]
    cdef uint32_t stamp
    cdef int i
    key[0] = secret.key[0]
    key[1] = secret.key[1]
    if secret.rotates:
        stamp = <uint32_t> cookie[12] << 24 | <uint32_t> cookie[13] << 16 | <uint32_t> cookie[14] << 8 | cookie[15]
        stamp //= ROTATION_SECONDS
        for i in range(2):
            memcpy(day, &stamp, 4)
            memcpy(day + 4, &i, 4)
            key[i] = siphash(secret.key, day, 8)
    memcpy(data, cookie, CLIENT_COOKIE_BYTES + HEAD_BYTES)
    memcpy(data + CLIENT_COOKIE_BYTES + HEAD_BYTES, address, address_size)
    return siphash(key, data, CLIENT_COOKIE_BYTES + HEAD_BYTES + address_size)


cdef void write_cookie(
    const Secret *secret,
    const unsigned char *client_cookie,
    const unsigned char *address,
    int address_size,
    uint32_t now,
    unsigned char *out,
) noexcept nogil:
    """Write the ``COOKIE_BYTES`` of a client's cookie and a fresh one of ours; ``now`` in seconds since 1970."""
    cdef uint64_t made
    cdef int i
    memcpy(out, client_cookie, CLIENT_COOKIE_BYTES)
    out[8] = VERSION
    out[9] = out[10] = out[11] = 0
    for i in range(4):
        out[12 + i] = <unsigned char> (now >> (24 - 8 * i))
    made = hash_of(secret, out, address, address_size)
    for i in range(8):
        out[16 + i] = <unsigned char> (made >> (8 * i))


cdef bint is_ours(
    const Secret *secret,
    const unsigned char *cookie,
    int size,
    const unsigned char *address,
    int address_size,
    uint32_t now,
) noexcept nogil:
    """Whether a COOKIE option's ``size`` octets hold a cookie that we gave to this client lately."""
    cdef uint64_t made
    cdef uint32_t stamp
    cdef int32_t age
    if size != COOKIE_BYTES or cookie[8] != VERSION:
        return False
    stamp = <uint32_t> cookie[12] << 24 | <uint32_t> cookie[13] << 16 | <uint32_t> cookie[14] << 8 | cookie[15]
    age = <int32_t> (now - stamp)
    if not -EARLIEST_SECONDS <= age <= OLDEST_SECONDS:
        return False
    made = hash_of(secret, cookie, address, address_size)
    return made == little(cookie + 16, 8)


cdef read_secret(bytes secret, bint rotates, Secret *out):
    cdef const unsigned char *data = secret
    out.is_on = 1
    out.rotates = rotates
    out.key[0] = little(data, 8)
    out.key[1] = little(data + 8, 8)


def make(bytes secret not None, bint rotates, bytes client_cookie not None, bytes address not None, uint32_t now):
    """Return the whole COOKIE option for a client of an address of 4, 16 or no octets; the secret has 16."""
    cdef Secret kept
    cdef unsigned char out[COOKIE_BYTES]
    if len(secret) != 16 or len(client_cookie) != CLIENT_COOKIE_BYTES or len(address) > ADDRESS_BYTES:
        raise ValueError("a secret of 16 octets, a client's cookie of 8 and an address of at most 16 are needed")
    read_secret(secret, rotates, &kept)
    write_cookie(&kept, client_cookie, address, <int> len(address), now, out)
    return out[:COOKIE_BYTES]
