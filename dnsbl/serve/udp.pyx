# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""DNS over UDP: threads that answer without the GIL, each with a socket of its own (SO_REUSEPORT).

A thread takes what has arrived, up to 64 datagrams in one call, answers it from the view that is current then, and
sends the replies in one call. It counts in numbers of its own, which others read while it writes them. A datagram
that deserves no reply is dropped and counted; so is one whose reply the kernel does not take.

On a wildcard address the reply leaves from the address that was asked (IP_PKTINFO, IPV6_PKTINFO).
"""

cimport cython
from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from dnsbl.wire.answer cimport UDP_CAP_BYTES, Client, Outcome, answer
from dnsbl.wire.rate cimport ACTIONS, CODED, DROPPED, TRUNCATED, Rates, RateTable
from dnsbl.zone.snapshot cimport Snapshots, View

import contextlib
import ipaddress
import socket
import struct
import threading

from dnsbl.wire.answer import RCODES

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <netinet/in.h>
    #include <sys/socket.h>
    #include <time.h>
    """

cdef extern from "sys/socket.h" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    struct msghdr:
        void *msg_name
        unsigned int msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        void *msg_control
        size_t msg_controllen
        int msg_flags
    struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    struct cmsghdr:
        int cmsg_level
        int cmsg_type
    struct sockaddr_storage:
        pass
    int AF_INET6
    int MSG_WAITFORONE
    int MSG_TRUNC
    int recvmmsg(int fd, mmsghdr *messages, unsigned int count, int flags, void *timeout)
    int sendmmsg(int fd, mmsghdr *messages, unsigned int count, int flags)
    cmsghdr *CMSG_FIRSTHDR(msghdr *message)
    unsigned char *CMSG_DATA(cmsghdr *header)

cdef extern from "netinet/in.h" nogil:
    struct sockaddr_in:
        unsigned int sin_addr
    struct sockaddr_in6:
        unsigned short sin6_family
        unsigned int sin6_addr
    struct in_pktinfo:
        int ipi_ifindex
    int IPPROTO_IP
    int IP_PKTINFO

cdef extern from "time.h" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_REALTIME_COARSE
    int clock_gettime(int clock, timespec *now)

BATCH = BATCH_DATAGRAMS
LIMITED = {DROPPED: "dropped", TRUNCATED: "truncated", CODED: "code"}
STOP_MICROSECONDS = 200_000
RECEIVE_BUFFER_BYTES = 4 << 20

cdef enum:
    BATCH_DATAGRAMS = 64
    # Longer than any question with its additional records that this server can be asked over UDP.
    QUERY_BYTES = 1500
    # The room of a reply; no power of two, so that a batch does not fall on few lines of the cache.
    REPLY_BYTES = 1344
    CONTROL_BYTES = 64
    SLOTS = 256
    RCODE_COUNT = 32

cdef struct Counters:
    uint64_t queries
    uint64_t dropped
    uint64_t unsent
    uint64_t limited[ACTIONS]
    uint64_t answers[SLOTS][RCODE_COUNT]

# All that a thread needs for a batch, allocated once.
cdef struct Worker:
    int fd
    int slot
    bint has_control
    Rates *rates
    uint32_t stop
    Counters counters
    mmsghdr incoming[BATCH_DATAGRAMS]
    mmsghdr outgoing[BATCH_DATAGRAMS]
    iovec incoming_data[BATCH_DATAGRAMS]
    iovec outgoing_data[BATCH_DATAGRAMS]
    sockaddr_storage source[BATCH_DATAGRAMS]
    unsigned char control[BATCH_DATAGRAMS][CONTROL_BYTES]
    unsigned char query[BATCH_DATAGRAMS][QUERY_BYTES]
    unsigned char reply[BATCH_DATAGRAMS][REPLY_BYTES]

cdef extern from *:
    """
    #define LOAD_FLAG(p) __atomic_load_n((p), __ATOMIC_RELAXED)
    #define STORE_FLAG(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
    """
    uint32_t LOAD_FLAG(uint32_t *) noexcept nogil
    void STORE_FLAG(uint32_t *, uint32_t) noexcept nogil


