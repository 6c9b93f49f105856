"""A small made network, for a first look: mail servers, customers' machines and bots, as Postfix would log them.

In: the time at which the log ends, and a seed. Out: lines of a mail log, the same for the same input. Must not know
how anything is judged: what becomes of an address here is for the profiler to find out.
"""

import datetime
import random
from collections.abc import Iterator
from typing import NamedTuple

SEED = 1
#: The log starts so long before its end.
DAYS = 2.0
SECONDS_A_DAY = 86_400
#: When the bots wake up: seconds before the log ends.
OUTBREAK_SECONDS = 900
MESSAGES_A_SERVER = 60
TYPO_SHARE = 0.02
RECIPIENTS_A_BOT = 12
RECIPIENTS_OF_THE_TURNED = 40
SESSIONS_A_CUSTOMER = 3

#: Whose customers most of the addresses below are.
NETWORK = "185.44.9.0/24"
NETWORK_NAME = "Sample Access"
NETWORK_ASN = 64500


class Host(NamedTuple):
    """A client as the receiving server names it: an address, its reverse name if that was confirmed, its HELO."""

    address: str
    name: str
    helo: str


SERVERS = (
    Host("62.8.1.25", "mail.orchard.example", "mail.orchard.example"),
    Host("91.198.7.10", "mx1.printshop.example", "mx1.printshop.example"),
    Host("2a01:4f8:1:2::25", "smtp.university.example", "smtp.university.example"),
)
#: A mail server that is taken over at the end.
TURNED = Host("91.198.40.3", "mail.bakery.example", "mail.bakery.example")
CUSTOMERS = tuple(
    Host(f"185.44.9.{last}", f"dyn-185-44-9-{last}.access.example", f"pc{last}.local") for last in range(21, 33)
)
BOTS = (
    Host("185.44.9.40", "dyn-185-44-9-40.access.example", ""),
    Host("185.44.9.77", "dyn-185-44-9-77.access.example", ""),
    Host("89.200.3.14", "unknown", ""),
    Host("2a0d:5600:8:1::666", "unknown", ""),
)


def mail_log(end: float, seed: int = SEED) -> Iterator[bytes]:
    """Yield a mail log that ends at ``end`` (seconds since 1970), an hour at a time, in the order of time."""
    lines: list[tuple[float, str]] = []
    writer = _Writer(random.Random(seed), lines)
    start = end - DAYS * SECONDS_A_DAY
    calm = end - OUTBREAK_SECONDS
    for host in (*SERVERS, TURNED):
        writer.server(host, start, calm)
    for host in CUSTOMERS:
        writer.customer(host, start, calm)
    for host in BOTS:
        writer.bot(host, calm, end, RECIPIENTS_A_BOT)
    writer.bot(TURNED, calm, end, RECIPIENTS_OF_THE_TURNED)
    lines.sort()
    hour: list[str] = []
    hour_ends = start + 3600
    for moment, line in lines:
        if moment >= hour_ends:
            yield "".join(hour).encode()
            hour.clear()
            hour_ends += 3600 * ((moment - hour_ends) // 3600 + 1)
        hour.append(line)
    yield "".join(hour).encode()


class _Writer:
    """Appends (time, line) to ``lines``."""

    def __init__(self, chance: random.Random, lines: list[tuple[float, str]]) -> None:
        self._chance = chance
        self._lines = lines
        self._queued = 0
        self._now = 0.0

    def server(self, host: Host, start: float, end: float) -> None:
        """Mail that is wanted, with a typing error in a recipient now and then."""
        for _ in range(MESSAGES_A_SERVER):
            self._now = self._chance.uniform(start, end - 60)
            self._connect(host)
            if self._chance.random() < TYPO_SHARE:
                self._unknown_recipient(host, host.helo, f"anne{self._chance.randrange(99)}")
            else:
                self._accepted(host)
            self._line("smtpd", f"disconnect from {_client(host)} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")

    def customer(self, host: Host, start: float, end: float) -> None:
        """A customer's machine that talks to the server a few times and sends nothing."""
        for _ in range(SESSIONS_A_CUSTOMER):
            self._now = self._chance.uniform(start, end - 60)
            self._connect(host)
            self._line("smtpd", f"disconnect from {_client(host)} ehlo=1 quit=1 commands=2")

    def bot(self, host: Host, start: float, end: float, recipients: int) -> None:
        """Guesses recipients, under names that change unless the host has one."""
        moments = sorted(self._chance.uniform(start, end - 30) for _ in range(recipients))
        for number, moment in enumerate(moments):
            self._now = moment
            self._connect(host)
            helo = host.helo or f"{self._chance.choice(('win', 'pc', 'desktop'))}-{self._chance.randrange(9999)}"
            if number == 0:
                self._accepted(host)
            else:
                self._unknown_recipient(host, helo, f"user{self._chance.randrange(9999)}")
            self._line("smtpd", f"lost connection after RCPT from {_client(host)}")
            self._line("smtpd", f"disconnect from {_client(host)} ehlo=1 mail=1 rcpt=0/1 commands=2/3")

    def _connect(self, host: Host) -> None:
        self._line("smtpd", f"connect from {_client(host)}")

    def _accepted(self, host: Host) -> None:
        self._queued += 1
        queue = f"{self._queued:010X}"
        sender = f"someone@{host.name.partition('.')[2] or 'nowhere.example'}"
        recipient = "user1@mx.example"
        self._line("smtpd", f"{queue}: client={_client(host)}")
        self._line(
            "qmgr", f"{queue}: from=<{sender}>, size={self._chance.randrange(900, 90_000)}, nrcpt=1 (queue active)"
        )
        self._line(
            "lmtp", f"{queue}: to=<{recipient}>, relay=store, delay=0.2, delays=0.1/0/0/0.1, dsn=2.0.0, "
            "status=sent (250 2.0.0 ok)",
        )  # fmt: skip
        self._line("qmgr", f"{queue}: removed")

    def _unknown_recipient(self, host: Host, helo: str, local_part: str) -> None:
        recipient = f"{local_part}@mx.example"
        self._line(
            "smtpd", f"NOQUEUE: reject: RCPT from {_client(host)}: 550 5.1.1 <{recipient}>: Recipient address "
            f"rejected: User unknown in virtual mailbox table; from=<a@{host.name}> to=<{recipient}> proto=ESMTP "
            f"helo=<{helo}>",
        )  # fmt: skip

    def _line(self, service: str, text: str) -> None:
        stamp = datetime.datetime.fromtimestamp(self._now, datetime.UTC).isoformat(timespec="microseconds")
        self._lines.append((self._now, f"{stamp} mx postfix/{service}[{self._chance.randrange(9999)}]: {text}\n"))
        self._now += self._chance.uniform(0.001, 0.2)


def _client(host: Host) -> str:
    return f"{host.name}[{host.address}]"
