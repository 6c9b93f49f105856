"""A real Postfix in directories of its own, its own log in a file, its resolver the one it is given.

It takes mail for USERS of DOMAIN, refuses unknown users at RCPT, and lets the tests imitate clients with
XCLIENT. Which lists it asks is given: what docs/mta.md tells operators. On a second port stands postscreen, which
takes the client's address from the PROXY protocol.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.e2e import namespace
from tests.e2e.process import Process, free_port, wait_until

DOMAIN = "post.example"
USERS = tuple(f"user{number}" for number in range(20))
LIBRARIES = Path("/usr/lib/postfix/sbin")
COMMAND = Path("/usr/sbin/postfix")
START_SECONDS = 20.0

MAIN = """\
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file = {root}/maillog
maillog_file_prefixes = {root}
myhostname = mx.{domain}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = all
alias_maps =
alias_database =
mynetworks =
biff = no
virtual_mailbox_domains = {domain}
virtual_mailbox_maps = texthash:{root}/users
virtual_transport = discard:
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
# The scripted clients are quicker and worse than the defaults suffer: what refuses them has to be the list.
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
postscreen_upstream_proxy_protocol = haproxy
postscreen_greet_wait = 2s
{lists}
"""

# smtpd remembers what a list said about an address for as long as the process lives (a table of 100 names
# without a TTL, src/smtpd/smtpd_check.c): by default 100 connections. max_use=1 lets each connection ask anew.
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
    -o max_use=1
127.0.0.1:{screen_port} inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
    -o smtpd_client_restrictions=
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
"""


def missing() -> str:
    """Return what this machine lacks for the harness, or nothing."""
    if not COMMAND.exists():
        return "Postfix is missing: run tests/install-peers.sh as root"
    return namespace.missing()


class Postfix:
    """A running Postfix: smtpd at ``port`` of 127.0.0.1, postscreen at ``screen_port``; ``log`` is its mail log."""

    def __init__(self, resolver: str, lists: str) -> None:
        # Not below the test's own directory, which Postfix's unprivileged processes may not enter.
        self.root = Path(tempfile.mkdtemp(prefix="vedette-postfix-"))
        self.root.chmod(0o755)
        self.log = self.root / "maillog"
        self.port, self.screen_port = free_port(), free_port()
        self._process: Process | None = None
        try:
            self._configure(resolver, lists)
            self._start()
        except BaseException:
            self.stop()
            raise

    def _configure(self, resolver: str, lists: str) -> None:
        etc = self.root / "etc"
        for name in ("etc", "queue", "data"):
            (self.root / name).mkdir()
        shutil.chown(self.root / "data", "postfix", "postfix")
        (etc / "main.cf").write_text(MAIN.format(root=self.root, domain=DOMAIN, lists=lists))
        (etc / "master.cf").write_text(MASTER.format(port=self.port, screen_port=self.screen_port))
        (self.root / "users").write_text("".join(f"{user}@{DOMAIN} ok\n" for user in USERS))
        self._resolv_conf = namespace.resolv_conf(self.root, resolver)
        check = subprocess.run([str(COMMAND), "-c", str(etc), "check"], capture_output=True, text=True, check=False)
        complaint = check.stdout + check.stderr
        assert check.returncode == 0, f"postfix check: {complaint}"
        assert "fatal" not in complaint, f"postfix check: {complaint}"

    def _start(self) -> None:
        # Without -d the master would discard its output; either way it leads its own process group.
        self._process = Process(
            namespace.behind(self._resolv_conf, [str(LIBRARIES / "master"), "-d", "-c", str(self.root / "etc")]),
            self.root / "master.log",
            {**os.environ, "TZ": "UTC"},
        )
        self._process.wait_until(self._greets, START_SECONDS, "Postfix greets")

    def stop(self) -> None:
        """End it and remove its directories."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def log_text(self) -> str:
        """Return the mail log so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def wait_for_log(self, text: str, seconds: float = 10.0) -> None:
        """Return once ``text`` stands in the mail log."""
        wait_until(lambda: text in self.log_text(), seconds, f"{text!r} in the mail log", details=self.log_text)

    def _greets(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as client:
            return client.recv(4) == b"220 "
        return False