cdef void prepare(Worker *w) noexcept nogil:
    cdef int i
    for i in range(BATCH_DATAGRAMS):
        w.incoming_data[i].iov_base = &w.query[i][0]
        w.incoming_data[i].iov_len = QUERY_BYTES
        w.incoming[i].msg_hdr.msg_name = &w.source[i]
        w.incoming[i].msg_hdr.msg_iov = &w.incoming_data[i]
        w.incoming[i].msg_hdr.msg_iovlen = 1
        w.outgoing[i].msg_hdr.msg_iov = &w.outgoing_data[i]
        w.outgoing[i].msg_hdr.msg_iovlen = 1
        w.outgoing_data[i].iov_base = &w.reply[i][0]


cdef int receive(Worker *w, int used) noexcept nogil:
    """Wait for datagrams; return how many, or -1. ``used`` of the headers were used before."""
    cdef int i
    for i in range(used):
        w.incoming[i].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
        if w.has_control:
            w.incoming[i].msg_hdr.msg_control = &w.control[i][0]
            w.incoming[i].msg_hdr.msg_controllen = CONTROL_BYTES
    return recvmmsg(w.fd, w.incoming, BATCH_DATAGRAMS, MSG_WAITFORONE, NULL)


cdef void answer_from(msghdr *query, msghdr *reply) noexcept nogil:
    """Let the reply leave from the address that the query came to."""
    cdef cmsghdr *header = CMSG_FIRSTHDR(query)
    reply.msg_control = query.msg_control if header else NULL
    reply.msg_controllen = query.msg_controllen if header else 0
    if header and header.cmsg_level == IPPROTO_IP and header.cmsg_type == IP_PKTINFO:
        # The route back need not be the interface that it came in on.
        (<in_pktinfo *> CMSG_DATA(header)).ipi_ifindex = 0


cdef inline void read_client(const sockaddr_storage *source, Client *client) noexcept nogil:
    if (<const sockaddr_in6 *> source).sin6_family == AF_INET6:
        client.size = 16
        memcpy(client.address, &(<const sockaddr_in6 *> source).sin6_addr, 16)
    else:
        client.size = 4
        memcpy(client.address, &(<const sockaddr_in *> source).sin_addr, 4)


cdef int answer_batch(Worker *w, const View *view, uint32_t now, int received) noexcept nogil:
    """Answer a batch; return how many replies there are to send."""
    cdef Outcome outcome
    cdef Client client
    cdef msghdr *reply
    cdef int i, length
    cdef int replies = 0
    client.rates = w.rates
    for i in range(received):
        length = 0
        outcome.limited = 0
        if not w.incoming[i].msg_hdr.msg_flags & MSG_TRUNC:
            read_client(&w.source[i], &client)
            length = answer(
                w.query[i],
                <int> w.incoming[i].msg_len,
                view,
                &client,
                now,
                w.reply[replies],
                UDP_CAP_BYTES,
                False,
                &outcome,
            )
        if outcome.limited:
            w.counters.limited[outcome.limited] += 1
        if not length:
            w.counters.dropped += not outcome.limited
            continue
        w.counters.answers[outcome.slot][outcome.rcode] += 1
        reply = &w.outgoing[replies].msg_hdr
        reply.msg_name = &w.source[i]
        reply.msg_namelen = w.incoming[i].msg_hdr.msg_namelen
        if w.has_control:
            answer_from(&w.incoming[i].msg_hdr, reply)
        w.outgoing_data[replies].iov_len = length
        replies += 1
    w.counters.queries += received
    return replies


cdef void send_replies(Worker *w, int replies) noexcept nogil:
    cdef int sent = 0
    cdef int done
    while sent < replies:
        done = sendmmsg(w.fd, w.outgoing + sent, replies - sent, 0)
        if done > 0:
            sent += done
        elif errno != EINTR:
            # The kernel refuses this one (no route, filtered, no memory): its client asks again.
            w.counters.unsent += 1
            sent += 1


cdef void serve(Worker *w, Snapshots snapshots) noexcept nogil:
    cdef timespec now
    cdef int received
    cdef int used = BATCH_DATAGRAMS
    cdef int replies
    while not LOAD_FLAG(&w.stop):
        received = receive(w, used)
        if received <= 0:
            used = 1
            continue
        used = received
        clock_gettime(CLOCK_REALTIME_COARSE, &now)
        replies = answer_batch(w, snapshots.enter(w.slot), <uint32_t> now.tv_sec, received)
        snapshots.leave(w.slot)
        send_replies(w, replies)


