"""A name server that answers some questions with an error code: what a list says whose use was not granted.

It is a second Unbound with nothing but data of its own, to which the resolver beside the mail servers goes for
these names.
"""

from pathlib import Path

import dns.reversename

from tests.e2e.consumers.cases import ERROR_CODE, error_names
from tests.e2e.process import Process, free_port
from tests.e2e.server import ORIGIN
from tests.e2e.unbound import BINARY

TEXT = "access to this list was not granted"

CONFIGURATION = """\
server:
    interface: 127.0.0.1@{port}
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
    local-zone: "." refuse
{data}
remote-control:
    control-enable: no
"""


class ErrorServer:
    """A running one; ``stubs`` is what leads a resolver to it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        names = [_name(zone, address) for zone, address in error_names()]
        port = free_port()
        self.stubs = "".join(f'stub-zone:\n    name: "{name}"\n    stub-addr: 127.0.0.1@{port}\n' for name in names)
        data = "".join(
            f'    local-zone: "{name}" static\n    local-data: "{name} 60 IN A {ERROR_CODE}"\n'
            f"    local-data: '{name} 60 IN TXT \"{TEXT}\"'\n"
            for name in names
        )
        configuration = directory / "unbound.conf"
        configuration.write_text(CONFIGURATION.format(port=port, directory=directory, data=data))
        self._process = Process([str(BINARY), "-d", "-c", str(configuration)], directory / "unbound.log")

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def _name(zone: str, address: str) -> str:
    return f"{dns.reversename.from_address(address).to_text().rsplit('.', 3)[0]}.{zone}.{ORIGIN}."
