"""The real rbldnsd, given what we wrote, answers as we do."""

import dataclasses
import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl.errors import ExportError
from dnsbl.export.rbldnsd import lines
from dnsbl.listing.codes import Layer
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import NameServer, Zone
from tests.dnsbl.export.peers import Peer
from tests.dnsbl.export.scenes import NOW, URL, ZONES, Records, asked, columns, entries, live, ours, questions
from tests.dnsbl.wire.packets import NS, SOA, TXT, A
from tests.dnsbl.zone.test_live import entry
from tests.e2e.process import Process, free_port

BINARY = Path("/usr/sbin/rbldnsd")
START_SECONDS = 15.0
ENTRIES = 2000
ADDRESSES = 700
#: Without EDNS no more fits into a reply.
PLAIN_BYTES = 512
OWN_SERVERS = (NameServer("ns.bl.vedette.test", ("192.0.2.53", "2001:db8::53")), NameServer("ns.example.net"))
SERVED = {
    **ZONES,
    "bl": dataclasses.replace(ZONES["bl"], nameservers=OWN_SERVERS),
    "dry": dataclasses.replace(ZONES["bl"], name="dry", origin="dry.vedette.test", dry_run=True),
}
needed = pytest.mark.skipif(not BINARY.exists(), reason="needs Debian's rbldnsd")


class Rbldnsd:
    """Started on loopback with a file a zone."""

    def __init__(self, directory: Path, zones: dict[Zone, str]) -> None:
        port = free_port()
        for zone, text in zones.items():
            (directory / zone.name).write_text(text)
        # It will not run as root; as somebody else it needs to read the directory, which it has entered.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        directory.chmod(0o755)
        data = [f"{zone.origin}:combined:{zone.name}" for zone in zones]
        self._process = Process(
            [str(BINARY), "-n", "-a", *user, "-b", f"127.0.0.1/{port}", "-w", str(directory), *data],
            directory / "log",
        )
        self.peer = Peer(port)
        origins = [zone.origin for zone in zones]
        try:
            self._process.wait_until(lambda: self.peer.answers(origins), START_SECONDS, "rbldnsd answers")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> str:
        """End it; return what it said."""
        self.peer.close()
        self._process.stop()
        return self._process.output()


@pytest.fixture(scope="module", params=[1, 2])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveZones, Peer, int]]:
    listed = entries(request.param, ENTRIES, ending=False)
    made = columns(listed)
    texts = {zone: "".join(lines(zone, made, public_url=URL)) for zone in SERVED.values()}
    served = live(listed, SERVED.values())
    server = Rbldnsd(tmp_path_factory.mktemp("rbldnsd"), texts)
    yield served, server.peer, request.param
    said = server.stop()
    for complaint in ("invalid", "duplicated", "ignored", "unrecognized", "truncated to"):
        assert complaint not in said, said


def differs(mine: Records, theirs: Records, question: str) -> bool:
    if mine == theirs:
        return False
    rcode, records = mine
    size = 12 + len(question) + 2 + 4 + sum(12 + 1 + len(data) for _, _, data in records)
    return not (size > PLAIN_BYTES and theirs[0] == rcode and theirs[1] and theirs[1] < records)


@needed
@pytest.mark.parametrize("name", list(SERVED))
def test_it_answers_about_every_address_as_we_do(scene: tuple[LiveZones, Peer, int], name: str) -> None:
    served, peer, seed = scene
    zone = SERVED[name]
    addresses = asked(entries(seed, ENTRIES), seed, ADDRESSES)
    listed = 0
    for question, type_ in questions(addresses, zone):
        mine = ours(served, question, type_)
        theirs = peer.says(question, type_)
        assert not differs(mine, theirs, question), (question, type_, mine, theirs)
        listed += bool(mine[1])
    assert listed >= (4 if name == "dry" else 100)


@needed
@pytest.mark.parametrize("name", list(SERVED))
def test_the_apex_is_the_same(scene: tuple[LiveZones, Peer, int], name: str) -> None:
    served, peer, _ = scene
    origin = SERVED[name].origin
    (_, mine), (_, theirs) = ours(served, origin, SOA), peer.says(origin, SOA)
    assert mine == theirs
    assert len(mine) == 1
    assert ours(served, origin, NS) == peer.says(origin, NS)


@needed
def test_a_name_server_in_the_zone_has_its_address(scene: tuple[LiveZones, Peer, int]) -> None:
    served, peer, _ = scene
    assert ours(served, "ns.bl.vedette.test", A) == peer.says("ns.bl.vedette.test", A)
    assert peer.says("ns.bl.vedette.test", A)[1] == {(A, 300, "192.0.2.53")}


@needed
def test_what_is_not_listed_is_denied_as_long_as_by_us(scene: tuple[LiveZones, Peer, int]) -> None:
    _, peer, _ = scene
    reply = peer.reply("9.9.9.9.bl.vedette.test", A)
    assert [(one.rtype, one.ttl) for one in reply.auth] == [(SOA, 60)]


@needed
@pytest.mark.parametrize(
    "text", ["=$reason", "#$reason", "$$reason: $address", "$address, $address!", "a  $class ;b"]
)
def test_texts_with_signs_of_rbldnsd_come_out_as_written(tmp_path: Path, text: str) -> None:
    answers = tuple(dataclasses.replace(one, text=text) for one in ZONES["bl"].answers)
    zone = dataclasses.replace(ZONES["bl"], answers=answers)
    listed = [entry("11.0.0.4/32", reason="$5 = #1"), entry("2a00::/64", reason="=")]
    served = live(listed, [zone])
    server = Rbldnsd(tmp_path, {zone: "".join(lines(zone, columns(listed), public_url=URL))})
    try:
        for question, _ in questions(map(ipaddress.ip_address, ("11.0.0.4", "2a00::5")), zone):
            assert server.peer.says(question, TXT) == ours(served, question, TXT)
    finally:
        server.stop()


@pytest.mark.parametrize("text", ["$address$$", "${address}9", "$address="])
def test_a_text_that_rbldnsd_would_misread_is_refused(text: str) -> None:
    answers = tuple(dataclasses.replace(one, text=text) for one in ZONES["bl"].answers)
    zone = dataclasses.replace(ZONES["bl"], answers=answers)
    with pytest.raises(ExportError, match="put a space between"):
        list(lines(zone, columns([entry("11.0.0.4/32")]), public_url=URL))


def test_an_address_is_named_once_in_a_dataset_and_the_reserved_block_never() -> None:
    listed = [
        entry("11.1.0.0/16", Layer.DYNAMIC_INFERRED),
        entry("11.1.7.7/32", Layer.DYNAMIC_INFERRED),
        entry("11.1.7.7/32", Layer.MTA, trust=3),
        entry("11.1.7.8/32", Layer.MTA),
        entry("::/32", Layer.DYNAMIC_INFERRED),
    ]
    text = "".join(lines(ZONES["class"], columns(listed), public_url=URL))
    said = [line.partition(":127.0.0.")[0] for line in text.splitlines() if line[0] not in "#$"]
    dynamic, mta = ["11.1.0.0/16", "11.1.7.7", "!11.1.7.8"], ["11.1.7.7", "11.1.7.8"]
    assert said == ["127.0.0.2", *dynamic, *mta, "::/32", "!::/64"]


def test_a_file_is_the_same_whenever_it_is_written() -> None:
    first, again = ("".join(lines(ZONES["all"], columns(entries(7, 300)), public_url=URL)) for _ in range(2))
    assert first == again
    assert f" {NOW} " in first
