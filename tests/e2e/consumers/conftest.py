"""One Vedette that knows every case, and one resolver, for all consumers together."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e import manual, namespace
from tests.e2e.consumers.cases import CASES, ERROR, ERROR_CODE, teach
from tests.e2e.consumers.errors import ErrorServer
from tests.e2e.dns import codes
from tests.e2e.process import wait_until
from tests.e2e.server import Vedette
from tests.e2e.unbound import BINARY, Unbound


@pytest.fixture(scope="package")
def place() -> Iterator[Path]:
    """A directory that unprivileged consumers may enter, too; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vedette-consumers-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture(scope="package")
def taught(place: Path) -> Iterator[Vedette]:
    """A running Vedette that knows every case."""
    if os.geteuid() != 0:
        pytest.skip("needs root: Unbound on port 53, a mount namespace for the consumers")
    if not BINARY.exists():
        pytest.skip("Unbound is missing: run tests/install-peers.sh as root")
    if lack := namespace.missing():
        pytest.skip(lack)
    server = Vedette(place / "vedette")
    try:
        server.start()
        teach(server)
        yield server
    finally:
        server.close()


@pytest.fixture(scope="package")
def errors(taught: Vedette, place: Path) -> Iterator[ErrorServer]:
    """The name server with the error codes."""
    server = ErrorServer(place / "errors")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="package")
def asked(taught: Vedette, errors: ErrorServer, place: Path) -> Iterator[str]:
    """The address of the resolver behind which consumers stand."""
    with ExitStack() as ending:
        unbound = Unbound(place / "unbound", taught.dns_port, errors.stubs)
        ending.callback(unbound.stop)
        _wait_for_errors(unbound.address, [ERROR_CODE])
        yield unbound.address


@pytest.fixture(scope="package")
def guarded(taught: Vedette, errors: ErrorServer, place: Path) -> Iterator[str]:
    """The address of one that drops error codes, as docs/mta.md says for consumers that do not read codes."""
    with ExitStack() as ending:
        unbound = Unbound(place / "guarded", taught.dns_port, errors.stubs + manual.blocks("Unbound")[1])
        ending.callback(unbound.stop)
        _wait_for_errors(unbound.address, [])
        yield unbound.address


def _wait_for_errors(resolver: str, said: list[str]) -> None:
    """Return when the resolver answers the questions that get error codes with ``said``."""
    for case in CASES:
        if case.kind == ERROR:
            wait_until(
                lambda address=case.address: codes(53, "bl", address, resolver) == said,  # type: ignore[misc]
                10.0, f"the resolver says {said} of {case}",
            )  # fmt: skip
