"""Batches of Postfix log lines, seeded: sessions of many clients whose mail transactions go on in later batches."""

import datetime
import random

from tests.e2e.postfix import DOMAIN

CLIENTS = 80
SECONDS_A_BATCH = 5


class MailLog:
    """Writes batch after batch from a start time; the same seed and start give the same bytes."""

    def __init__(self, seed: int, start: datetime.datetime, sessions_a_batch: int) -> None:
        self._random = random.Random(seed)
        self._time = start
        self._sessions_a_batch = sessions_a_batch
        self._serial = 0
        self._open: list[str] = []
        self._clients = [
            f"185.{44 + number % 3}.{self._random.randrange(256)}.{number + 1}" for number in range(CLIENTS)
        ]

    def batch(self) -> bytes:
        """Return the next batch."""
        lines = [line for _ in range(self._sessions_a_batch) for line in self._session()]
        # What was opened in an earlier batch ends in this one: joins have to outlive a crash between the two.
        ending, self._open = self._open[:-6], self._open[-6:]
        lines += [line for queue in ending for line in self._delivery(queue)]
        self._time += datetime.timedelta(seconds=SECONDS_A_BATCH)
        return "".join(f"{line}\n" for line in lines).encode()

    def _session(self) -> list[str]:
        number = self._random.randrange(CLIENTS)
        address = self._clients[number]
        client = f"mail{number}.firm.example[{address}]" if number % 2 else f"unknown[{address}]"
        lines = [self._line("smtpd", f"connect from {client}")]
        if self._random.random() < 0.5:
            self._serial += 1
            queue = f"{self._serial:011X}"
            self._open.append(queue)
            lines.append(self._line("smtpd", f"{queue}: client={client}"))
            lines.append(
                self._line("qmgr", f"{queue}: from=<a{number}@firm.example>, size=900, nrcpt=1 (queue active)")
            )
        else:
            to = f"nobody{self._random.randrange(999)}@{DOMAIN}"
            lines.append(
                self._line(
                    "smtpd",
                    f"NOQUEUE: reject: RCPT from {client}: 550 5.1.1 <{to}>: Recipient address rejected: User "
                    f"unknown in virtual mailbox table; from=<a{number}@firm.example> to=<{to}> proto=ESMTP "
                    f"helo=<h{self._random.randrange(9)}.firm.example>",
                )
            )
        return lines

    def _delivery(self, queue: str) -> list[str]:
        bounced = "dsn=5.1.1, status=bounced (host said: 550 5.1.1 unknown user)"
        status = bounced if self._random.random() < 0.3 else "dsn=2.0.0, status=sent (250 ok)"
        return [
            self._line(
                "smtp", f"{queue}: to=<user1@{DOMAIN}>, relay=store[10.0.0.9]:25, delay=1, delays=0/0/0/1, {status}"
            ),
            self._line("qmgr", f"{queue}: removed"),
        ]

    def _line(self, service: str, text: str) -> str:
        self._time += datetime.timedelta(milliseconds=self._random.randrange(1, 40))
        stamp = self._time.isoformat(timespec="microseconds")
        return f"{stamp} mx postfix/{service}[{self._random.randrange(9999)}]: {text}"
