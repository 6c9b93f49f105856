"""Questions over UDP to name servers of others."""

import socket
from collections.abc import Iterable
from contextlib import suppress

import dnslib

from tests.dnsbl.export.scenes import Records, said
from tests.dnsbl.wire.packets import query

REPLY_SECONDS = 2.0
TRIES = 3


class Peer:
    """A name server on loopback, asked one question after the other."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((source, 0))
        self._socket.connect((host, port))
        self._socket.settimeout(REPLY_SECONDS)

    def close(self) -> None:
        self._socket.close()

    def reply(self, name: str, type_: int, additional: tuple[bytes, ...] = ()) -> dnslib.DNSRecord:
        question = query(name, type_, additional=additional)
        for _ in range(TRIES):
            with suppress(TimeoutError, ConnectionRefusedError):
                self._socket.send(question)
                return dnslib.DNSRecord.parse(self._socket.recv(4096))
        raise AssertionError(f"no reply about {name}")

    def says(self, name: str, type_: int, additional: tuple[bytes, ...] = ()) -> Records:
        return said(self.reply(name, type_, additional))

    def answers(self, names: Iterable[str]) -> bool:
        """Whether it is there and serves all of these."""
        with suppress(OSError):
            for name in names:
                self._socket.settimeout(0.2)
                self._socket.send(query(name, 6))
                if dnslib.DNSRecord.parse(self._socket.recv(4096)).header.rcode:
                    return False
            self._socket.settimeout(REPLY_SECONDS)
            return True
        return False
