from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from profiler.address import Key
from profiler.keyed import keyed_hash, keyed_hash_lower
from profiler.observation import EVENT_NAMES, REASON_NAMES, Sign
from profiler.parse.registry import LINE_BYTES, REJECTED_KEPT, Context, Parsed, open_parser

KEY = bytes(range(16))
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DATE = "Nov  3 04:05:06 mx1 "
IP = "185.43.7.209"
V6 = "2a02:8108:9ac0:1f3c::25"


def micro(moment: datetime) -> int:
    return round(moment.timestamp()) * 1_000_000


def parse(*lines: str | bytes, now: datetime = NOW, zone: object = UTC) -> Parsed:
    data = b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)
    return open_parser("postfix", Context(KEY, micro(now), zone)).feed(data, True)  # type: ignore[arg-type]


def said(*lines: str) -> list[tuple[str, str, str]]:
    """Each row as (address, event, reason)."""
    parsed = parse(*lines)
    assert parsed.rejected == []
    return [
        (
            str(Key(int(row["ip_hi"]), int(row["ip_lo"]))) if row["ip_hi"] or row["ip_lo"] else "",
            EVENT_NAMES[int(row["event"])],
            REASON_NAMES[int(row["reason"])],
        )
        for row in parsed.rows
    ]


def one(line: str) -> np.void:
    parsed = parse(line)
    assert parsed.rejected == []
    assert len(parsed.rows) == 1
    return parsed.rows[0]


SMTPD = DATE + "postfix/smtpd[714]: "
SCREEN = DATE + "postfix/postscreen[99]: "
FACTS = "; from=<a@spam.example> to=<b@site.example> proto=ESMTP helo=<mx.spam.example>"

SESSIONS = [
    (f"connect from unknown[{IP}]", "connect", ""),
    (f"connect from mx.a.example[{IP}]:4711", "connect", ""),
    (f"disconnect from unknown[{IP}] ehlo=1 auth=0/3 commands=1/4", "auth_fail", ""),
    (f"disconnect from unknown[{IP}] ehlo=1 mail=1 commands=2", "lost", ""),
    (f"lost connection after CONNECT from unknown[{IP}]", "lost", "protocol"),
    (f"lost connection after DATA (1234 bytes) from unknown[{IP}]", "lost", ""),
    (f"lost connection after END-OF-MESSAGE from unknown[{IP}]", "lost", ""),
    (f"timeout after RCPT from unknown[{IP}]", "lost", "protocol"),
    (f"too many errors after AUTH from unknown[{IP}]", "lost", "protocol"),
    (f"improper command pipelining after EHLO from unknown[{IP}]: MAIL FROM", "pregreet", "protocol"),
    (f"improper command pipelining after AUTH from unknown[{IP}]: QUIT", "lost", "protocol"),
    (f"SSL_accept error from unknown[{IP}]: -1", "lost", "protocol"),
    (f"warning: non-SMTP command from unknown[{IP}]: GET / HTTP/1.1", "lost", "protocol"),
    (f"warning: Illegal address syntax from unknown[{IP}] in MAIL command: <x", "lost", "protocol"),
    (f"warning: unknown[{IP}]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", "auth_fail", ""),
    (f"warning: unknown[{IP}]:55729: SASL PLAIN authentication failed: (reason unavailable)", "auth_fail", ""),
    (f"warning: Connection rate limit exceeded: 31 from unknown[{IP}] for service smtpd", "lost", "rate"),
    (f"warning: Connection concurrency limit exceeded: 51 from unknown[{IP}] for service smtp", "lost", "rate"),
    (
        f"warning: Message delivery request rate limit exceeded: 9 from unknown[{IP}] for service smtp",
        "lost",
        "rate",
    ),
    (f"warning: Recipient address rate limit exceeded: 9 from unknown[{IP}] for service smtp", "lost", "rate"),
    (f"warning: hostname a.b.example does not resolve to address {IP}: Name or service not known", "connect", ""),
    (f"warning: hostname a.b.example does not resolve to address {IP}", "connect", ""),
]

