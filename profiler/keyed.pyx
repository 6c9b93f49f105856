# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Keyed hashes of names and mail addresses: what a row keeps where text would identify a person.

SipHash-2-4 (Aumasson and Bernstein, 2012) with the installation's own 128-bit key, so that nobody without the key
can test a guess, and so that no sender can choose names that collide. 0 is kept for "not seen".
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

KEY_BYTES = 16


cdef inline uint64_t rotl(uint64_t x, int b) noexcept nogil:
    return (x << b) | (x >> (64 - b))


cdef inline void round_(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotl(v[1], 13)
    v[1] ^= v[0]
    v[0] = rotl(v[0], 32)
    v[2] += v[3]
    v[3] = rotl(v[3], 16)
    v[3] ^= v[2]
    v[0] += v[3]
    v[3] = rotl(v[3], 21)
    v[3] ^= v[0]
    v[2] += v[1]
    v[1] = rotl(v[1], 17)
    v[1] ^= v[2]
    v[2] = rotl(v[2], 32)


cdef inline uint64_t lower8(uint64_t word) noexcept nogil:
    # ASCII upper case to lower case in eight bytes at once.
    cdef uint64_t heptets = word & 0x7F7F7F7F7F7F7F7FULL
    cdef uint64_t above_z = heptets + 0x2525252525252525ULL  # 0x80 - ('Z' + 1)
    cdef uint64_t from_a = heptets + 0x3F3F3F3F3F3F3F3FULL  # 0x80 - 'A'
    cdef uint64_t upper = (from_a ^ above_z) & ~word & 0x8080808080808080ULL
    return word | (upper >> 2)


cdef inline uint64_t absorb(
    uint64_t k0, uint64_t k1, const unsigned char *data, Py_ssize_t length, bint lower
) noexcept nogil:
    cdef uint64_t v[4]
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    cdef int i
    v[0] = k0 ^ 0x736F6D6570736575ULL
    v[1] = k1 ^ 0x646F72616E646F6DULL
    v[2] = k0 ^ 0x6C7967656E657261ULL
    v[3] = k1 ^ 0x7465646279746573ULL
    while at + 8 <= length:
        memcpy(&word, data + at, 8)
        if lower:
            word = lower8(word)
        v[3] ^= word
        round_(v)
        round_(v)
        v[0] ^= word
        at += 8
    word = 0
    memcpy(&word, data + at, length - at)
    if lower:
        word = lower8(word)
    word |= <uint64_t>length << 56
    v[3] ^= word
    round_(v)
    round_(v)
    v[0] ^= word
    v[2] ^= 0xFF
    for i in range(4):
        round_(v)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


cdef uint64_t siphash(uint64_t k0, uint64_t k1, const unsigned char *data, Py_ssize_t length) noexcept nogil:
    cdef uint64_t value = absorb(k0, k1, data, length, False)
    return value if value else 1


cdef uint64_t siphash_lower(
    uint64_t k0, uint64_t k1, const unsigned char *data, Py_ssize_t length
) noexcept nogil:
    cdef uint64_t value = absorb(k0, k1, data, length, True)
    return value if value else 1


cdef tuple halves(bytes key):
    if len(key) != KEY_BYTES:
        raise ValueError(f"the key has {len(key)} bytes, not {KEY_BYTES}")
    return int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")


def keyed_hash(bytes key, bytes data):
    """Return the 64-bit hash of ``data`` under the 16-byte ``key``, never 0."""
    k0, k1 = halves(key)
    return siphash(k0, k1, data, len(data))


def keyed_hash_lower(bytes key, bytes data):
    """Return :func:`keyed_hash` of ``data`` with ASCII letters in lower case."""
    k0, k1 = halves(key)
    return siphash_lower(k0, k1, data, len(data))
