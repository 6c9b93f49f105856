"""Lines a second of the Postfix parser, beside a naive Python regular expression on the same made log.

Run: ``python tests/bench/bench_parse.py [lines]``. Pin it to one core; figures are noisy on a shared machine. It
fails if the two disagree about how often each address was refused.
"""

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from profiler.address import Key
from profiler.observation import Event
from profiler.parse.registry import Context, open_parser

LINES = 300_000
ROUNDS = 5
START = datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC)
NOW = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1_000_000
NAIVE = re.compile(
    r"^(\w{3} [ \d]\d \d\d:\d\d:\d\d) (\S+) postfix/(\w+)\[\d+\]: (?:(\w+): )?reject: (\w+) from (\S*)\[([^\]]+)\]"
    r"(?::\d+)?: (\d{3}) (.*?); from=<([^>]*)> to=<([^>]*)> proto=(\S+) helo=<([^>]*)>"
)


def _session(rng: random.Random, number: int) -> Iterator[str]:
    bot = rng.random() < 0.5
    octets = [rng.choice((45, 81, 91, 185)), rng.randrange(256), rng.randrange(256), rng.randrange(1, 255)]
    address = ".".join(map(str, octets))
    if bot:
        name = rng.choice(("unknown", f"{'-'.join(map(str, octets))}.dyn.isp{number % 50}.example"))
        helo = f"host{rng.randrange(10**6)}"
    else:
        name = helo = f"mail{number % 9}.company{number % 4000}.example"
    client, process = f"{name}[{address}]", rng.randrange(1000, 99999)
    smtpd, queue = f"postfix/smtpd[{process}]: ", f"4X{rng.randrange(1 << 40):X}"
    yield f"{smtpd}connect from {client}"
    if bot:
        for _ in range(rng.randrange(1, 5)):
            user = f"user{rng.randrange(10**6)}@site{number % 7}.example"
            yield (
                f"{smtpd}NOQUEUE: reject: RCPT from {client}: 550 5.1.1 <{user}>: Recipient address rejected: "
                f"User unknown in virtual mailbox table; from=<x{number}@spam{number % 99}.example> to=<{user}> "
                f"proto=ESMTP helo=<{helo}>"
            )
        yield f"{smtpd}lost connection after RCPT from {client}"
        yield f"{smtpd}disconnect from {client} ehlo=1 mail=1 rcpt=0/{rng.randrange(1, 9)} commands=2/4"
        return
    yield f"{smtpd}{queue}: client={client}"
    yield f"postfix/cleanup[{process + 1}]: {queue}: message-id=<{number}.{process}@{name}>"
    yield (
        f"postfix/qmgr[812]: {queue}: from=<news{number}@company{number % 4000}.example>, "
        f"size={number % 90000 + 900}, nrcpt=1 (queue active)"
    )
    yield f"{smtpd}disconnect from {client} ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7"
    yield (
        f"postfix/lmtp[{process + 2}]: {queue}: to=<user{number % 500}@site.example>, relay=mda[private/lmtp], "
        "delay=0.31, delays=0.2/0.01/0.01/0.09, dsn=2.0.0, status=sent (250 2.0.0 Saved)"
    )
    yield f"postfix/qmgr[812]: {queue}: removed"
    yield f"dovecot: lmtp(user{number % 500})<{process}><x>: sieve: stored mail into mailbox 'INBOX'"


def made_log(lines: int, seed: int = 1) -> bytes:
    """Return a log of so many lines: half of the sessions bots that guess recipients, half plain mail."""
    rng = random.Random(seed)
    out: list[str] = []
    number = 0
    while len(out) < lines:
        number += 1
        at = (START + timedelta(seconds=len(out) // 40)).strftime("%b %d %H:%M:%S").replace(" 0", "  ", 1)
        out += (f"{at} mx1 {text}" for text in _session(rng, number))
    return ("\n".join(out[:lines]) + "\n").encode()


def naive(log: bytes) -> Counter[str]:
    """Return how often each address was refused, as a first script would find it."""
    found: Counter[str] = Counter()
    for line in log.decode("utf-8", "replace").splitlines():
        match = NAIVE.match(line)
        if match:
            found[match[7]] += 1
    return found


def main() -> None:
    """Print both rates and their ratio."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else LINES
    log = made_log(lines)
    ours = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        parsed = open_parser("postfix", Context(bytes(16), NOW)).feed(log, True)
        ours.append(time.perf_counter() - start)
    start = time.perf_counter()
    expected = naive(log)
    theirs = time.perf_counter() - start
    refused = parsed.rows[parsed.rows["event"] == Event.REJECT]
    counted = Counter(str(Key(int(hi), int(lo))) for hi, lo in zip(refused["ip_hi"], refused["ip_lo"], strict=True))
    if counted != expected or parsed.rejected_count:
        sys.exit(f"the two disagree: {counted.total()} and {expected.total()} refusals")
    ours_rate, naive_rate = lines / min(ours), lines / theirs
    print(f"log: {lines} lines, {len(log) / lines:.0f} bytes each; {len(parsed.rows)} rows")
    print(
        f"vedette parse: {ours_rate / 1e6:.2f}M lines/s (best of {ROUNDS}), {len(log) / min(ours) / 1e6:.0f} MB/s"
    )
    print(f"naive re:      {naive_rate / 1e6:.2f}M lines/s; ours is {ours_rate / naive_rate:.1f} times as fast")


if __name__ == "__main__":
    main()
