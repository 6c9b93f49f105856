"""Exim, as ``exim -bh ADDRESS``: an SMTP session on standard input, as if that address had connected."""

import ipaddress
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e import manual, namespace
from tests.e2e.consumers.cases import CASES, DYNAMIC, REFUSED, Case

pytestmark = pytest.mark.e2e

#: Debian's own, unpacked beside Postfix, which its package would replace.
BINARY = Path("/usr/local/lib/vedette-peers/exim4/usr/sbin/exim4")
SESSION_SECONDS = 20.0

CONFIGURATION = """\
primary_hostname = mx.post.example
keep_environment =
spool_directory = {directory}
log_file_path = {directory}/%slog
acl_smtp_rcpt = acl_check_rcpt
begin acl
{acl}
  accept
"""
SESSION = "EHLO client.example\r\nMAIL FROM:<writer@client.example>\r\nRCPT TO:<user@post.example>\r\nQUIT\r\n"
REPLIES = 5  # the greeting's among them
RCPT_REPLY = 3
#: A reply of one or more lines; Exim breaks long ones.
REPLY = re.compile(r"^((?:\d{3}-.*\n)*\d{3} .*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def replies(asked: str, place: Path) -> dict[Case, str]:
    """What Exim replied to RCPT in a session of each case."""
    if not BINARY.exists():
        pytest.skip("Exim is missing: run tests/install-peers.sh as root")
    directory = place / "exim"
    directory.mkdir()
    shutil.chown(directory, "Debian-exim", "Debian-exim")
    resolv_conf = namespace.resolv_conf(directory, asked)
    configuration = directory / "exim.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, acl=manual.blocks("Exim")[0]))

    def session(case: Case) -> str:
        done = subprocess.run(
            namespace.behind(resolv_conf, [str(BINARY), "-C", str(configuration), "-bh", case.address]),
            input=SESSION, capture_output=True, text=True, timeout=SESSION_SECONDS, check=False,
        )  # fmt: skip
        said = REPLY.findall(done.stdout)
        assert len(said) == REPLIES, f"{done.stdout}\n{done.stderr}"
        return " ".join(line[4:] if number else line for number, line in enumerate(said[RCPT_REPLY].splitlines()))

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(CASES, threads.map(session, CASES), strict=True))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_exim_refuses_and_accepts_as_it_should(case: Case, replies: dict[Case, str]) -> None:
    reply = replies[case]
    if case in REFUSED:
        zone = "dyn" if case.kind == DYNAMIC else "bl"
        # Exim spells IPv6 addresses out.
        address = ipaddress.ip_address(case.address).exploded
        assert re.match(rf"550[ -]{address} is listed in {zone}\.vedette\.test: .*http", reply), reply
    else:
        assert reply == "250 Accepted"
