"""Haraka with haraka-plugin-dns-list, which takes any A record for a listing: so behind the guarded resolver."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import manual, namespace
from tests.e2e.consumers.cases import CASES, REFUSED, Case
from tests.e2e.consumers.proxied import rcpt
from tests.e2e.postfix import DOMAIN
from tests.e2e.process import Process, free_port

pytestmark = pytest.mark.e2e

PACKAGE = Path("/usr/local/lib/vedette-peers/haraka/node_modules/Haraka")
START_SECONDS = 30.0
ZONES = {"bl": "block", "dyn": "block", "wl": "allow"}


@pytest.fixture(scope="module")
def haraka(guarded: str, place: Path) -> Iterator[int]:
    """The port of a running Haraka that has found its lists in order."""
    node = shutil.which("node")
    if node is None or not PACKAGE.exists():
        pytest.skip("Haraka is missing: have node and npm, and run tests/install-peers.sh as root")
    directory, port = place / "haraka", free_port()
    default = (PACKAGE / "config" / "connection.ini").read_text()
    assert "hosts[] =\n" in default
    for name, text in {
        "config/plugins": "dns-list\nrcpt_to.in_host_list\n",
        "config/dns-list.ini": manual.blocks("Haraka")[0],
        "config/smtp.ini": f"listen=127.0.0.1:{port}\nnodes=0\n",
        "config/connection.ini": default.replace("hosts[] =\n", "hosts[] = 127.0.0.1\n"),
        "config/host_list": f"{DOMAIN}\n",
        "config/me": "mx.post.example\n",
        "config/log.ini": "[main]\nlevel=info\n",
    }.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    process = Process(
        namespace.behind(
            namespace.resolv_conf(directory, guarded), [node, str(PACKAGE / "bin" / "haraka"), "-c", str(directory)]
        ),
        directory / "haraka.log",
        {"PATH": "/usr/bin:/bin", "HOME": str(directory)},
    )
    try:
        process.wait_until(
            lambda: _has_its_lists(process) and _listens(port), START_SECONDS, "Haraka finds its lists in order"
        )
        yield port
    finally:
        process.stop()


@pytest.fixture(scope="module")
def replies(haraka: int) -> dict[Case, str]:
    """What Haraka replied to each case."""
    with ThreadPoolExecutor(len(CASES)) as threads:
        said = threads.map(lambda case: rcpt(haraka, case.address), CASES)
        return dict(zip(CASES, said, strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_haraka_refuses_and_accepts_as_it_should(case: Case, replies: dict[Case, str]) -> None:
    if case in REFUSED:
        assert replies[case].startswith("554 "), replies[case]
        assert f"host [{case.address}] is listed on " in replies[case]
    else:
        assert replies[case].startswith("250 "), replies[case]


def _has_its_lists(process: Process) -> bool:
    said = process.log.read_text("utf-8", "replace")
    return all(f"enabling {kind} zone {zone}.vedette.test" in said for zone, kind in ZONES.items())


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
