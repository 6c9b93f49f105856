"""DNS over TCP (RFC 7766): length and message, one connection for many queries, each answered in its turn.

Bounded in connections, in time for a whole query, in time and memory for a client that does not read its replies.
"""

import asyncio
import contextlib
from collections import Counter
from typing import TypedDict

from dnsbl.serve.transfer import Answer, Transfers
from dnsbl.wire.transfer import is_transfer
from dnsbl.zone.live import LiveZones

LENGTH_BYTES = 2
#: Replies that a client has not read yet; beyond it no more of its queries are read.
WRITE_BUFFER_BYTES = 1 << 16
#: Queries that are read ahead of their replies.
READ_BUFFER_BYTES = 1 << 16
BACKLOG_CONNECTIONS = 128


class TcpStats(TypedDict):
    """What was counted; ``answers`` by (zone name or ``-``, rcode name)."""

    connections: int
    refused: int
    answers: dict[tuple[str, str], int]


class TcpServer:
    """Answers DNS over TCP from ``live``, on ``host`` and ``port``; :attr:`port` tells which one after the start.

    Args:
        live: what answers.
        host: address to bind.
        port: 0 lets the system choose.
        connections: at most so many at a time; further ones are closed at once.
        idle_seconds: a whole query must arrive, and a reply be taken, within this time.
        transfers: what answers AXFR and IXFR; None: they are refused.
    """

    def __init__(
        self,
        live: LiveZones,
        host: str,
        port: int,
        *,
        connections: int = 256,
        idle_seconds: float = 10.0,
        transfers: Transfers | None = None,
    ) -> None:
        self.port = port
        self._live = live
        self._host = host
        self._limit = connections
        self._idle_seconds = idle_seconds
        self._transfers = transfers
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._connections = 0
        self._refused = 0

    async def start(self) -> None:
        """Bind and begin to answer. OSError: the address cannot be bound."""
        self._server = await asyncio.start_server(
            self._connected, self._host, self.port, limit=READ_BUFFER_BYTES, backlog=BACKLOG_CONNECTIONS
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is None:
            return
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def stats(self) -> TcpStats:
        """Return what was counted since the start."""
        return {"connections": self._connections, "refused": self._refused, "answers": dict(self._answers)}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= self._limit:
            self._refused += 1
            writer.transport.abort()
            return
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            await self._close(writer)
            self._tasks.discard(task)

    async def _close(self, writer: asyncio.StreamWriter) -> None:
        """Close after the last reply is taken; a client that does not take it is cut off."""
        writer.close()
        try:
            async with asyncio.timeout(self._idle_seconds):
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        client = writer.get_extra_info("peername")[0]
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    length = int.from_bytes(await reader.readexactly(LENGTH_BYTES), "big")
                    query = await reader.readexactly(length)
            except asyncio.IncompleteReadError:
                return
            if (transfer := self._transfer(query, writer)) is not None:
                await self._send_all(writer, transfer)
                continue
            reply = self._live.answer_counted(query, tcp=True, client=client)
            if reply is None:
                return
            self._answers[reply.zone, reply.rcode] += 1
            await self._send(writer, reply.data)

    def _transfer(self, query: bytes, writer: asyncio.StreamWriter) -> Answer | None:
        if self._transfers is None or not is_transfer(query):
            return None
        return self._transfers.answer(query, writer.get_extra_info("peername")[0])

    async def _send_all(self, writer: asyncio.StreamWriter, transfer: Answer) -> None:
        self._answers[transfer.zone, transfer.rcode] += 1
        async with contextlib.aclosing(transfer.messages):
            async for message in transfer.messages:
                await self._send(writer, message)

    async def _send(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        writer.write(len(message).to_bytes(LENGTH_BYTES, "big") + message)
        async with asyncio.timeout(self._idle_seconds):
            await writer.drain()
