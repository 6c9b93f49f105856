"""Postfix: smtpd, which asks one list after the other, and postscreen, which weighs them together."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e import manual, postfix, smtp
from tests.e2e.consumers.cases import BOT, CASES, DISPUTED, DYNAMIC, ERROR_ALLOWS, LISTED, REFUSED, Case
from tests.e2e.consumers.proxied import rcpt

pytestmark = pytest.mark.e2e

NEGATIVE_TTL_SECONDS = 60
ALLOW_TTL_SECONDS = 3600
#: The time stamps of postscreen's cache, and ours, are whole seconds.
ROUNDING_SECONDS = 1
#: What postscreen calls the sum of an address' weights where it suffices to refuse.
RANKS = {LISTED: 3, BOT: 3, ERROR_ALLOWS: 3}
#: The order of the time stamps in a record of postscreen's cache (postscreen.h).
DNSBL_STAMP = 1


@pytest.fixture(scope="module")
def server(asked: str) -> Iterator[postfix.Postfix]:
    """A running Postfix with both blocks of docs/mta.md."""
    if lack := postfix.missing():
        pytest.skip(lack)
    _, with_dynamic, screen = manual.blocks("Postfix")
    running = postfix.Postfix(asked, with_dynamic + screen)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def screened(server: postfix.Postfix) -> dict[Case, str]:
    """What postscreen replied to each case; all at once, because each waits for the greeting."""
    with ThreadPoolExecutor(len(CASES)) as threads:
        replies = threads.map(lambda case: rcpt(server.screen_port, case.address), CASES)
        return dict(zip(CASES, replies, strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_smtpd_refuses_and_accepts_as_it_should(case: Case, server: postfix.Postfix) -> None:
    outcome = smtp.send(
        server.port, smtp.Client(case.address), "client.example", "writer@client.example",
        [f"{postfix.USERS[0]}@{postfix.DOMAIN}"],
    )  # fmt: skip
    if case in REFUSED:
        zone = "dyn" if case.kind == DYNAMIC else "bl"
        assert outcome.refused
        assert f"blocked using {zone}.vedette.test" in outcome.words
        assert "http" in outcome.words, "the TXT record says where to read why"
    else:
        assert outcome.accepted


@pytest.mark.parametrize("case", CASES, ids=str)
def test_postscreen_weighs_the_lists_together(
    case: Case, screened: dict[Case, str], server: postfix.Postfix
) -> None:
    rank = re.search(rf"DNSBL rank (\d+) for \[{re.escape(case.address)}\]", server.log_text())
    if case.kind in RANKS:
        assert screened[case].startswith("550 5.7.1 Service unavailable"), screened[case]
        assert "blocked using bl.vedette.test" in screened[case]
        assert rank
        assert int(rank[1]) == RANKS[case.kind]
    else:
        assert screened[case].startswith("250 "), screened[case]
        assert rank is None


def test_postscreen_remembers_a_pass_no_longer_than_the_negative_ttl(
    screened: dict[Case, str], server: postfix.Postfix, place: Path
) -> None:
    now = time.time()
    shutil.copy(server.root / "data" / "postscreen_cache.db", place / "postscreen_cache.db")
    said = subprocess.run(
        ["postmap", "-c", str(server.root / "etc"), "-s", f"btree:{place / 'postscreen_cache'}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    records = dict(line.split("\t", 1) for line in said.splitlines())
    passed = {case for case in CASES if screened[case].startswith("250 ")}
    assert passed == {case for case in CASES if case.kind not in RANKS}
    for case in passed:
        left = int(records[case.address].split(";")[DNSBL_STAMP]) - now
        assert left > 0
        # A pass against a listing hangs on the positive answer of `wl`, and is remembered for that one's TTL.
        ttl = ALLOW_TTL_SECONDS if case.kind == DISPUTED else NEGATIVE_TTL_SECONDS
        assert left <= ttl + ROUNDING_SECONDS, case
