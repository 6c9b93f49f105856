"""The server: every listener over one service, started and stopped in order, in one process.

DNS answers first and stops last; signals: TERM and INT end it, HUP reads the zone files again.
"""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from dnsbl.config import Config, Dns
from dnsbl.errors import DnsblError, ListenError
from dnsbl.export import transfer
from dnsbl.http.app import build_app
from dnsbl.listing.columns import Columns
from dnsbl.schedule import make_scheduler
from dnsbl.serve.keys import tsig_keys
from dnsbl.serve.notify import Notifier
from dnsbl.serve.tcp import TcpServer
from dnsbl.serve.transfer import Transfers
from dnsbl.serve.udp import UdpServer
from dnsbl.service import INTERNAL_FEED, Service
from dnsbl.wire.rate import RateTable
from dnsbl.wire.transfer import Records
from dnsbl.wire.tsig import Keys
from dnsbl.zone.zone import Zone
from profiler.intake.flow_udp import FlowListener
from profiler.intake.resolver import AiodnsResolver, NameCollector
from profiler.observation import Rows
from profiler.parse.registry import Parsed

log = logging.getLogger(__name__)

FLOW_FEED = "flow"
SHUTDOWN_SECONDS = 5.0


class Listening(NamedTuple):
    """Where a started server listens: (host, port) each, ``flow`` None where it is off."""

    dns: tuple[str, int]
    http: tuple[str, int]
    flow: tuple[str, int] | None

    @property
    def url(self) -> str:
        """The base URL of the HTTP listener."""
        host, port = self.http
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(config: Config, on_ready: Callable[[Service, Listening], None]) -> None:
    """Serve until a signal says to stop; ``on_ready`` is called once everything listens.

    Raises:
        DnsblError, ProfilerError: something cannot be opened; the message says what to do.
    """
    asyncio.run(_serve_until_told(config, on_ready))


async def _serve_until_told(config: Config, on_ready: Callable[[Service, Listening], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(config) as (service, listening):
        loop.add_signal_handler(signal.SIGHUP, _reload, service)
        # In a thread: it may print, or post a sample through the front door.
        told = asyncio.create_task(asyncio.to_thread(on_ready, service, listening))
        await stop.wait()
        await told


@contextlib.asynccontextmanager
async def serving(config: Config) -> AsyncIterator[tuple[Service, Listening]]:
    """Open everything, and close it in reverse."""
    async with contextlib.AsyncExitStack() as stack:
        service = await asyncio.to_thread(Service, config)
        stack.push_async_callback(asyncio.to_thread, service.stop)
        await asyncio.to_thread(service.start)
        dns = await _dns(stack, service)
        flow = await _flows(stack, service) if config.flow.enabled else None
        if config.resolver.nameservers:
            await _resolver(stack, service)
        scheduler = make_scheduler(service)
        scheduler.start()
        stack.callback(scheduler.shutdown, wait=False)
        http = await _http(stack, service)
        yield service, Listening(dns, http, flow)


async def _dns(stack: contextlib.AsyncExitStack, service: Service) -> tuple[str, int]:
    config = service.config.dns
    keys = tsig_keys(service.config.tsig)
    with _told("DNS", "dns", config.host, config.port):
        udp = UdpServer(
            service.live, config.host, config.port, threads=config.threads, make_rates=_make_rates(config)
        )
        udp.start()
    stack.callback(udp.stop)
    tcp = TcpServer(
        service.live,
        config.host,
        udp.port,
        connections=config.tcp_connections,
        idle_seconds=config.tcp_idle_seconds,
        transfers=_transfers(service, keys),
    )
    with _told("DNS over TCP", "dns", config.host, udp.port):
        await tcp.start()
    stack.push_async_callback(tcp.stop)
    _in_background(stack, Notifier(service.live).run())

    def counts() -> Mapping[tuple[str, str, str], int]:
        return {
            (zone, rcode, transport): count
            for transport, server in (("udp", udp), ("tcp", tcp))
            for (zone, rcode), count in server.stats()["answers"].items()
        }

    service.query_counts = counts
    service.dropped_queries = lambda: int(udp.stats()["dropped"])
    service.limited_queries = lambda: udp.stats()["limited"]
    return config.host, udp.port


def _transfers(service: Service, keys: Keys) -> Transfers:
    public_url = service.config.public_url

    def expand(zone: Zone, columns: Columns, serial: int) -> Iterator[Records]:
        return transfer.records(zone, columns, serial, public_url)

    def compare(zone: Zone, old: tuple[int, Columns], new: tuple[int, Columns]) -> Iterator[Records]:
        return transfer.changes(zone, old, new, public_url)

    return Transfers(service.live, expand, compare, keys, time.time)


def _make_rates(config: Dns) -> Callable[[], RateTable] | None:
    if not config.rate_limit_per_second:
        return None
    return lambda: RateTable(config.rate_limit_per_second, config.rate_slip, config.over_limit == "code")


async def _flows(stack: contextlib.AsyncExitStack, service: Service) -> tuple[str, int]:
    config = service.config.flow

    def sink(parsed: Parsed) -> None:
        service.append_live(FLOW_FEED, parsed.rows, parsed.records, parsed.rejected_count)

    with _told("flows", "flow", config.host, config.port):
        listener = FlowListener(
            config.host, config.port, sink, config.exporters, time.time, hash_key=service.hash_key
        )
        listener.start()
    stack.push_async_callback(asyncio.to_thread, listener.stop)
    host, port = listener.address[:2]
    return host, port


async def _resolver(stack: contextlib.AsyncExitStack, service: Service) -> None:
    config = service.config.resolver
    resolver = AiodnsResolver(config.nameservers, config.timeout_seconds)
    stack.push_async_callback(resolver.close)

    async def deliver(rows: Rows) -> None:
        await asyncio.to_thread(service.append_live, INTERNAL_FEED, rows, len(rows), 0)

    collector = NameCollector(resolver, deliver, concurrency=config.concurrency, clock=time.time)
    service.on_rows = collector.see
    _in_background(stack, collector.run())


def _in_background(stack: contextlib.AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    stack.push_async_callback(end)


async def _http(stack: contextlib.AsyncExitStack, service: Service) -> tuple[str, int]:
    config = service.config.http
    runner = web.AppRunner(build_app(service), access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    with _told("HTTP", "http", config.host, config.port):
        await web.TCPSite(runner, config.host, config.port).start()
    host, port = runner.addresses[0][:2]
    return host, port


@contextlib.contextmanager
def _told(what: str, section: str, host: str, port: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ListenError(
            f"{what} cannot listen on {host} port {port}: {error.strerror or error}; choose another with "
            f"[{section}] port in the configuration"
        ) from None


def _reload(service: Service) -> None:
    try:
        service.reload_zones()
    except DnsblError as error:
        log.error("the zones were not read again, the earlier ones keep serving: %s", error)
    else:
        log.info("zones read again")
