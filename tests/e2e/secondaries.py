"""Real secondaries on loopback: NSD and Knot, each taking zones by transfer, as docs/dns.md shows."""

from collections.abc import Iterable
from pathlib import Path

from tests.e2e.process import Process

KEY_NAME = "secondary"
SECRET = "dGhpcyBpcyBubyBzZWNyZXQgYXQgYWxsLCBpdCBpcyBhIHRlc3Q="

_NSD = """\
server:
    ip-address: 127.0.0.1@{port}
    zonesdir: "{directory}"
    username: ""
    chroot: ""
    database: ""
    logfile: ""
    pidfile: ""
    zonelistfile: ""
    xfrdfile: ""
    xfrdir: "{directory}"
    server-count: 1
    verbosity: 2
    minimal-responses: yes
    rrl-ratelimit: 0
remote-control:
    control-enable: no
key:
    name: "{key}"
    algorithm: hmac-sha256
    secret: "{secret}"
"""
_NSD_ZONE = """\
zone:
    name: "{origin}"
    request-xfr: 127.0.0.1@{primary} {key}
    allow-notify: 127.0.0.1 NOKEY
"""
_KNOT = """\
server:
    listen: 127.0.0.1@{port}
    rundir: "{directory}"
    user: root
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: "{directory}"
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
remote:
  - id: vedette
    address: 127.0.0.1@{primary}
    key: {key}
acl:
  - id: told
    address: 127.0.0.1
    action: notify
template:
  - id: default
    storage: "{directory}"
    master: vedette
    acl: told
zone:
"""
_KNOT_ZONE = "  - domain: {origin}\n"
_FORMS = {"nsd": (_NSD, _NSD_ZONE), "knot": (_KNOT, _KNOT_ZONE)}
BINARIES = {"nsd": Path("/usr/sbin/nsd"), "knot": Path("/usr/sbin/knotd")}


class Secondary:
    """One of BINARIES, on a port of its own, that takes zones from a primary on 127.0.0.1."""

    def __init__(self, kind: str, directory: Path, port: int, primary: int, origins: Iterable[str]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        head, each = _FORMS[kind]
        known = {"port": port, "primary": primary, "directory": directory, "key": KEY_NAME, "secret": SECRET}
        configuration = directory / f"{kind}.conf"
        configuration.write_text(
            head.format(**known) + "".join(each.format(origin=origin, **known) for origin in origins)
        )
        options = ["-d"] if kind == "nsd" else []
        self.port = port
        self.process = Process([str(BINARIES[kind]), *options, "-c", str(configuration)], directory / "log")

    def stop(self) -> None:
        """End it."""
        self.process.stop()
