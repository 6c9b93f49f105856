from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    CLIENT_COOKIE_BYTES = 8
    SERVER_COOKIE_BYTES = 16
    COOKIE_BYTES = CLIENT_COOKIE_BYTES + SERVER_COOKIE_BYTES
    LONGEST_COOKIE_BYTES = 40

# 128 bits; rotating: the key of a day is made from them.
cdef struct Secret:
    uint64_t key[2]
    uint32_t is_on
    uint32_t rotates

cdef read_secret(bytes secret, bint rotates, Secret *out)
cdef uint64_t siphash(const uint64_t *key, const unsigned char *data, int size) noexcept nogil
cdef bint is_length_allowed(int size) noexcept nogil
cdef void write_cookie(
    const Secret *secret,
    const unsigned char *client_cookie,
    const unsigned char *address,
    int address_size,
    uint32_t now,
    unsigned char *out,
) noexcept nogil
cdef bint is_ours(
    const Secret *secret,
    const unsigned char *cookie,
    int size,
    const unsigned char *address,
    int address_size,
    uint32_t now,
) noexcept nogil
