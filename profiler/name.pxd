from libc.stdint cimport uint32_t, uint64_t

cdef Py_ssize_t registrable_at(const unsigned char *name, Py_ssize_t length) noexcept nogil
cdef uint32_t signs_of_name(
    const unsigned char *name, Py_ssize_t length, uint64_t ip_hi, uint64_t ip_lo
) noexcept nogil
cdef uint32_t signs_of_helo(
    const unsigned char *helo, Py_ssize_t length, const unsigned char *rdns, Py_ssize_t rdns_length,
    uint64_t ip_hi, uint64_t ip_lo
) noexcept nogil
