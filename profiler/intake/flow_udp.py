"""NetFlow and IPFIX exports from a UDP socket to a sink, in batches, on a thread of its own.

In: datagrams of the exporters that are believed. Out: one :class:`~profiler.parse.registry.Parsed` a batch. Every
way in which a datagram can be lost is counted. Must not know where the rows go.

Rules:

1. A batch ends when the socket is empty, or at BATCH_DATAGRAMS, BATCH_BYTES or BATCH_SECONDS: what arrives while
   the sink works is the next batch, so batches grow with the load and nothing waits without it.
2. Nothing that an exporter sends, and nothing that the sink raises, ends the thread.
"""

import ipaddress
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable

from profiler.address import IPNetwork, parse_network
from profiler.errors import JournalError
from profiler.parse.flow import FlowParser
from profiler.parse.registry import Context, Parsed

BATCH_DATAGRAMS = 512
BATCH_BYTES = 1 << 20
BATCH_SECONDS = 0.05
#: Asked of the kernel; without privilege it gives what net.core.rmem_max allows.
RECEIVE_BUFFER_BYTES = 32 << 20
DATAGRAM_BYTES = 65_535
#: So many senders are remembered as believed or not.
SENDERS_MAX = 4_096
#: So long, at most, what the kernel already holds is read after :meth:`FlowListener.stop`.
STOP_SECONDS = 1.0

# Linux's numbers, which Python's socket module lacks.
_SO_RXQ_OVFL = 40
_SO_RCVBUFFORCE = 33
_DROPS = struct.Struct("=I")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_DROPS.size)

log = logging.getLogger(__name__)


class FlowListener:
    """Receives exports at ``host`` and ``port`` (0: any free one) and hands each batch's flows to ``sink``.

    Only senders inside ``exporters`` are believed. ``clock`` gives seconds since 1970. ``hash_key`` is the
    installation's 16-byte key for the hashes in rows. ``sink`` is called on the listener's thread; while it blocks,
    the kernel keeps what arrives.

    Raises:
        OSError: the address cannot be bound.
        AddressError: an exporter is no prefix.
    """

    def __init__(
        self,
        host: str,
        port: int,
        sink: Callable[[Parsed], object],
        exporters: Iterable[str],
        clock: Callable[[], float] = time.time,
        *,
        hash_key: bytes,
    ) -> None:
        #: Datagrams received from exporters that are believed.
        self.datagrams = 0
        #: Datagrams from anybody else.
        self.refused = 0
        #: Datagrams whose flows the sink did not take.
        self.dropped = 0
        #: Datagrams that the kernel dropped because its buffer was full.
        self.kernel_drops = 0
        self._sink = sink
        self._clock = clock
        self._networks = tuple(parse_network(text) for text in exporters)
        self._parser = FlowParser(Context(hash_key, self._now()))
        self._senders: dict[tuple[str, int], bytes | None] = {}
        self._last_failure = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flow-listener", daemon=True)
        self._socket = _bound_socket(host, port)
        self._waker, self._wake = socket.socketpair()

    @property
    def address(self) -> tuple[str, int]:
        """Where the listener is bound."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def templates(self) -> int:
        """How many templates are known."""
        return self._parser.templates

    @property
    def templates_dropped(self) -> int:
        """How many templates were dropped because there were too many."""
        return self._parser.templates_dropped

    def start(self) -> None:
        """Start receiving."""
        self._thread.start()

    def stop(self) -> None:
        """Hand over what has arrived, stop receiving and free the port. May be called twice."""
        self._stopping.set()
        if self._waker.fileno() >= 0:
            self._waker.close()
        if self._thread.is_alive():
            self._thread.join()
        self._wake.close()
        self._socket.close()

    def _now(self) -> int:
        return int(self._clock() * 1_000_000)

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while not self._stopping.is_set():
            poll.poll()
            self._deliver(self._receive())
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until and (batch := self._receive()):
            self._deliver(batch)

    def _receive(self) -> list[tuple[bytes, bytes]]:
        """Return what the socket holds, as far as one batch goes: datagrams with their exporters."""
        batch: list[tuple[bytes, bytes]] = []
        room = BATCH_BYTES
        until = time.monotonic() + BATCH_SECONDS
        receive = self._socket.recvmsg
        for _ in range(BATCH_DATAGRAMS):
            try:
                data, ancillary, _flags, sender = receive(DATAGRAM_BYTES, _ANCILLARY_BYTES)
            except OSError:  # empty (BlockingIOError), or an ICMP error that came back
                break
            if ancillary:
                self._note_kernel_drops(ancillary)
            exporter = self._exporter(sender)
            if exporter is None:
                self.refused += 1
            else:
                batch.append((data, exporter))
                room -= len(data)
            if room <= 0 or time.monotonic() > until:
                break
        self.datagrams += len(batch)
        return batch

    def _note_kernel_drops(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                # The kernel's count since the socket opened, modulo 2^32.
                (total,) = _DROPS.unpack(data[: _DROPS.size])
                self.kernel_drops += (total - self.kernel_drops) & 0xFFFFFFFF

    def _exporter(self, sender: tuple[str, int]) -> bytes | None:
        """Return what the parser tells the sender apart by; None: it is not believed."""
        key = sender[:2]
        if key not in self._senders:
            if len(self._senders) >= SENDERS_MAX:
                self._senders.clear()
            self._senders[key] = _exporter_of(*key, self._networks)
        return self._senders[key]

    def _deliver(self, batch: list[tuple[bytes, bytes]]) -> None:
        if not batch:
            return
        self._parser.now = self._now()
        try:
            parsed = self._parser.datagrams(batch)
            if parsed.records:
                self._sink(parsed)
        except JournalError:
            self.dropped += len(batch)
        except Exception as error:
            self.dropped += len(batch)
            if repr(error) != self._last_failure:  # said once, not once a batch
                self._last_failure = repr(error)
                log.exception("flows of %d datagrams are lost: the sink failed", len(batch))


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            bound.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        except PermissionError:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        bound.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
        bound.setblocking(False)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _exporter_of(host: str, port: int, networks: tuple[IPNetwork, ...]) -> bytes | None:
    address = ipaddress.ip_address(host)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not any(address in network for network in networks):
        return None
    return address.packed + port.to_bytes(2, "big")
