"""Addresses that no log names, looked up through a real Unbound: their names tell what they are."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.dns import codes
from tests.e2e.process import wait_until
from tests.e2e.server import Vedette
from tests.e2e.unbound import BINARY, Unbound

pytestmark = pytest.mark.e2e

CUSTOMER = "185.44.9.8"
FORGER = "185.44.9.9"  # its name leads to somebody else's address
NAMELESS = "91.2.3.4"
CODE_INFERRED = "127.0.0.11"
FOUND_WITHIN_SECONDS = 10.0
NAMES = f"""
    local-data-ptr: "{CUSTOMER} dyn-185-44-9-8.pool.isp.example"
    local-data: "dyn-185-44-9-8.pool.isp.example A {CUSTOMER}"
    local-data-ptr: "{FORGER} mail.bank.example"
    local-data: "mail.bank.example A 62.8.1.25"
"""


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Vedette]:
    """A Vedette whose resolver is an Unbound that knows these names and no others."""
    if os.geteuid() != 0 or not BINARY.exists():
        pytest.skip("needs root and Unbound: run tests/install-peers.sh as root")
    server = Vedette(tmp_path / "vedette")
    unbound = Unbound(tmp_path / "unbound", server.dns_port, f"server:{NAMES}")
    try:
        server.configure(f"[resolver]\nnameservers = ['{unbound.address}@53']\n")
        server.start()
        yield server
    finally:
        server.close()
        unbound.stop()


def test_reverse_names_are_confirmed_forward(asking: Vedette) -> None:
    token = asking.add_feed("flows", "ndjson")
    flows = [
        {"time": time.time(), "ip": ip, "event": "flow", "proto": "tcp", "dport": 443, "dst": "62.8.1.26"}
        for ip in (CUSTOMER, FORGER, NAMELESS)
    ]
    status, _ = asking.post_batch("flows", token, "\n".join(map(json.dumps, flows)).encode(), "names")
    assert status == 202
    wait_until(
        lambda: codes(asking.dns_port, "dyn", CUSTOMER) == [CODE_INFERRED], FOUND_WITHIN_SECONDS,
        "the customer's name is found", details=lambda: str(asking.lookup(CUSTOMER)),
    )  # fmt: skip
    for address, said in ((FORGER, "reverse name not confirmed"), (NAMELESS, "no reverse name")):
        wait_until(
            lambda address=address, said=said: said in _said(asking, address), FOUND_WITHIN_SECONDS,
            f"of {address}: {said}", details=lambda address=address: _said(asking, address),
        )  # fmt: skip
        assert codes(asking.dns_port, "class", address) == []


def _said(server: Vedette, address: str) -> str:
    return "; ".join(item["says"] for item in server.lookup(address)["evidence"])
