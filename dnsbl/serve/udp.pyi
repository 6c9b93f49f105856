from collections.abc import Callable
from typing import TypedDict

from dnsbl.wire.rate import RateTable
from dnsbl.zone.live import LiveZones

BATCH: int
STOP_MICROSECONDS: int
RECEIVE_BUFFER_BYTES: int

class UdpStats(TypedDict):
    queries: int
    dropped: int
    unsent: int
    answers: dict[tuple[str, str], int]
    limited: dict[str, int]

class UdpServer:
    port: int
    def __init__(
        self,
        live: LiveZones,
        host: str,
        port: int,
        threads: int = 1,
        make_rates: Callable[[], RateTable] | None = None,
    ) -> None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def stats(self) -> UdpStats: ...
