# What the parsers of text lines share, in C: finding, numbers, addresses, civil time. Spans are [at, end).
# Nothing here allocates, raises or needs the GIL.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset


cdef extern from "<string.h>" nogil:
    """
    #ifndef _GNU_SOURCE
    extern void *memmem(const void *, size_t, const void *, size_t);
    #endif
    """
    void *memmem(const void *, size_t, const void *, size_t)

cdef enum:
    V6_GROUPS = 8
    SECONDS_A_DAY = 86400


cdef inline const unsigned char *find_byte(const unsigned char *at, const unsigned char *end, int c) noexcept nogil:
    # The first such byte, or NULL.
    if at >= end:
        return NULL
    return <const unsigned char *>memchr(at, c, end - at)


cdef inline const unsigned char *find(
    const unsigned char *at, const unsigned char *end, const char *text, Py_ssize_t length
) noexcept nogil:
    # Where ``text`` starts, or NULL.
    if end - at < length:
        return NULL
    return <const unsigned char *>memmem(at, end - at, text, length)


cdef inline bint starts(
    const unsigned char *at, const unsigned char *end, const char *text, Py_ssize_t length
) noexcept nogil:
    return end - at >= length and memcmp(at, text, length) == 0


cdef inline bint is_digit(unsigned char c) noexcept nogil:
    return <unsigned char>(c - 48) < 10


cdef inline int two_digits(const unsigned char *at) noexcept nogil:
    # A number of exactly two digits, or -1.
    if not is_digit(at[0]) or not is_digit(at[1]):
        return -1
    return (at[0] - 48) * 10 + at[1] - 48


cdef inline const unsigned char *take_number(
    const unsigned char *at, const unsigned char *end, uint64_t *value
) noexcept nogil:
    # Past the digits; the value stops growing before it would overflow. ``at`` itself where there is none.
    value[0] = 0
    while at < end and is_digit(at[0]):
        if value[0] < 100000000000000000ULL:
            value[0] = value[0] * 10 + at[0] - 48
        at += 1
    return at


cdef inline bint parse_v4(const unsigned char *at, const unsigned char *end, uint32_t *value) noexcept nogil:
    # Dotted quad in decimal; leading zeros are refused, as in profiler.address.
    cdef int octet, digits, i
    value[0] = 0
    for i in range(4):
        octet = digits = 0
        while at < end and is_digit(at[0]) and digits < 4:
            if digits and octet == 0:
                return False
            octet = octet * 10 + at[0] - 48
            digits += 1
            at += 1
        if digits == 0 or octet > 255:
            return False
        value[0] = value[0] << 8 | <uint32_t>octet
        if i < 3:
            if at >= end or at[0] != c".":
                return False
            at += 1
    return at == end


cdef inline int hex_digit(unsigned char c) noexcept nogil:
    if is_digit(c):
        return c - 48
    c |= 32
    return c - 87 if 97 <= c <= 102 else -1


cdef inline bint parse_v6(
    const unsigned char *at, const unsigned char *end, uint64_t *hi, uint64_t *lo
) noexcept nogil:
    # RFC 4291 section 2.2, all three forms; no zone index.
    cdef uint32_t groups[V6_GROUPS]
    cdef uint32_t quad
    cdef int count = 0, gap = -1, digits, value, i, tail
    cdef const unsigned char *start
    if starts(at, end, "::", 2):
        gap = 0
        at += 2
    while at < end:
        if count == V6_GROUPS:
            return False
        start = at
        digits = value = 0
        while at < end and digits < 5 and hex_digit(at[0]) >= 0:
            value = value << 4 | hex_digit(at[0])
            digits += 1
            at += 1
        if at < end and at[0] == c".":
            if count > V6_GROUPS - 2 or not parse_v4(start, end, &quad):
                return False
            groups[count] = quad >> 16
            groups[count + 1] = quad & 0xFFFF
            count += 2
            at = end
            break
        if digits == 0 or digits > 4:
            return False
        groups[count] = value
        count += 1
        if at == end:
            break
        if at[0] != c":":
            return False
        at += 1
        if at == end:
            return False
        if at[0] == c":":
            if gap >= 0:
                return False
            gap = count
            at += 1
    if gap < 0 and count != V6_GROUPS or gap >= 0 and count == V6_GROUPS:
        return False
    hi[0] = lo[0] = 0
    tail = count - gap
    for i in range(V6_GROUPS):
        value = 0
        if gap < 0 or i < gap:
            value = groups[i]
        elif i >= V6_GROUPS - tail:
            value = groups[i - V6_GROUPS + count]
        if i < 4:
            hi[0] = hi[0] << 16 | <uint64_t>value
        else:
            lo[0] = lo[0] << 16 | <uint64_t>value
    return True


cdef inline bint parse_address(
    const unsigned char *at, const unsigned char *end, uint64_t *hi, uint64_t *lo
) noexcept nogil:
    # IPv4, or IPv6 with or without the tag of an SMTP address literal (RFC 5321 section 4.1.3).
    cdef uint32_t quad
    if parse_v4(at, end, &quad):
        hi[0] = 0
        lo[0] = <uint64_t>0xFFFF << 32 | quad
        return True
    if end - at > 5 and at[4] == c":" and (at[0] | 32) == c"i" and (at[1] | 32) == c"p" and at[3] == c"6":
        at += 5
    return parse_v6(at, end, hi, lo)


cdef inline int64_t days_of(int64_t year, int month, int day) noexcept nogil:
    # Days since 1970-01-01 in the proleptic Gregorian calendar.
    cdef int64_t era, years, days
    if month <= 2:
        year -= 1
    era = year // 400
    years = year - era * 400
    days = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + years * 365 + years // 4 - years // 100 + days - 719468


cdef inline int month_days(int year, int month) noexcept nogil:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month == 4 or month == 6 or month == 9 or month == 11 else 31
