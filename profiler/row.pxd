# The C view of profiler.observation.OBSERVATION; test_observation holds the two equal.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef packed struct Row:
    int64_t time
    uint64_t ip_hi
    uint64_t ip_lo
    uint64_t queue
    uint64_t helo
    uint64_t sender
    uint64_t target
    uint64_t bytes
    uint32_t line
    uint32_t count
    uint32_t packets
    uint32_t duration
    uint32_t signs
    uint16_t recipients
    uint16_t dport
    uint16_t sport
    uint8_t event
    uint8_t reason
    uint8_t proto
    uint8_t spare[3]
