"""The flow listener on loopback: real sockets, a real parser, a sink that keeps, refuses or fails."""

import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from profiler.address import Key
from profiler.errors import AddressError, JournalFullError
from profiler.intake.flow_udp import BATCH_DATAGRAMS, SENDERS_MAX, FlowListener
from profiler.parse.registry import Parsed

NOW_SECONDS = 1_700_000_000
WAIT_SECONDS = 10.0
LOOPBACK = ("127.0.0.0/8", "::1/128")


def v5(source: bytes, seconds: int = NOW_SECONDS) -> bytes:
    head = struct.pack(">HHIIIIBBH", 5, 1, 1000, seconds, 0, 0, 0, 0, 0)
    return (
        head
        + source
        + bytes([203, 0, 113, 9])
        + struct.pack(">8xIIIIHHxBBB8x", 1, 60, 900, 1000, 4000, 25, 2, 6, 0)
    )


def v9(body: bytes) -> bytes:
    return struct.pack(">HHIIII", 9, 1, 1000, NOW_SECONDS, 0, 1) + body


V9_TEMPLATE = v9(struct.pack(">HHHHHH", 0, 12, 256, 1, 8, 4))
V9_DATA = v9(struct.pack(">HH", 256, 8) + bytes([192, 0, 2, 8]))


class Sink:
    """Keeps what it is handed, and says when enough rows are there."""

    def __init__(self, wanted: int, failure: Exception | None = None) -> None:
        self.batches: list[Parsed] = []
        self.threads: set[str] = set()
        self.failure = failure
        self.enough = threading.Event()
        self._wanted = wanted

    def __call__(self, parsed: Parsed) -> None:
        self.batches.append(parsed)
        self.threads.add(threading.current_thread().name)
        if sum(batch.records for batch in self.batches) >= self._wanted:
            self.enough.set()
        if self.failure is not None:
            raise self.failure

    def sources(self) -> list[str]:
        return [str(Key(int(row["ip_hi"]), int(row["ip_lo"]))) for batch in self.batches for row in batch.rows]


Opener = Callable[..., FlowListener]


@pytest.fixture
def listen() -> Iterator[Opener]:
    opened: list[FlowListener] = []

    def opener(sink: Sink, host: str = "127.0.0.1", exporters: tuple[str, ...] = LOOPBACK) -> FlowListener:
        listener = FlowListener(host, 0, sink, exporters, lambda: float(NOW_SECONDS), hash_key=bytes(16))
        opened.append(listener)
        return listener

    yield opener
    for listener in opened:
        listener.stop()


def send(listener: FlowListener, *datagrams: bytes, via: str = "127.0.0.1", to: str = "") -> None:
    family = socket.AF_INET6 if ":" in via else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind((via, 0))
        for datagram in datagrams:
            sender.sendto(datagram, (to or via, listener.address[1]))


def test_exports_reach_the_sink_on_the_listeners_thread(listen: Opener) -> None:
    sink = Sink(2)
    listener = listen(sink)
    listener.start()
    send(listener, v5(bytes([192, 0, 2, 1])), v5(bytes([192, 0, 2, 2])))
    assert sink.enough.wait(WAIT_SECONDS)
    listener.stop()
    assert sink.sources() == ["192.0.2.1", "192.0.2.2"]
    assert sink.threads == {"flow-listener"}
    assert [listener.datagrams, listener.refused, listener.dropped, listener.kernel_drops] == [2, 0, 0, 0]


def test_what_arrived_before_the_stop_is_handed_over_in_bounded_batches(listen: Opener) -> None:
    sink = Sink(0)
    listener = listen(sink)
    count = 2 * BATCH_DATAGRAMS + 10
    send(listener, *(v5(index.to_bytes(4, "big")) for index in range(count)))
    listener.start()
    listener.stop()
    assert listener.datagrams == count
    assert sorted(len(batch.rows) for batch in sink.batches)[-1] <= BATCH_DATAGRAMS
    assert sink.sources() == [str(Key(0, 0xFFFF << 32 | index)) for index in range(count)]


