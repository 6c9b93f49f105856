"""SMTP sessions with servers that take the client's address from the PROXY protocol (version 1)."""

import ipaddress
import re
import socket

from tests.e2e.postfix import DOMAIN, USERS

SESSION_SECONDS = 30.0
REPLY_BYTES = 4096
_LAST_LINE = re.compile(rb"(?:^|\n)\d{3} [^\n]*\n\Z")


def rcpt(port: int, address: str) -> str:
    """Connect as ``address`` and offer one message to a known user.

    Returns:
        The reply to RCPT; or the greeting, if that already refuses.
    """
    family = "TCP4" if ipaddress.ip_address(address).version == 4 else "TCP6"
    to = "127.0.0.1" if family == "TCP4" else "::1"
    with socket.create_connection(("127.0.0.1", port), timeout=SESSION_SECONDS) as client:
        client.sendall(f"PROXY {family} {address} {to} 40000 25\r\n".encode())
        reply = _reply(client)
        for command in (
            "EHLO client.example",
            "MAIL FROM:<writer@client.example>",
            f"RCPT TO:<{USERS[0]}@{DOMAIN}>",
        ):
            if not reply.startswith("2"):
                return reply
            client.sendall(f"{command}\r\n".encode())
            reply = _reply(client)
        client.sendall(b"QUIT\r\n")
        _reply(client)
        return reply


def _reply(client: socket.socket) -> str:
    received = b""
    while not _LAST_LINE.search(received):
        more = client.recv(REPLY_BYTES)
        assert more, f"the server hung up after {received!r}"
        received += more
    return received.decode("utf-8", "replace")