SCREENED = [
    (f"CONNECT from [{IP}]:4711 to [192.0.2.1]:25", "connect", ""),
    (f"PASS NEW [{IP}]:4711", "connect", ""),
    (f"PASS OLD [{IP}]:4711", "connect", ""),
    (f"PREGREET 11 after 0.02 from [{IP}]:4711: EHLO x\\r\\n", "pregreet", "protocol"),
    (f"DNSBL rank 5 for [{IP}]:4711", "connect", "dnsbl"),
    (f"HANGUP after 0.4 from [{IP}]:4711 in tests before SMTP handshake", "lost", "protocol"),
    (f"COMMAND PIPELINING from [{IP}]:4711 after EHLO: MAIL", "pregreet", "protocol"),
    (f"COMMAND TIME LIMIT from [{IP}]:4711 after EHLO", "lost", "protocol"),
    (f"COMMAND COUNT LIMIT from [{IP}]:4711 after RCPT", "lost", "protocol"),
    (f"COMMAND LENGTH LIMIT from [{IP}]:4711 after RCPT", "lost", "protocol"),
    (f"BARE NEWLINE from [{IP}]:4711 after CONNECT", "lost", "protocol"),
    (f"NON-SMTP COMMAND from [{IP}]:4711 after CONNECT: GET /", "lost", "protocol"),
    (
        f"NOQUEUE: reject: RCPT from [{IP}]:4711: 550 5.7.1 Service unavailable; client [{IP}] blocked using "
        "bl.example; from=<a@b.example>, to=<c@d.example>, proto=ESMTP, helo=<x>",
        "reject",
        "dnsbl",
    ),
    (
        f"NOQUEUE: reject: RCPT from [{IP}]:4711: 450 4.3.2 Service currently unavailable; from=<a@b.example>, "
        "to=<c@d.example>, proto=ESMTP, helo=<x>",
        "defer",
        "temporary",
    ),
    (f"NOQUEUE: reject: CONNECT from [{IP}]:4711: all server ports busy", "reject", "policy"),
]


@pytest.mark.parametrize(("text", "event", "reason"), SESSIONS)
def test_what_smtpd_says_of_a_session(text: str, event: str, reason: str) -> None:
    assert said(SMTPD + text) == [(IP, event, reason)]
    assert said(SMTPD + text.replace(IP, V6)) == [(V6, event, reason)]


@pytest.mark.parametrize(("text", "event", "reason"), SCREENED)
def test_what_postscreen_says(text: str, event: str, reason: str) -> None:
    assert said(SCREEN + text) == [(IP, event, reason)]
    assert said(SCREEN + text.replace(IP, V6)) == [(V6, event, reason)]


@pytest.mark.parametrize(
    "text",
    [
        f"disconnect from unknown[{IP}]",
        f"disconnect from unknown[{IP}] ehlo=1 auth=1 mail=1 quit=1 commands=4",
        f"warning: unknown[{IP}]: SASL LOGIN authentication failed: Connection lost to authentication server",
        f"warning: unknown[{IP}]: SASL LOGIN authentication failed: Temporary authentication failure",
        "warning: SASL authentication failure: no secret in database",
        "warning: dict_nis_init: NIS domain name not set - NIS lookups disabled",
        f"NOQUEUE: reject_warning: RCPT from unknown[{IP}]: 550 5.1.1 <b@c>: User unknown{FACTS}",
        f"NOQUEUE: filter: RCPT from unknown[{IP}]: <a@b>: Sender address triggers FILTER smtp:x{FACTS}",
        "statistics: max connection rate 1/60s for (smtp:185.43.7.209) at Nov  3 04:05:06",
        "warning: ",
        "",
    ],
)
def test_what_accuses_nobody_gives_no_row(text: str) -> None:
    parsed = parse(SMTPD + text)
    assert (len(parsed.rows), parsed.rejected, parsed.records) == (0, [], 1)


def test_the_count_of_failed_logins() -> None:
    assert one(f"{SMTPD}disconnect from unknown[{IP}] ehlo=1 auth=0/3 quit=1 commands=2/5")["count"] == 3
    assert one(f"{SMTPD}disconnect from unknown[{IP}] ehlo=1 auth=1/4 quit=1 commands=2/5")["count"] == 3


