"""SpamAssassin: messages whose last hop is each case, and the rules that they hit."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e import manual
from tests.e2e.consumers.cases import BOT, CASES, DISPUTED, DYNAMIC, ERROR_ALLOWS, LISTED, SERVER, Case

pytestmark = pytest.mark.e2e

BINARY = Path("/usr/bin/spamassassin")
SCAN_SECONDS = 60.0

# Nothing of Debian's own rules, which would ask all the world's lists.
PLUGINS = """\
loadplugin Mail::SpamAssassin::Plugin::Check
loadplugin Mail::SpamAssassin::Plugin::DNSEval
"""
SETTINGS = """\
dns_server {resolver}
dns_available yes
use_bayes 0
use_auto_welcomelist 0
report_safe 0
util_rb_tld example
clear_headers
add_header all Status "_TESTS_"
"""
MESSAGE = """\
Received: from client.example (client.example [{address}])
\tby mx.post.example (Postfix) with ESMTP id 0123456789
\tfor <user@post.example>; Mon, 05 Jan 2026 10:00:00 +0000
Received: from inner.example (inner.example [{before}])
\tby client.example (Postfix) with ESMTP id 9876543210
\tfor <user@post.example>; Mon, 05 Jan 2026 09:59:00 +0000
From: writer@client.example
To: user@post.example
Subject: hello
Message-ID: <{number}@client.example>
Date: Mon, 05 Jan 2026 10:00:00 +0000

hello
"""
#: Whom every message passed before: a hop that nobody shall be punished for.
BEFORE = next(case.address for case in CASES if case.kind == BOT)

HITS = {
    LISTED: {"VEDETTE_LISTED"},
    BOT: {"VEDETTE_BOT"},
    DYNAMIC: {"VEDETTE_DYNAMIC"},
    SERVER: {"VEDETTE_SERVER"},
    DISPUTED: {"VEDETTE_LISTED", "VEDETTE_SERVER"},
    ERROR_ALLOWS: {"VEDETTE_LISTED"},
}


@pytest.fixture(scope="module")
def hits(asked: str, place: Path) -> dict[Case, set[str]]:
    """The rules that a message of each case hit."""
    if not BINARY.exists():
        pytest.skip("SpamAssassin is missing: run tests/install-peers.sh as root")
    directory = place / "spamassassin"
    directory.mkdir()
    (directory / "init.pre").write_text(PLUGINS)
    (directory / "user_prefs").touch()
    (directory / "local.cf").write_text(SETTINGS.format(resolver=asked) + manual.blocks("SpamAssassin")[0])

    def scan(case: Case) -> set[str]:
        text = MESSAGE.format(address=case.address, before=BEFORE, number=CASES.index(case))
        done = subprocess.run(
            [str(BINARY), "--test-mode", "--siteconfigpath", str(directory), "--configpath", str(directory),
             "--prefspath", str(directory / "user_prefs")],
            input=text, capture_output=True, text=True, timeout=SCAN_SECONDS, check=True,
            env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        status = re.search(r"^X-Spam-Status: (.*(?:\n\s.*)*)", done.stdout, re.MULTILINE)
        assert status, done.stdout + done.stderr
        assert "warn" not in done.stderr, done.stderr
        return set(re.findall(r"\bVEDETTE\w+", status[1]))

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(CASES, threads.map(scan, CASES), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_spamassassin_scores_by_the_code(case: Case, hits: dict[Case, set[str]]) -> None:
    assert hits[case] == HITS.get(case.kind, set())
