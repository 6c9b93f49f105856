"""A real Unbound takes the response policy zone, and blocks what it should and nothing else."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import dnslib
import pytest

from dnsbl.errors import ExportError
from dnsbl.export import rpz
from dnsbl.listing.codes import Layer
from tests.dnsbl.export.peers import Peer
from tests.dnsbl.export.scenes import ZONES, columns
from tests.dnsbl.wire.packets import AAAA, A
from tests.dnsbl.zone.test_live import entry
from tests.e2e.process import Process, free_port
from tests.e2e.unbound import BINARY

START_SECONDS = 15.0
# A zone of Unbound's own stands for the Internet: what it resolves to goes through the policy.
CONFIGURATION = """\
server:
    interface: 127.0.0.1@{port}
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-ip6: no
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    use-syslog: no
    num-threads: 1
    module-config: "respip iterator"
    local-zone: "test." nodefault
remote-control:
    control-enable: no
auth-zone:
    name: "site.test"
    zonefile: "site.zone"
    for-upstream: yes
    for-downstream: no
rpz:
    name: "any-name.policy.test"
    zonefile: "policy.zone"
"""
SITES = {
    "listed": "11.0.0.4", "beside": "11.0.0.5", "range": "11.1.200.3", "server": "11.1.7.7", "outside": "11.2.0.0",
    "never": "11.1.64.9", "loopback": "127.0.0.2", "listed6": "2a00:1:2:3::80", "beside6": "2a00:1:2:4::80",
    "range6": "2a01:5:ffff::1", "server6": "2a01:5:1:2::25",
}  # fmt: skip
LISTED = [
    entry("11.0.0.4/32"),
    entry("11.1.0.0/16", Layer.DYNAMIC_DECLARED),
    entry("11.1.7.7/32", Layer.MTA),
    entry("11.1.64.0/18", Layer.EXCLUDED),
    entry("2a00:1:2:3::/64"),
    entry("2a01:5::/32", Layer.DYNAMIC_INFERRED),
    entry("2a01:5:1:2::/64", Layer.MTA),
    entry("127.9.0.0/16"),
]
BLOCKED = {"listed", "range", "listed6", "range6"}
needed = pytest.mark.skipif(not BINARY.exists(), reason="needs Debian's unbound")


class Resolver:
    """An Unbound with a policy zone."""

    def __init__(self, directory: Path, policy: str) -> None:
        self.port = free_port()
        records = [f"{name} {'AAAA' if ':' in ip else 'A'} {ip}\n" for name, ip in SITES.items()]
        site = "$TTL 60\n@ SOA ns hostmaster 1 2 3 4 5\n@ NS ns\nns A 127.0.0.1\n"
        (directory / "site.zone").write_text(site + "".join(records))
        (directory / "policy.zone").write_text(policy)
        configuration = directory / "unbound.conf"
        configuration.write_text(CONFIGURATION.format(port=self.port, directory=directory))
        self._process = Process([str(BINARY), "-d", "-c", str(configuration)], directory / "log")
        self._peers: dict[str, Peer] = {}
        try:
            self._process.wait_until(lambda: self.peer().answers(["site.test"]), START_SECONDS, "Unbound answers")
        except BaseException:
            self.stop()
            raise

    def peer(self, source: str = "127.0.0.1") -> Peer:
        if source not in self._peers:
            self._peers[source] = Peer(self.port, source=source)
        return self._peers[source]

    def asked(self, name: str, source: str = "127.0.0.1") -> str:
        reply = self.peer(source).reply(f"{name}.site.test", AAAA if ":" in SITES[name] else A)
        records = [str(one.rdata) for one in reply.rr]
        return records[0] if records else str(dnslib.RCODE[reply.header.rcode])

    def stop(self) -> str:
        for peer in self._peers.values():
            peer.close()
        self._process.stop()
        return self._process.output()


def policy(zone: str, trigger: str) -> str:
    return "".join(rpz.lines(ZONES[zone], columns(LISTED), trigger=trigger))


@pytest.fixture
def resolver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Resolver]:
    started = Resolver(tmp_path, policy(*request.param))
    yield started
    said = started.stop()
    assert "error" not in said, said


@needed
@pytest.mark.parametrize("resolver", [("all", "answer")], indirect=True)
def test_names_with_listed_addresses_do_not_exist(resolver: Resolver) -> None:
    answered = {name: resolver.asked(name) for name in SITES}
    assert answered == {name: "NXDOMAIN" if name in BLOCKED else ip for name, ip in SITES.items()}


@needed
@pytest.mark.parametrize("resolver", [("all", "client")], indirect=True)
def test_listed_clients_are_told_nothing(resolver: Resolver) -> None:
    assert resolver.asked("beside") == resolver.asked("beside", "127.10.0.0") == SITES["beside"]
    assert resolver.asked("beside", "127.9.1.1") == "NXDOMAIN"
    assert resolver.asked("listed") == SITES["listed"]


@needed
def test_an_allowing_zone_lets_pass_what_a_later_policy_would_block(tmp_path: Path) -> None:
    passing = policy("wl", "answer")
    assert {line.split("\t")[0] for line in passing.splitlines() if "rpz-passthru." in line} == {
        "32.7.7.1.11.rpz-ip",
        "64.zz.2.1.5.2a01.rpz-ip",
    }
    resolver = Resolver(tmp_path, passing)
    try:
        assert resolver.asked("server") == SITES["server"]
    finally:
        assert "error" not in resolver.stop()


def test_prefixes_are_written_as_the_draft_wants_them() -> None:
    listed = [entry("2a00:0:0:1::/64"), entry("2a00:1::/33"), entry("2a00:2:3::/48"), entry("11.128.0.0/9")]
    text = "".join(rpz.lines(ZONES["bl"], columns(listed), trigger="answer"))
    names = [line.split("\t")[0] for line in text.splitlines() if "CNAME" in line]
    assert names == [
        "9.0.0.128.11.rpz-ip", "64.zz.1.0.0.2a00.rpz-ip", "33.zz.1.2a00.rpz-ip", "48.zz.3.2.2a00.rpz-ip",
    ]  # fmt: skip


def test_a_zone_with_good_and_bad_is_refused() -> None:
    with pytest.raises(ExportError, match="holds good and bad addresses alike"):
        policy("class", "answer")


def test_a_dry_run_blocks_nothing() -> None:
    dry = dataclasses.replace(ZONES["all"], dry_run=True)
    assert "CNAME" not in "".join(rpz.lines(dry, columns(LISTED), trigger="answer"))
