"""A real Vedette behind the real application on a free port of loopback, and a client that is not aiohttp's."""

import asyncio
import http.client
import json
import threading
import time
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from dnsbl.config import Config, Http
from dnsbl.http.app import build_app
from dnsbl.listing.codes import Layer
from dnsbl.service import Service

START_SECONDS = 10.0
LISTED_SECONDS = 10.0
POLL_SECONDS = 0.01
BATCH_BYTES = 4 << 20

BOT = "91.198.7.9"
#: In the bot's ISP's network, but not seen to do anything.
NEIGHBOUR = "91.198.7.10"
BOT6 = "2a00:1450:4:1::25"
ISP_NETWORKS = ("91.198.0.0/16", "2a00:1450::/32")
ASN = 64500


class Answer(NamedTuple):
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class Api:
    """The running application, and requests to it by http.client."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.app = build_app(service)
        self.port = 0
        self.tokens: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._runner = web.AppRunner(self.app)
        self._thread = threading.Thread(target=self._loop.run_forever)

    def start(self) -> None:
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        self._run(self._runner.cleanup())
        self._run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        source: str = "127.0.0.1",
        **headers: str,
    ) -> Answer:
        """Send a request; header names are written with underscores, ``token`` names one of :attr:`tokens`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {self.tokens[token]}"
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=START_SECONDS, source_address=(source, 0)
        )
        try:
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **more: str) -> Answer:
        return self.call("GET", path, **more)

    def post_batch(self, body: Any, *, feed: str = "mx", **headers: str) -> Answer:
        return self.call("POST", f"/v1/feeds/{feed}/batches", body, **{"token": feed, **headers})

    def journalled(self) -> int:
        """Return how many batches of feeds the journal holds."""
        return sum(entry.feed != "vedette:internal" for entry in self.service.journal.read(0, 1000))

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(START_SECONDS)

    async def _listen(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]


@pytest.fixture
def api(tmp_path):
    service = Service(Config(data=str(tmp_path / "data"), http=Http(batch_bytes=BATCH_BYTES)))
    registry = service.registry
    registry.add_network(ISP_NETWORKS[0], use="dynamic", asn=ASN, name="Example Cable")
    registry.add_network("185.44.0.0/16", use="servers", asn=ASN + 1)
    service.refresh()
    service.start()
    api = Api(service)
    api.tokens = {
        "mx": registry.add_feed("mx", format="auto"),
        "other": registry.add_feed("other", format="postfix"),
        "isp": registry.add_isp("cable", ISP_NETWORKS),
        "rival": registry.add_isp("rival", ["185.44.0.0/16"]),
        "operator": registry.operator_token(),
    }
    api.start()
    try:
        yield api
    finally:
        api.stop()
        service.stop()


def observation(ip: str, **more: Any) -> dict[str, Any]:
    return {"time": time.time(), "ip": ip, "event": "connect", **more}


def ndjson(*observations: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in observations)


def misdeeds(ip: str, count: int = 14) -> bytes:
    """Return what a bot does: unknown recipients under changing HELO names."""
    return ndjson(
        *(
            observation(ip, event="reject", reason="unknown_recipient", helo=f"host{i}", recipients=1)
            for i in range(count)
        )
    )


def wait_for(condition: Any) -> Any:
    """Return the first true value of ``condition``; fail if it stays false."""
    deadline = time.monotonic() + LISTED_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(POLL_SECONDS)
    return value


@pytest.fixture
def bot(api):
    """The address of a bot that is listed, and of one in IPv6."""
    assert api.post_batch(misdeeds(BOT) + misdeeds(BOT6)).status == 202
    wait_for(lambda: len(list(api.service.listings.active(Layer.BOT))) == 2)
    return BOT
