"""A real Unbound on a loopback address of its own, as an operator runs one beside the mail server."""

import socket
import struct
from contextlib import suppress
from pathlib import Path

from tests.e2e import manual
from tests.e2e.process import Process

BINARY = Path("/usr/sbin/unbound")
START_SECONDS = 15.0
QUERY_SECONDS = 0.2

# Postfix asks the resolver that resolv.conf names, on port 53: so an address of its own is needed.
# Strict QNAME minimisation (RFC 9156) asks for each label of 4.3.2.1.bl.example in turn and believes an
# NXDOMAIN on the way: what breaks lists whose server answers wrongly for empty non-terminals.
# All other names are answered here: no query leaves the machine.
CONFIGURATION = """\
server:
    interface: {address}@53
    access-control: 127.0.0.0/8 allow
    do-daemonize: no
    do-ip6: no
    chroot: ""
    username: ""
    directory: "{directory}"
    pidfile: ""
    use-syslog: no
    logfile: ""
    num-threads: 1
    module-config: "iterator"
    qname-minimisation: yes
    qname-minimisation-strict: yes
    do-not-query-localhost: no
    infra-host-ttl: 1
    local-zone: "." static
remote-control:
    control-enable: no
{stub}
{more}
"""


class Unbound:
    """A resolver that knows Vedette's zones, served on 127.0.0.1 at ``port``, as docs/mta.md says.

    ``more`` is further configuration.
    """

    def __init__(self, directory: Path, port: int, more: str = "") -> None:
        self.address = _free_address()
        directory.mkdir(parents=True, exist_ok=True)
        stub = manual.blocks("Unbound")[0]
        assert manual.DNS_PORT in stub
        stub = stub.replace(manual.DNS_PORT, f"127.0.0.1@{port}")
        configuration = directory / "unbound.conf"
        configuration.write_text(
            CONFIGURATION.format(address=self.address, directory=directory, stub=stub, more=more)
        )
        self._process = Process([str(BINARY), "-d", "-c", str(configuration)], directory / "unbound.log")
        try:
            self._process.wait_until(self._answers, START_SECONDS, "Unbound answers")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it."""
        self._process.stop()

    def _answers(self) -> bool:
        query = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\x09localhost\0" + struct.pack("!2H", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(QUERY_SECONDS)
            with suppress(OSError):
                client.sendto(query, (self.address, 53))
                return client.recv(512)[:2] == query[:2]
        return False


def _free_address() -> str:
    """Return an address of 127.53/16 on which port 53 is free."""
    for last in range(1, 255):
        address = f"127.53.0.{last}"
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            suppress(OSError),
        ):
            tcp.bind((address, 53))
            udp.bind((address, 53))
            return address
    raise AssertionError("port 53 is taken on every address of 127.53.0/24")
