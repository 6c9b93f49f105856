"""Rspamd: messages from each case, scanned over its HTTP API, and the symbols that they got."""

import http.client
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e import manual
from tests.e2e.consumers.cases import BOT, CASES, DISPUTED, DYNAMIC, ERROR_ALLOWS, LISTED, SERVER, Case
from tests.e2e.process import Process, free_port

pytestmark = pytest.mark.e2e

BINARY = Path("/usr/bin/rspamd")
START_SECONDS = 30.0
SCAN_SECONDS = 20.0

# Debian's own main file asks all the world's lists; this one has the one module, with the sections in which it
# includes the files of local.d. Compiling the public suffixes would take ten seconds: one suffices.
CONFIGURATION = """\
options {{
  filters = "";
  pidfile = "{directory}/rspamd.pid";
  tempdir = "{directory}";
  hs_cache_dir = "{directory}";
  cache_file = "{directory}/symbols.cache";
  url_tld = "{directory}/tld";
  dns {{ nameserver = ["{resolver}:53"]; timeout = 2s; }}
}}
logging {{ type = "console"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
modules {{ path = "/usr/share/rspamd/plugins/rbl.lua"; }}
actions {{ reject = 15; add_header = 6; }}
rbl {{ .include "{directory}/local.d/rbl.conf" }}
group "rbl" {{ .include "{directory}/local.d/rbl_group.conf" }}
"""
MESSAGE = b"From: writer@client.example\r\nTo: user@post.example\r\nSubject: hello\r\n\r\nhello\r\n"

SCORES = {
    LISTED: {"VEDETTE_LISTED": 8.0},
    BOT: {"VEDETTE_BOT": 8.0},
    DYNAMIC: {"VEDETTE_DYNAMIC": 3.0},
    SERVER: {"VEDETTE_SERVER": -3.0},
    DISPUTED: {"VEDETTE_LISTED": 8.0, "VEDETTE_SERVER": -3.0},
    ERROR_ALLOWS: {"VEDETTE_LISTED": 8.0},
}


@pytest.fixture(scope="module")
def rspamd(asked: str, place: Path) -> Iterator[int]:
    """The port of a running Rspamd."""
    if not BINARY.exists():
        pytest.skip("Rspamd is missing: run tests/install-peers.sh as root")
    directory, port = place / "rspamd", free_port()
    (directory / "local.d").mkdir(parents=True)
    for name, text in zip(("rbl.conf", "rbl_group.conf"), manual.blocks("Rspamd"), strict=True):
        (directory / "local.d" / name).write_text(text)
    (directory / "tld").write_text("example\n")
    configuration = directory / "rspamd.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, resolver=asked, port=port))
    process = Process(
        [str(BINARY), "-f", "-i", "-c", str(configuration)],
        directory / "rspamd.log",
        {"TZ": "UTC", "PATH": "/usr/bin:/bin"},
    )
    try:
        process.wait_until(lambda: _answers(port), START_SECONDS, "Rspamd answers")
        yield port
    finally:
        process.stop()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rspamd_scores_by_the_code(case: Case, rspamd: int) -> None:
    answer = _ask(rspamd, "POST", "/checkv2", MESSAGE, {"IP": case.address, "Helo": "client.example"})
    symbols = {
        name: symbol["score"] for name, symbol in answer["symbols"].items() if name.upper().startswith("VEDETTE")
    }
    assert symbols == SCORES.get(case.kind, {}), answer


def _answers(port: int) -> bool:
    with suppress(OSError):
        return bool(_ask(port, "GET", "/ping", b"", {}))
    return False


def _ask(
    port: int, method: str, path: str, body: bytes, headers: dict[str, str]
) -> dict[str, dict[str, dict[str, float]]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SCAN_SECONDS)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, text
        return {"pong": {}} if text.startswith(b"pong") else dict(json.loads(text))
    finally:
        connection.close()