REFUSALS = [
    (
        "550 5.1.1 <b@c.example>: Recipient address rejected: User unknown in virtual mailbox table",
        "unknown_recipient",
    ),
    (
        "450 4.1.1 <b@c.example>: Recipient address rejected: User unknown in local recipient table",
        "unknown_recipient",
    ),
    ("550 5.1.1 : Recipient address rejected: undeliverable address: host x said: 550", "unknown_recipient"),
    ("550 5.1.1 <b@c.example>: Recipient address rejected: No such user here", "unknown_recipient"),
    ("550 5.1.1 <b@c.example>: this account does not exist", "unknown_recipient"),
    ("550 mailbox unavailable", "unknown_recipient"),
    ("554 5.7.1 <b@c.example>: Relay access denied", "relay_denied"),
    ("454 4.7.1 <b@c.example>: Relay access denied", "relay_denied"),
    ("504 5.5.2 <User>: Helo command rejected: need fully-qualified hostname", "helo"),
    ("450 4.7.1 <x.y>: Helo command rejected: Host not found", "helo"),
    ("450 4.7.25 Client host rejected: cannot find your hostname, [185.43.7.209]", "rdns"),
    ("450 4.7.1 Client host rejected: cannot find your reverse hostname, [185.43.7.209]", "rdns"),
    (
        "554 5.7.1 Service unavailable; Client host [185.43.7.209] blocked using bl.example; see http://x/?a=1; y",
        "dnsbl",
    ),
    ("450 4.2.0 <b@c.example>: Recipient address rejected: Greylisted, see http://x", "greylist"),
    ("451 4.7.1 Greylisting in action, please come back later", "greylist"),
    ("450 4.7.1 <unknown[185.43.7.209]>: Client host rejected: Try again later", "greylist"),
    ("450 4.1.8 <a@b>: Sender address rejected: Domain not found", "sender"),
    ("550 5.1.0 <a@b>: Sender address rejected: User unknown in virtual mailbox table", "sender"),
    (
        "550 5.7.23 <b@c.example>: Recipient address rejected: Message rejected due to: SPF fail - not authorized",
        "sender",
    ),
    ("450 4.7.1 Error: too much mail from 185.43.7.209, rate limit", "rate"),
    ("421 4.7.0 unknown Error: too many connections", "rate"),
    ("552 5.3.4 Message size exceeds fixed limit", "policy"),
    ("554 5.7.1 Spam message rejected", "content"),
    ("503 5.5.0 <DATA>: Data command rejected: Improper use of SMTP command pipelining", "protocol"),
    ("530 5.7.0 Must issue a STARTTLS command first", "protocol"),
    ("451 4.3.0 <b@c.example>: Temporary lookup failure", "temporary"),
    ("451 4.3.5 Server configuration error", "temporary"),
    (
        "450 4.1.1 <b@c.example>: Recipient address rejected: unverified address: Address verification in progress",
        "temporary",
    ),
    ("450 4.7.1 something else", "temporary"),
    ("554 5.7.1 <unknown[185.43.7.209]>: Client host rejected: Access denied", "policy"),
    ("521 5.3.2 Service currently unavailable", "policy"),
    # The client's own words do not count.
    ('550 5.1.1 <"relay access denied"@c.example>: Recipient address rejected: User unknown', "unknown_recipient"),
    ("554 5.7.1 <unknown.user@x>: Recipient address rejected: Access denied", "policy"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSALS)
def test_why_a_recipient_is_refused(text: str, reason: str) -> None:
    event = "defer" if reason in ("greylist", "temporary") else "reject"
    for where in ("RCPT", "MAIL", "EHLO", "CONNECT", "END-OF-MESSAGE"):
        line = f"{SMTPD}NOQUEUE: reject: {where} from unknown[{IP}]: {text}{FACTS}"
        assert said(line) == [(IP, event, reason)]


def test_a_milter_refuses_content_unless_it_says_else() -> None:
    head = DATE + "postfix/cleanup[5]: 4F1A2B3C4D: milter-reject: END-OF-MESSAGE from "
    assert said(f"{head}mx.a.example[{IP}]: 5.7.1 Command rejected{FACTS}") == [(IP, "reject", "content")]
    assert said(f"{head}mx.a.example[{IP}]: 4.7.1 Greylisted{FACTS}") == [(IP, "defer", "greylist")]
    assert said(f"{head}mx.a.example[{IP}]: 4.7.1 come back{FACTS}") == [(IP, "defer", "temporary")]


def test_the_facts_of_a_refusal_are_kept_as_hashes() -> None:
    row = one(
        f"{SMTPD}NOQUEUE: reject: RCPT from out.spam.example[{IP}]: 550 5.1.1 <B@site.example>: User unknown; "
        'from=<"odd>name"@Spam.EXAMPLE> to=<B@site.example> proto=ESMTP helo=<MX.spam.example>'
    )
    assert row["sender"] == keyed_hash(KEY, b"spam.example")
    assert row["target"] == keyed_hash(KEY, b"b@site.example")
    assert row["helo"] == keyed_hash_lower(KEY, b"mx.spam.example")
    assert row["queue"] == 0
    assert Sign(int(row["signs"])) == Sign.RDNS_VERIFIED | Sign.RDNS_SERVER | Sign.HELO_NAMED | Sign.HELO_MATCH


@pytest.mark.parametrize(
    ("facts", "sender", "target", "helo"),
    [
        ("; from=<> to=<b@c.example> proto=SMTP helo=<x>", b"", b"b@c.example", b"x"),
        ("; proto=SMTP helo=<x>", b"", b"", b"x"),
        ("; proto=SMTP", b"", b"", b""),
        (
            "; from=<a@b.example>, to=<b@c.example>, proto=ESMTP, helo=<[1.2.3.4]>",
            b"b.example",
            b"b@c.example",
            b"[1.2.3.4]",
        ),
        ("; from=<root> proto=ESMTP helo=<x> sasl_username=<me>", b"", b"", b"x"),
        ("; from=<a@b.example> to=<b@c.exam", b"b.example", b"", b""),
        ("", b"", b"", b""),
    ],
)
def test_facts_may_be_missing(facts: str, sender: bytes, target: bytes, helo: bytes) -> None:
    row = one(f"{SMTPD}NOQUEUE: reject: RCPT from unknown[{IP}]: 550 5.7.1 no{facts}")
    hashes = [keyed_hash(KEY, text) if text else 0 for text in (sender, target, helo)]
    assert [row["sender"], row["target"], row["helo"]] == hashes


def test_a_header_check_names_its_client_or_its_queue() -> None:
    head = DATE + "postfix/cleanup[5]: 4F1A2B3C4D: reject: header Subject: free pills"
    row = one(f"{head} from mx.a.example[{IP}]{FACTS}: 5.7.1 no pills")
    assert (row["ip_lo"] & 0xFFFFFFFF, row["reason"]) == (0xB92B07D1, 8)
    assert row["queue"] != 0
    # A subject that imitates the rest of the line: the queue id alone tells.
    forged = one(f"{head} from x[8.8.8.8]; from=<q@r.example> from mx.a.example[{IP}]{FACTS}: 5.7.1 no pills")
    assert (forged["ip_hi"], forged["ip_lo"], forged["queue"]) == (0, 0, row["queue"])


def test_no_other_text_is_taken_for_the_client() -> None:
    forged = "x[8.8.8.8]: SASL LOGIN authentication failed: "
    assert said(f"{SMTPD}warning: non-SMTP command from unknown[{IP}]: {forged}") == [(IP, "lost", "protocol")]
    assert said(
        f"{SMTPD}NOQUEUE: reject: RCPT from unknown[{IP}]: 550 5.1.1 <a from y[8.8.8.8]: z@c>: User unknown{FACTS}"
    ) == [(IP, "reject", "unknown_recipient")]
    assert said(
        f"{SMTPD}warning: unknown[{IP}]: SASL LOGIN authentication failed: no, "
        "sasl_username=: Temporary authentication failure"
    ) == [(IP, "auth_fail", "")]


def test_a_mail_is_joined_by_its_queue_id() -> None:
    parsed = parse(
        f"{SMTPD}4F1A2B3C4D: client=mx.a.example[{IP}]",
        f"{DATE}postfix/cleanup[5]: 4F1A2B3C4D: message-id=<x@y>",
        f"{DATE}postfix/qmgr[6]: 4F1A2B3C4D: from=<a@News.example>, size=3210, nrcpt=7 (queue active)",
        f"{DATE}postfix/smtp[8]: 4F1A2B3C4D: to=<b@c.example>, relay=mx.c.example[192.0.2.7]:25, delay=1, "
        "delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.c.example said: 550 5.1.1 no)",
        f"{DATE}postfix/qmgr[6]: 4F1A2B3C4D: removed",
    )
    rows = parsed.rows
    assert rows["event"].tolist() == [2, 32, 5, 33]
    assert rows["line"].tolist() == [1, 3, 4, 5]
    assert set(rows["queue"].tolist()) == {keyed_hash(KEY, b"mx1\x004F1A2B3C4D")}
    assert rows["ip_lo"].astype(bool).tolist() == [True, False, False, False]
    assert rows["signs"][0] & Sign.OPENS
    assert (rows["bytes"][1], rows["recipients"][1]) == (3210, 7)
    assert rows["sender"][1] == keyed_hash(KEY, b"news.example")
    assert (rows["reason"][2], rows["target"][2]) == (1, keyed_hash(KEY, b"b@c.example"))
    assert parsed.records == 5


def test_long_queue_ids_and_other_hosts_are_other_transactions() -> None:
    lines = [
        f"{SMTPD}4bXyzP2Lq9z1kR: client=unknown[{IP}]",
        f"{SMTPD.replace('mx1', 'mx2')}4bXyzP2Lq9z1kR: client=unknown[{IP}]",
    ]
    assert len(set(parse(*lines).rows["queue"].tolist())) == 2


def test_a_submission_by_a_user() -> None:
    parsed = parse(f"{SMTPD}4F1A2B3C4D: client=unknown[{IP}], sasl_method=LOGIN, sasl_username=me@x.example")
    assert parsed.rows["event"].tolist() == [2, 7]
    assert all(int(signs) & Sign.AUTHENTICATED for signs in parsed.rows["signs"])


def test_a_mail_back_from_a_filter_is_not_counted_again() -> None:
    row = one(f"{SMTPD}4F1A2B3C4D: client=localhost[127.0.0.1], orig_queue_id=4A, orig_client=mx.a.example[{IP}]")
    assert (row["event"], row["ip_lo"] & 0xFFFFFFFF) == (32, 0xB92B07D1)
    assert row["signs"] & Sign.OPENS


@pytest.mark.parametrize(
    ("service", "rest", "event", "reason"),
    [
        ("smtp", "dsn=5.1.1, status=bounced (host x said: 550 5.1.1 <b@c>: no)", "bounce", "unknown_recipient"),
        ("lmtp", "dsn=5.1.10, status=bounced (x)", "bounce", "unknown_recipient"),
        ("local", 'dsn=5.0.0, status=bounced (unknown user: "bob")', "bounce", "unknown_recipient"),
        ("virtual", "dsn=5.7.1, status=bounced (host x said: 554 5.7.1 spam detected)", "bounce", "content"),
        ("pipe", "dsn=5.7.1, status=bounced (host x said: 554 5.7.1 not allowed)", "bounce", "policy"),
        ("smtp", "dsn=4.4.1, status=bounced (x)", "bounce", "temporary"),
        ("smtp", "dsn=5.2.2, status=bounced (mailbox full)", "bounce", "other"),
        ("error", "dsn=4.4.1, status=deferred (connect to x: timed out)", "defer", "temporary"),
        ("smtp", "dsn=2.0.0, status=sent (250 ok)", "", ""),
    ],
)
def test_what_became_of_a_mail(service: str, rest: str, event: str, reason: str) -> None:
    line = f"{DATE}postfix/{service}[7]: 4F1A2B3C4D: to=<b@c.example>, orig_to=<d@e>, relay=x, delay=1, {rest}"
    assert said(line) == ([("", event, reason)] if event else [])


def test_an_expired_mail_is_a_bounce_of_nobodys_fault() -> None:
    line = f"{DATE}postfix/qmgr[6]: 4F1A2B3C4D: from=<a@b.example>, status=expired, returned to sender"
    assert said(line) == [("", "bounce", "temporary")]


@pytest.mark.parametrize(
    "frame",
    [
        "Nov  3 04:05:06 mx1 postfix/smtpd[7]: ",
        "Nov 3 04:05:06 mx1 postfix/smtpd[7]: ",
        "Nov 03 04:05:06 mx1 postfix/smtpd[7]: ",
        "Nov  3 04:05:06 postfix/smtpd[7]: ",
        "<22>Nov  3 04:05:06 mx1 postfix/smtpd[7]: ",
        "2026-11-03T04:05:06Z mx1 postfix/smtpd[7]: ",
        "2026-11-03T05:05:06.000+01:00 mx1 postfix/smtpd[7]: ",
        "2026-11-02T22:35:06-0530 mx1 postfix/smtpd[7]: ",
        "2026-11-03 04:05:06 mx1 postfix/smtpd[7]: ",
        "<22>1 2026-11-03T05:05:06+01:00 mx1 postfix/smtpd 7 - - ",
        '<22>1 2026-11-03T04:05:06Z mx1 postfix/smtpd 7 id [x@1 a="b] \\"c"][y@2 d="e"] \ufeff',
        "<22>1 2026-11-03T04:05:06Z mx1 postfix/smtpd - - - ",
        "Nov  3 04:05:06 mx1 postfix-incoming/smtpd[7]: ",
        "Nov  3 04:05:06 mx1 postfix/submission/smtpd[7]: ",
        "Nov  3 04:05:06 mx1 postfix/smtps/smtpd[7]: ",
    ],
)
def test_every_form_of_date_and_program(frame: str) -> None:
    row = one(f"{frame}connect from unknown[{IP}]")
    assert row["time"] == micro(datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC))


