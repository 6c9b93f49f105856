"""A real resolver with strict QNAME minimisation, which believes each NXDOMAIN on its way to a name."""

import os
import subprocess

import pytest

from dnsbl.listing.codes import Layer
from dnsbl.serve.udp import UdpServer
from dnsbl.zone.live import LiveZones
from tests.dnsbl.wire.packets import reverse
from tests.dnsbl.zone.test_live import URL, ZONES, entry
from tests.e2e.unbound import BINARY, Unbound

pytestmark = pytest.mark.skipif(
    not BINARY.exists() or os.geteuid() != 0, reason="needs Debian's unbound, and root to bind port 53"
)


@pytest.fixture(scope="module")
def resolver(tmp_path_factory):
    live = LiveZones(ZONES, public_url=URL)
    live.apply(
        [
            entry("198.51.100.7/32"),
            entry("2001:db8:1:2::/64"),
            entry("203.0.113.0/24", Layer.DYNAMIC_DECLARED),
            entry("192.0.2.25/32", Layer.MTA, trust=3),
        ]
    )
    server = UdpServer(live, "127.0.0.1", 0)
    server.start()
    unbound = Unbound(tmp_path_factory.mktemp("unbound"), server.port)
    yield unbound
    unbound.stop()
    server.stop()


def ask(resolver, name, type_="A"):
    command = ["dig", f"@{resolver.address}", "+tries=1", "+time=5", "+noall", "+comments", "+answer", name, type_]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    records = [line.split(None, 4)[4] for line in said.splitlines() if line and not line.startswith(";")]
    return said.split("status: ")[1].split(",")[0], records


@pytest.mark.parametrize(
    ("address", "zone", "expected"),
    [
        ("198.51.100.7", "bl", ["127.0.0.4"]),
        ("198.51.100.7", "all", ["127.0.0.4"]),
        ("2001:db8:1:2:3:4:5:6", "bl", ["127.0.0.4"]),
        ("203.0.113.200", "dyn", ["127.0.0.10"]),
        ("192.0.2.25", "wl", ["127.0.0.43"]),
        ("127.0.0.2", "bl", ["127.0.0.2"]),
        ("::ffff:7f00:2", "bl", ["127.0.0.2"]),
    ],
)
def test_a_listed_address_is_found(resolver, address, zone, expected):
    assert ask(resolver, reverse(address, f"{zone}.vedette.test")) == ("NOERROR", expected)


def test_its_text_and_the_apex_are_found(resolver):
    status, (text,) = ask(resolver, reverse("198.51.100.7", "bl.vedette.test"), "TXT")
    assert status == "NOERROR"
    assert text.startswith('"bot: spam; since')
    assert ask(resolver, "bl.vedette.test", "NS") == ("NOERROR", ["ns.vedette.test."])
    assert ask(resolver, "ns.vedette.test") == ("NOERROR", ["127.0.0.1"])


@pytest.mark.parametrize("address", ["198.51.100.8", "192.0.2.25", "127.0.0.1", "2001:db8:1:3::1", "::ffff:7f00:1"])
def test_any_other_address_is_not(resolver, address):
    assert ask(resolver, reverse(address, "bl.vedette.test")) == ("NXDOMAIN", [])
