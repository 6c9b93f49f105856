"""Real secondaries take the zones by transfer, follow changes, and answer as Vedette does."""

import asyncio
import dataclasses
import ipaddress
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl.config import Config, Dns, Flow, Http, Tsig
from dnsbl.listing.codes import Layer
from dnsbl.server import serving
from dnsbl.service import Service
from tests.dnsbl.export.peers import Peer
from tests.dnsbl.export.scenes import ORIGIN, URL, ZONES, Records, asked, entries, name_of, ours
from tests.dnsbl.wire.packets import NS, SOA, TXT, A, opt
from tests.dnsbl.zone.test_live import entry, place
from tests.e2e.process import free_port, wait_until
from tests.e2e.secondaries import BINARIES, KEY_NAME, SECRET, Secondary

pytestmark = pytest.mark.e2e

SEED = 7
LISTED = entries(SEED, 1200, ending=False, wide=1)
NAMES = 300
START_SECONDS = 20.0
FOLLOWS_WITHIN_SECONDS = 5.0
EDNS = (opt(1232),)
CHANGED = "203.9.9.9"


class Primary:
    """Vedette's server in a thread, so that the test can list what it likes."""

    def __init__(self, directory: Path, ports: list[int]) -> None:
        secret, zones = directory / "secret", directory / "zones"
        secret.write_text(SECRET)
        zones.mkdir()
        config = Config(
            origin=ORIGIN,
            data=str(directory / "data"),
            dns=Dns(port=0),
            http=Http(port=0, public_url=URL),
            flow=Flow(enabled=False),
            tsig=(Tsig(name=KEY_NAME, secret_file=str(secret)),),
        )
        self._config = config
        self._notify = tuple(("127.0.0.1", port) for port in ports)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self.service: Service
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(START_SECONDS)

    async def _serve(self) -> None:
        async with serving(self._config) as (service, listening):
            allowed = {"transfer": (f"key:{KEY_NAME}",), "notify": self._notify}
            service.live.set_zones([dataclasses.replace(zone, **allowed) for zone in ZONES.values()])
            service.live.replace(LISTED)
            self.service, self.port = service, listening.dns[1]
            self._ready.set()
            await self._stop.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Primary, dict[str, int]]]:
    ports = {kind: free_port() for kind, binary in BINARIES.items() if binary.exists()}
    if not ports:
        pytest.skip("NSD and Knot are missing: run tests/install-peers.sh as root")
    server = Primary(tmp_path_factory.mktemp("primary"), list(ports.values()))
    yield server, ports
    server.stop()


@pytest.fixture(scope="module", params=list(BINARIES))
def scene(
    request: pytest.FixtureRequest,
    primary: tuple[Primary, dict[str, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Primary, Peer]]:
    server, ports = primary
    if request.param not in ports:
        pytest.skip(f"{request.param} is missing: run tests/install-peers.sh as root")
    origins = [zone.origin for zone in ZONES.values()]
    port = ports[request.param]
    secondary = Secondary(request.param, tmp_path_factory.mktemp(request.param), port, server.port, origins)
    peer = Peer(port)
    try:
        secondary.process.wait_until(lambda: peer.answers(origins), START_SECONDS, "the zones are there")
        yield server, peer
    finally:
        peer.close()
        secondary.stop()


def without_address(found: Records) -> Records:
    """Return records with the address taken out of their texts: a wildcard's names its first address."""
    rcode, records = found
    return rcode, frozenset(
        (type_, ttl, data.partition(f"{URL}/ip/")[0] if type_ == TXT else data) for type_, ttl, data in records
    )


@pytest.mark.parametrize("zone", ZONES.values(), ids=list(ZONES))
def test_a_secondary_answers_about_every_address_as_we_do(scene, zone):
    server, peer = scene
    live, source = server.service.live, random.Random(SEED)
    said, unlisted = 0, 0
    for address in asked(LISTED, SEED, NAMES):
        name = name_of(address, zone)
        for type_ in (A, TXT):
            mine = without_address(ours(live, name, type_))
            assert without_address(peer.says(name, type_, EDNS)) == mine, (name, type_)
        if mine[1]:
            said += 1
            labels = name.removesuffix(f".{zone.origin}").split(".")
            above = ".".join([*labels[source.randrange(1, len(labels)) :], zone.origin])
            assert peer.says(above, A, EDNS)[0] == ours(live, above, A)[0] == "NOERROR", above
        unlisted += mine[0] == "NXDOMAIN"
    assert said > 30
    assert unlisted > 30
    for type_ in (SOA, NS):
        assert peer.says(zone.origin, type_, EDNS) == ours(live, zone.origin, type_)


def test_a_secondary_follows_a_change(scene):
    server, peer = scene
    live, bl = server.service.live, ZONES["bl"]
    name = name_of(ipaddress.ip_address(CHANGED), bl)
    assert peer.says(name, A, EDNS)[0] == "NXDOMAIN"
    for change, listed in (
        (([entry(CHANGED + "/32", Layer.BOT)], []), True),
        (([], [place(CHANGED + "/32")]), False),
    ):
        live.apply(*change)
        wait_until(
            lambda listed=listed: bool(peer.says(name, A, EDNS)[1]) is listed,
            FOLLOWS_WITHIN_SECONDS,
            "the change is answered",
        )
        assert peer.says(name, A, EDNS) == ours(live, name, A)
        assert peer.says(bl.origin, SOA, EDNS) == ours(live, bl.origin, SOA)
