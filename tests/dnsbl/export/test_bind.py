"""Master files: the checkers of others accept them, and a real NSD that serves them answers as we do."""

import dataclasses
import ipaddress
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsbl.errors import ExportError
from dnsbl.export import bind
from dnsbl.listing.codes import Layer
from dnsbl.listing.entry import Entry, Place
from dnsbl.zone.live import LiveZones
from dnsbl.zone.zone import NameServer, Zone
from tests.dnsbl.export.peers import Peer
from tests.dnsbl.export.scenes import (
    NOW,
    URL,
    ZONES,
    Records,
    asked,
    columns,
    entries,
    live,
    name_of,
    ours,
    questions,
)
from tests.dnsbl.wire.packets import AAAA, NS, SOA, TXT, A, opt
from tests.dnsbl.zone.test_live import entry
from tests.e2e.process import Process, free_port

NSD = Path("/usr/sbin/nsd")
CHECKERS = {
    "named-checkzone": lambda zone, path: ["named-checkzone", "-i", "local", "-k", "fail", zone, path],
    "nsd-checkzone": lambda zone, path: ["nsd-checkzone", zone, path],
}
CHECK_SECONDS = 60
START_SECONDS = 15.0
ENTRIES = 1200
ADDRESSES = 500
EDNS = (opt(1232),)
OWN_SERVERS = (NameServer("ns.bl.vedette.test", ("192.0.2.53", "2001:db8::53")), NameServer("ns.example.net"))
SERVED = {**ZONES, "bl": dataclasses.replace(ZONES["bl"], nameservers=OWN_SERVERS)}
CONFIGURATION = """\
server:
    ip-address: 127.0.0.1@{port}
    zonesdir: "{directory}"
    username: ""
    chroot: ""
    database: ""
    logfile: ""
    pidfile: ""
    zonelistfile: ""
    xfrdfile: ""
    xfrdir: "{directory}"
    server-count: 1
    hide-version: yes
    minimal-responses: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
"""
needs_nsd = pytest.mark.skipif(not NSD.exists(), reason="needs Debian's nsd")


class Nsd:
    """Started on loopback with a file a zone."""

    def __init__(self, directory: Path, zones: dict[Zone, str]) -> None:
        port = free_port()
        text = CONFIGURATION.format(port=port, directory=directory)
        for zone, lines in zones.items():
            (directory / zone.origin).write_text(lines)
            text += f'zone:\n    name: "{zone.origin}"\n    zonefile: "{zone.origin}"\n'
        (directory / "nsd.conf").write_text(text)
        self._process = Process([str(NSD), "-d", "-c", str(directory / "nsd.conf")], directory / "log")
        self.peer = Peer(port)
        origins = [zone.origin for zone in zones]
        try:
            self._process.wait_until(lambda: self.peer.answers(origins), START_SECONDS, "NSD answers")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self.peer.close()
        self._process.stop()


def text_of(zone: Zone, listed: list[Entry]) -> str:
    return "".join(bind.lines(zone, columns(listed), public_url=URL))


@pytest.fixture(scope="module", params=[1, 2])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LiveZones, Peer, int]]:
    # Without prefixes like /8, whose many exclusions would take too many names: that is tested below.
    listed = entries(request.param, ENTRIES, wide=1)
    served = live(listed, SERVED.values())
    server = Nsd(tmp_path_factory.mktemp("nsd"), {zone: text_of(zone, listed) for zone in SERVED.values()})
    yield served, server.peer, request.param
    server.stop()


def without_addresses(found: Records) -> Records:
    """Return the records with the address taken out of their texts: a wildcard's names its first address."""
    rcode, records = found
    return rcode, frozenset(
        (type_, ttl, data.partition(f"{URL}/ip/")[0] if type_ == TXT else data) for type_, ttl, data in records
    )


@needs_nsd
@pytest.mark.parametrize("name", list(SERVED))
def test_nsd_answers_about_every_address_as_we_do(scene: tuple[LiveZones, Peer, int], name: str) -> None:
    served, peer, seed = scene
    zone = SERVED[name]
    listed = 0
    for address in asked(entries(seed, ENTRIES, wide=1), seed, ADDRESSES):
        for question, type_ in questions([address], zone):
            mine = without_addresses(ours(served, question, type_))
            theirs = without_addresses(peer.says(question, type_, EDNS))
            assert mine == theirs, (question, type_)
            listed += bool(mine[1])
    assert listed > 100


@needs_nsd
def test_a_resolver_that_minimises_names_comes_through_to_all_that_is_listed(
    scene: tuple[LiveZones, Peer, int],
) -> None:
    served, peer, seed = scene
    zone, source = SERVED["class"], random.Random(seed)
    through = 0
    for address in asked(entries(seed, ENTRIES, wide=1), seed, ADDRESSES):
        if ours(served, name_of(address, zone), A)[1]:
            labels = name_of(address, zone).removesuffix(f".{zone.origin}").split(".")
            above = ".".join([*labels[source.randrange(1, len(labels)) :], zone.origin])
            assert peer.says(above, A, EDNS)[0] == "NOERROR", above
            through += 1
    assert through > 100