# Its end gives the reader's slot back, so the collector must not take the snapshots away from it before.
@cython.no_gc_clear
cdef class _Thread:
    """One answering thread's memory and socket."""

    cdef Worker *worker
    cdef Snapshots snapshots
    cdef object kept_socket
    cdef RateTable rates

    def __cinit__(self, Snapshots snapshots not None, sock, bint has_control, RateTable rates):
        self.worker = <Worker *> calloc(1, sizeof(Worker))
        if not self.worker:
            raise MemoryError
        self.worker.slot = -1
        self.snapshots = snapshots
        self.kept_socket = sock
        self.worker.fd = sock.fileno()
        self.worker.has_control = has_control
        self.rates = rates
        if rates is not None:
            self.worker.rates = &rates.rates
        self.worker.slot = snapshots.take_slot()
        prepare(self.worker)

    def __dealloc__(self):
        if self.worker:
            if self.worker.slot >= 0:
                self.snapshots.give_slot(self.worker.slot)
            free(self.worker)

    def run(self):
        """Answer until :meth:`stop` is called from another thread."""
        with nogil:
            serve(self.worker, self.snapshots)

    def stop(self):
        """Ask the thread to end after its current wait, at most ``STOP_MICROSECONDS`` long."""
        STORE_FLAG(&self.worker.stop, 1)

    def count(self, dict answers, dict limited, list names):
        """Add this thread's numbers to ``answers`` and ``limited``; return queries, dropped and unsent."""
        cdef Counters *counters = &self.worker.counters
        cdef int slot, rcode
        for slot in range(min(len(names), SLOTS)):
            for rcode in range(RCODE_COUNT):
                if counters.answers[slot][rcode]:
                    key = names[slot], RCODES[rcode]
                    answers[key] = answers.get(key, 0) + counters.answers[slot][rcode]
        for action, name in LIMITED.items():
            limited[name] += counters.limited[<int> action]
        return counters.queries, counters.dropped, counters.unsent


class UdpServer:
    """Answers DNS over UDP from ``live`` (:class:`dnsbl.zone.live.LiveZones`) on ``host`` and ``port``.

    Port 0 lets the system choose; :attr:`port` tells after :meth:`start`. ``make_rates`` makes each thread's
    :class:`dnsbl.wire.rate.RateTable`; None: no limit.
    """

    def __init__(self, live, host, port, threads=1, make_rates=None):
        self._live = live
        self._host = host
        self.port = port
        self._count = threads
        self._make_rates = make_rates
        self._workers = []
        self._sockets = []
        self._threads = []

    def start(self):
        """Bind and begin to answer. OSError: the address cannot be bound; nothing runs then."""
        try:
            for _ in range(self._count):
                self._sockets.append(self._bind())
            self._workers = [
                _Thread(
                    self._live.snapshots, sock, self._is_wildcard(), self._make_rates() if self._make_rates else None
                )
                for sock in self._sockets
            ]
        except BaseException:
            self._close()
            raise
        for number, worker in enumerate(self._workers):
            thread = threading.Thread(target=worker.run, name=f"dns-udp-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self):
        """End the threads and close the sockets; within a second."""
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join()
        self._threads = []
        self._close()

    def stats(self):
        """Return ``queries``, ``dropped``, ``unsent``, ``answers`` by (zone name or ``-``, rcode name), ``limited``.

        ``limited`` counts by what a client beyond its limit got.
        """
        answers = {}
        limited = dict.fromkeys(LIMITED.values(), 0)
        queries = dropped = unsent = 0
        for worker in self._workers:
            more = worker.count(answers, limited, self._live.zone_names)
            queries, dropped, unsent = queries + more[0], dropped + more[1], unsent + more[2]
        return {"queries": queries, "dropped": dropped, "unsent": unsent, "answers": answers, "limited": limited}

    def _bind(self):
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        if self._count > 1 and not self._sockets:
            # SO_REUSEPORT would share the port with another server of the same user, and halve the queries.
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.bind((self._host, self.port))
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, self._count > 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, STOP_MICROSECONDS))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, self._is_wildcard())
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, self._is_wildcard())
            sock.bind((self._host, self.port))
        except BaseException:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        return sock

    def _is_wildcard(self):
        return ipaddress.ip_address(self._host).is_unspecified

    def _close(self):
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.close()
        self._sockets = []
