"""Scripted SMTP clients that a real Postfix takes for others (XCLIENT): legitimate servers and bots."""

import random
import smtplib
from dataclasses import dataclass, field

from tests.e2e.postfix import DOMAIN, USERS

TIMEOUT_SECONDS = 20.0
UNAVAILABLE = "[UNAVAILABLE]"
REFUSED_BY_LIST = 554
UNKNOWN_USER = 550
TEXT = b"Subject: hello\r\n\r\nhello\r\n"


@dataclass(frozen=True)
class Client:
    """Whom to imitate: the connecting address and, if its reverse name is confirmed, that name."""

    address: str
    name: str = UNAVAILABLE

    @property
    def xclient(self) -> str:
        """The parameters of the XCLIENT command."""
        address = f"IPV6:{self.address}" if ":" in self.address else self.address
        return f"NAME={self.name} ADDR={address}"


@dataclass
class Outcome:
    """The replies that one message got: RCPT codes, whether it was taken, whether the list refused it."""

    codes: list[int] = field(default_factory=list)
    accepted: bool = False
    words: str = ""

    @property
    def refused(self) -> bool:
        """Whether the list refused the client."""
        return REFUSED_BY_LIST in self.codes


def send(port: int, client: Client, helo: str, sender: str, recipients: list[str]) -> Outcome:
    """Send one message in a connection of its own to the Postfix on 127.0.0.1 at ``port``."""
    outcome = Outcome()
    with smtplib.SMTP("127.0.0.1", port, local_hostname=helo, timeout=TIMEOUT_SECONDS) as connection:
        connection.ehlo()
        code, words = connection.docmd("XCLIENT", client.xclient)
        assert code == 220, f"XCLIENT was refused: {code} {words!r}"
        connection.ehlo(helo)
        connection.mail(sender)
        for recipient in recipients:
            code, words = connection.rcpt(recipient)
            outcome.codes.append(code)
            if code == REFUSED_BY_LIST:
                outcome.words = words.decode("utf-8", "replace")
                return outcome
        if any(code == 250 for code in outcome.codes):
            code, words = connection.data(TEXT)
            assert code == 250, f"DATA was refused: {code} {words!r}"
            outcome.accepted = True
    return outcome


def known(randomness: random.Random) -> str:
    """Return an address that takes mail."""
    return f"{randomness.choice(USERS)}@{DOMAIN}"


def unknown(randomness: random.Random) -> str:
    """Return an address that nobody has."""
    return f"{randomness.choice('abcdefgh')}{randomness.randrange(10**6)}@{DOMAIN}"


class LegitimateServer:
    """A mail server with one confirmed name, which mistypes ``typos`` recipients in its first ``messages``."""

    def __init__(self, client: Client, *, messages: int, typos: int, seed: int) -> None:
        self.client = client
        self._random = random.Random(seed)
        self._typo_at = set(self._random.sample(range(messages), typos))
        self._sent = 0

    def send(self, port: int) -> Outcome:
        """Send the next message to a known user, or to a mistyped one."""
        recipient = unknown(self._random) if self._sent in self._typo_at else known(self._random)
        self._sent += 1
        domain = self.client.name.split(".", 1)[1]
        return send(port, self.client, self.client.name, f"writer{self._sent}@{domain}", [recipient])


class Bot:
    """An infected host: no confirmed name, another HELO each time, guessed users; its first guess is right."""

    def __init__(self, client: Client, *, seed: int) -> None:
        self.client = client
        self._random = random.Random(seed)
        self.sent = 0

    def send(self, port: int) -> Outcome:
        """Send the next message."""
        recipients = [known(self._random)] if self.sent == 0 else [unknown(self._random) for _ in range(2)]
        self.sent += 1
        helo = f"host{self._random.randrange(10**4)}.{self._random.choice(['lan', 'home', 'example'])}"
        sender = f"a{self._random.randrange(10**6)}@{self._random.choice(['bank', 'shop', 'post'])}.example"
        return send(port, self.client, helo, sender, recipients)

    def ask_in(self, port: int) -> Outcome:
        """Send a message to a known user: what a host does once it has been cleaned."""
        return send(
            port, self.client, f"host{self._random.randrange(10**4)}.lan", "me@shop.example", [known(self._random)]
        )