def test_microseconds_are_kept() -> None:
    row = one(f"2026-11-03T04:05:06.123456789Z mx1 postfix/smtpd[7]: connect from unknown[{IP}]")
    assert row["time"] == micro(datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC)) + 123456


@pytest.mark.parametrize(
    ("now", "date", "year"),
    [
        (datetime(2027, 1, 2, tzinfo=UTC), "Dec 31 23:59:59", 2026),
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), "Jan  1 00:05:00", 2027),
        (datetime(2026, 11, 24, 12, tzinfo=UTC), "Nov 24 11:59:59", 2026),
        (datetime(2026, 11, 24, 12, tzinfo=UTC), "Nov 26 11:59:59", 2025),
        (datetime(2026, 11, 24, 12, tzinfo=UTC), "Feb 29 11:59:59", 2024),
    ],
)
def test_the_year_that_a_date_leaves_out(now: datetime, date: str, year: int) -> None:
    parsed = parse(f"{date} mx1 postfix/smtpd[7]: connect from unknown[{IP}]", now=now)
    assert datetime.fromtimestamp(parsed.rows["time"][0] // 1_000_000, UTC).year == year


@pytest.mark.parametrize(
    ("date", "hour"),
    [("Mar 29 01:30:00", 0), ("Mar 29 03:30:00", 1), ("Oct 25 01:30:00", 23), ("Oct 25 03:30:00", 2)],
)
def test_local_time_follows_the_zone_through_its_changes(date: str, hour: int) -> None:
    for form in (date, datetime.strptime(f"2026 {date}", "%Y %b %d %H:%M:%S").isoformat(" ")):
        parsed = parse(f"{form} mx1 postfix/smtpd[7]: connect from unknown[{IP}]", zone=ZoneInfo("Europe/Berlin"))
        assert datetime.fromtimestamp(parsed.rows["time"][0] // 1_000_000, UTC).hour == hour


def test_a_fixed_zone() -> None:
    parsed = parse(f"{SMTPD}connect from unknown[{IP}]", zone=timezone(timedelta(hours=-3, minutes=-30)))
    assert parsed.rows["time"][0] == micro(datetime(2026, 11, 3, 7, 35, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello world", "no syslog date at its start"),
        (f"postfix/smtpd[7]: connect from unknown[{IP}]", "no syslog date at its start"),
        (f"Nov 31 04:05:06 mx1 postfix/smtpd[7]: connect from unknown[{IP}]", "no syslog date at its start"),
        (f"Nov  3 24:05:06 mx1 postfix/smtpd[7]: connect from unknown[{IP}]", "no syslog date at its start"),
        (f"2026-02-29T04:05:06Z mx1 postfix/smtpd[7]: connect from unknown[{IP}]", "no syslog date at its start"),
        (f"{SMTPD}connect from unknown[unknown]", "no client address"),
        (f"{SMTPD}connect from unknown[185.43.7]", "no client address"),
        (f"{SMTPD}connect from unknown[185.43.7.09]", "no client address"),
        (f"{SMTPD}lost connection after CONNECT", "no client address"),
        (f"{SMTPD}NOQUEUE: reject: RCPT from nobody: 550 5.1.1 x", "no client address"),
        (f"{SCREEN}PREGREET 11 after 0 from nobody", "no client address"),
        (f"Nov 24 12:10:01 mx1 postfix/smtpd[7]: connect from unknown[{IP}]", "time lies in the future"),
        (f"2027-11-24T12:10:01Z mx1 postfix/smtpd[7]: connect from unknown[{IP}]", "time lies in the future"),
        (f"{SMTPD}connect from unknown[{IP}]" + "x" * LINE_BYTES, "longer than 65536 bytes"),
    ],
)
def test_a_bad_line_is_counted_with_its_number(line: str, why: str) -> None:
    good = f"{SMTPD}connect from unknown[{IP}]"
    parsed = parse(good, "", line, good)
    assert parsed.rejected == [(3, why)]
    assert (parsed.rejected_count, parsed.records) == (1, 3)
    assert parsed.rows["line"].tolist() == [1, 4]


def test_the_clock_of_a_sensor_may_be_ten_minutes_fast() -> None:
    assert len(parse(f"Nov 24 12:10:00 mx1 postfix/smtpd[7]: connect from unknown[{IP}]").rows) == 1


def test_other_programs_are_records_without_rows() -> None:
    parsed = parse(
        f"{DATE}dovecot: imap-login: Login: user=<x>, rip={IP}", f"{DATE}postfix/anvil[3]: statistics: x", DATE
    )
    assert (len(parsed.rows), parsed.rejected, parsed.records) == (0, [], 3)


def test_carriage_returns_nul_bytes_and_bad_utf8_do_no_harm() -> None:
    parsed = parse(
        f"{SMTPD}connect from unknown[{IP}]\r".encode(),
        b"\x00\xff\xfe",
        f"{SMTPD}lost connection after \xff\x00 from unknown[{IP}]".encode("latin-1"),
        b"\r",
    )
    assert parsed.rows["line"].tolist() == [1, 3]
    assert (parsed.records, parsed.rejected_count) == (3, 1)


def test_only_the_first_rejections_are_described() -> None:
    parsed = parse(*["bad"] * (REJECTED_KEPT + 5))
    assert (len(parsed.rejected), parsed.rejected_count) == (REJECTED_KEPT, REJECTED_KEPT + 5)


def test_an_endless_line_is_dropped_while_it_streams_by() -> None:
    parser = open_parser("postfix", Context(KEY, micro(NOW)))
    for _ in range(100):
        assert parser.feed(b"x" * 10_000).records == 0
    parsed = parser.feed(f"y\n{SMTPD}connect from unknown[{IP}]\nrest".encode())
    assert parsed.rejected == [(1, "longer than 65536 bytes")]
    assert parsed.rows["line"].tolist() == [2]
    assert parser.feed(b"", True).rejected == [(3, "no syslog date at its start")]


def test_many_rows_come_out_of_one_call() -> None:
    count = 100_000
    parsed = parse(*[f"{SMTPD}connect from unknown[{IP}]"] * count)
    assert parsed.rows["line"].tolist() == list(range(1, count + 1))
