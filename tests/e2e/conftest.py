"""Fixtures of the end-to-end tests: each gives a running thing and ends it, whatever the test did."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import manual
from tests.e2e import postfix as postfix_peer
from tests.e2e import unbound as unbound_peer
from tests.e2e.server import Vedette


@pytest.fixture
def vedette(tmp_path: Path) -> Iterator[Vedette]:
    """A running Vedette with an empty data directory."""
    server = Vedette(tmp_path / "vedette")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def resolver(vedette: Vedette, tmp_path: Path) -> Iterator[str]:
    """The address of an Unbound with strict QNAME minimisation that knows Vedette's zones."""
    if os.geteuid() != 0:
        pytest.skip("needs root: Unbound on port 53, a mount namespace for Postfix")
    if not unbound_peer.BINARY.exists():
        pytest.skip("Unbound is missing: run tests/install-peers.sh as root")
    unbound = unbound_peer.Unbound(tmp_path, vedette.dns_port)
    try:
        yield unbound.address
    finally:
        unbound.stop()


@pytest.fixture
def postfix(resolver: str) -> Iterator[postfix_peer.Postfix]:
    """A running Postfix that asks Vedette's zones through ``resolver``."""
    if lack := postfix_peer.missing():
        pytest.skip(lack)
    server = postfix_peer.Postfix(resolver, manual.blocks("Postfix")[0])
    try:
        yield server
    finally:
        server.stop()
