from libc.stdint cimport uint64_t

cdef uint64_t siphash(uint64_t k0, uint64_t k1, const unsigned char *data, Py_ssize_t length) noexcept nogil
cdef uint64_t siphash_lower(uint64_t k0, uint64_t k1, const unsigned char *data, Py_ssize_t length) noexcept nogil