def test_templates_hold_from_batch_to_batch_and_belong_to_their_sender(listen: Opener) -> None:
    sink = Sink(2)
    listener = listen(sink)
    listener.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(V9_TEMPLATE, listener.address)
        sender.sendto(V9_DATA, listener.address)
        port = sender.getsockname()[1]
        send(listener, V9_DATA)
        assert sink.enough.wait(WAIT_SECONDS)
    assert sink.sources() == ["192.0.2.8"]
    ((_, why),) = [rejection for batch in sink.batches for rejection in batch.rejected]
    assert why.startswith("template 256 of 127.0.0.1:")
    assert f":{port}," not in why
    assert listener.templates == 1


def test_only_the_exporters_given_are_believed(listen: Opener) -> None:
    sink = Sink(1)
    listener = listen(sink, exporters=("127.0.0.2/32",))
    listener.start()
    send(listener, *[v5(bytes([192, 0, 2, 1]))] * 3)
    send(listener, v5(bytes([192, 0, 2, 2])), via="127.0.0.2", to="127.0.0.1")
    assert sink.enough.wait(WAIT_SECONDS)
    listener.stop()
    assert sink.sources() == ["192.0.2.2"]
    assert [listener.datagrams, listener.refused] == [1, 3]


@pytest.mark.parametrize("via", ["::1", "127.0.0.1"])
def test_dual_stack(listen: Opener, via: str) -> None:
    sink = Sink(1)
    try:
        listener = listen(sink, host="::")
    except OSError:
        pytest.skip("this machine has no IPv6")
    listener.start()
    send(listener, v5(bytes([192, 0, 2, 1])), via=via)
    assert sink.enough.wait(WAIT_SECONDS)
    assert sink.sources() == ["192.0.2.1"]


def test_now_is_the_clock_s(listen: Opener) -> None:
    sink = Sink(2)
    listener = listen(sink)
    listener.start()
    send(listener, v5(bytes([192, 0, 2, 1]), NOW_SECONDS + 599), v5(bytes([192, 0, 2, 2]), NOW_SECONDS + 601))
    assert sink.enough.wait(WAIT_SECONDS)
    assert sink.sources() == ["192.0.2.1"]


@pytest.mark.parametrize("failure", [JournalFullError("full"), RuntimeError("broken")])
def test_sink_that_refuses_costs_its_batch_and_is_counted(
    listen: Opener, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink(1, failure)
    listener = listen(sink)
    with caplog.at_level(logging.ERROR):
        listener.start()
        for index in range(3):
            sink.enough.clear()
            send(listener, v5(bytes([192, 0, 2, index])))
            assert sink.enough.wait(WAIT_SECONDS)
        listener.stop()
    assert [listener.datagrams, listener.dropped] == [3, 3]
    assert len(caplog.records) == isinstance(failure, RuntimeError)


def test_kernel_drops_are_counted(listen: Opener) -> None:
    sink = Sink(0)
    listener = listen(sink)
    listener._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    send(listener, *[v5(bytes([192, 0, 2, 1]))] * 400)
    listener.start()
    # A datagram carries the number of those dropped before it.
    while not listener.datagrams:
        assert listener._thread.is_alive()
    send(listener, v5(bytes([192, 0, 2, 2])))
    listener.stop()
    assert listener.kernel_drops == 401 - listener.datagrams
    assert listener.kernel_drops > 0


def test_more_senders_than_are_remembered(listen: Opener) -> None:
    listener = listen(Sink(0))
    for port in range(1, SENDERS_MAX + 100):
        assert listener._exporter(("127.0.0.1", port)) == bytes([127, 0, 0, 1]) + port.to_bytes(2, "big")
    assert len(listener._senders) <= SENDERS_MAX


def test_stop_frees_the_port_and_may_be_repeated(listen: Opener) -> None:
    started, never_started = listen(Sink(0)), listen(Sink(0))
    host, port = started.address
    started.start()
    for listener in (started, never_started, started, never_started):
        listener.stop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((host, port))


def test_address_in_use_and_bad_exporter_are_said_at_once(listen: Opener) -> None:
    taken = listen(Sink(0))
    with pytest.raises(OSError, match="in use"):
        FlowListener("127.0.0.1", taken.address[1], Sink(0), LOOPBACK, hash_key=bytes(16))
    with pytest.raises(AddressError, match="not a prefix"):
        FlowListener("127.0.0.1", 0, Sink(0), ("127.0.0.1/8",), hash_key=bytes(16))
