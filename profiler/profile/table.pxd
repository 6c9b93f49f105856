from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef struct Profile:
    uint64_t ip_hi
    uint64_t ip_lo
    int64_t first
    int64_t last
    uint32_t observations
    int32_t day
    int32_t slot
    int16_t fast_epoch
    int16_t slow_epoch
    uint32_t fast[2][8]
    uint32_t slow[2][4]
    uint16_t recent[16][2]
    uint64_t helos[2]
    uint64_t destinations[2]
    uint32_t rdns
    uint32_t helo
    uint32_t messages
    uint32_t pardoned

cdef struct Columns:
    uint64_t ip_hi
    uint64_t ip_lo
    int64_t first
    int64_t last
    double fast[8]
    double slow[4]
    double recent_good
    double recent_bad
    double cusum
    double helos
    double destinations
    uint32_t observations
    uint32_t rdns
    uint32_t helo
    uint32_t messages
    uint8_t saturated
    uint8_t classes
    uint8_t spare[6]

# What judging decided, beside the profile: not merged, but made anew from it.
cdef struct Standing:
    int64_t since
    uint8_t classes
    uint8_t trust
    uint16_t confidence
    uint32_t spare

cdef struct Open:
    uint64_t queue
    uint64_t ip_hi
    uint64_t ip_lo
    uint64_t signs

# What this run of folding did with a slot: numbers of runs, and the slot's place among those that changed.
cdef struct Mark:
    uint32_t changed
    uint32_t blamed
    uint32_t suspended
    uint32_t position

# A row that waits until its address has been judged.
cdef struct Waiting:
    uint32_t row
    uint32_t slot
    uint32_t by_user