@needs_nsd
@pytest.mark.parametrize("name", list(SERVED))
def test_the_apex_the_name_servers_and_what_is_denied_are_the_same(
    scene: tuple[LiveZones, Peer, int], name: str
) -> None:
    served, peer, _ = scene
    origin = SERVED[name].origin
    for type_ in (SOA, NS, A, TXT):
        assert ours(served, origin, type_) == peer.says(origin, type_, EDNS)
    reply = peer.reply(f"9.9.9.9.{origin}", A, EDNS)
    assert [(one.rtype, one.ttl) for one in reply.auth] == [(SOA, 60)]
    if name == "bl":
        for type_ in (A, AAAA, TXT):
            assert ours(served, "ns.bl.vedette.test", type_) == peer.says("ns.bl.vedette.test", type_, EDNS)


@needs_nsd
def test_a_host_below_wildcards_and_exclusions_at_every_depth(tmp_path: Path) -> None:
    """One of each kind of neighbourhood, all its neighbours asked."""
    zone = ZONES["all"]
    listed = [
        entry("11.0.0.0/9", Layer.DYNAMIC_DECLARED),
        entry("11.3.0.0/16", Layer.DYNAMIC_INFERRED),
        entry("11.3.4.0/22", Layer.EXCLUDED),
        entry("11.3.5.77/32"),  # excluded
        entry("11.9.9.9/32"),
        entry("11.9.9.16/28", Layer.MTA),
        entry("11.200.1.1/32"),
        entry("2a00:1::/32", Layer.DYNAMIC_DECLARED),
        entry("2a00:1:2:3::/64", Layer.EXCLUDED),
        entry("2a00:1:2:4::/64"),
        entry("2a00:1:8000::/35", Layer.OPERATOR),
    ]
    served, server = live(listed, [zone]), Nsd(tmp_path, {zone: text_of(zone, listed)})
    texts = [f"11.{second}.{third}.{last}" for second in (2, 3, 9, 127, 128, 200) for third in (1, 3, 4, 5, 8, 9)
             for last in (0, 1, 8, 9, 10, 15, 16, 31, 32, 77, 255)]  # fmt: skip
    texts += [f"2a00:1:{first:x}:{second:x}::{last:x}" for first in (0, 1, 2, 3, 0x7FFF, 0x8000, 0x9FFF, 0xA000)
              for second in (0, 2, 3, 4, 5, 0x13, 0xFFFF) for last in (0, 0x77)]  # fmt: skip
    kinds = set()
    try:
        for address in map(ipaddress.ip_address, texts):
            mine = ours(served, name_of(address, zone), A)
            assert server.peer.says(name_of(address, zone), A, EDNS) == mine, address
            kinds.add(mine)
    finally:
        server.stop()
    assert len(kinds) == 6, kinds


@pytest.mark.parametrize("checker", list(CHECKERS))
@pytest.mark.parametrize("name", list(SERVED))
def test_checkers_accept_the_file(checker: str, name: str, tmp_path: Path) -> None:
    zone, path = SERVED[name], tmp_path / "zone"
    path.write_text(text_of(zone, entries(3, 800, wide=1)))
    command = CHECKERS[checker](zone.origin, str(path))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    except FileNotFoundError:
        pytest.skip(f"needs {checker}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_prefix_with_too_many_exclusions_is_refused_by_name() -> None:
    scattered = [Entry(Place(Layer.MTA, True, 11 << 24 | number << 8 | 9, 32), "x", NOW) for number in range(5000)]
    listed = [entry("11.0.0.0/8", Layer.DYNAMIC_DECLARED), *scattered]
    with pytest.raises(ExportError, match=r"11\.0\.0\.0/8 has so many exclusions"):
        text_of(ZONES["dyn"], listed)
    assert len(text_of(ZONES["dyn"], listed[:1000]).splitlines()) > 2 * 999 * 255


def test_hosts_inside_a_wide_prefix_take_few_names() -> None:
    listed = [entry("11.0.0.0/8", Layer.DYNAMIC_DECLARED), entry("11.3.4.5/32"), entry("12.0.0.1/32")]
    names = [line.split("\t")[0] for line in text_of(ZONES["all"], listed).splitlines() if "\tA\t127" in line]
    host = "5.4.3.11"
    assert sorted(names[2:]) == sorted(["", host, "*.4.3.11", "*.3.11", "*.11", "1.0.0.12"])


def test_a_text_is_quoted_and_cut_into_strings_that_fit() -> None:
    (operator, bot) = ZONES["bl"].answers
    zone = dataclasses.replace(
        ZONES["bl"], answers=(operator, dataclasses.replace(bot, text="x" * 300 + ' "$reason" $url'))
    )
    (line,) = [line for line in text_of(zone, [entry("11.3.4.5/32", reason="a\\b")]).splitlines() if "xxx" in line]
    strings = line.split("\tTXT\t")[1][1:-1].split('" "')
    assert [len(string.replace("\\", "")) <= 255 for string in strings] == [True, True]
    assert "".join(strings) == "x" * 300 + rf" \"a\\b\" {URL}/ip/11.3.4.5"
