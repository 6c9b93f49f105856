# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Postfix syslog lines to rows: smtpd, postscreen, cleanup, qmgr and the delivery agents.

Bytes in, :class:`~profiler.parse.registry.Parsed` out. Rules:

1. The client is the address that Postfix put in brackets at the place where Postfix puts it, never one that the
   client could have written. Where content stands before it (cleanup's header and body checks) and the place is
   not certain, the row has no address and is joined by its queue id.
2. Nothing of a subject, a body, a user name or a mail address is kept: hashes only.
3. One pass over the bytes, no Python object per line; the GIL is taken only to convert a local hour not met before.

A mail's later lines (queue manager, deliveries) name no client: their rows have ``ip`` 0 and the queue that the
``client=`` line opened. Dates without a year get the latest year that is not later than a day after ``now``; a local
hour that the clock passes twice is read as its first pass.
"""

from datetime import datetime, timedelta

import numpy as np

from profiler.observation import OBSERVATION, Event, Reason, Sign
from profiler.parse.registry import FUTURE, FUTURE_SECONDS, LINE_BYTES, REJECTED_KEPT, TOO_LONG, Parsed

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

from profiler.keyed cimport siphash, siphash_lower
from profiler.name cimport signs_of_helo, signs_of_name
from profiler.parse.line cimport (
    SECONDS_A_DAY,
    days_of,
    find,
    find_byte,
    is_digit,
    month_days,
    parse_address,
    starts,
    take_number,
    two_digits,
)
from profiler.row cimport Row

ctypedef const unsigned char *Text

cdef enum:
    HOURS = 12 * 32 * 24  # every hour that a date without a year can name
    HOST_MAX = 255
    QUEUE_MAX = 64
    QUEUE_MIN = 5
    KEPT_ROWS = 1 << 16  # the buffer that is kept between calls
    FIRST_ROWS = 1 << 10
    YEARS_BACK = 8  # the 29th of February comes back at last

cdef int64_t MICROSECOND = 1000000
cdef int64_t UNKNOWN_HOUR = -(<int64_t>1 << 62)
cdef int64_t NO_SUCH_HOUR = UNKNOWN_HOUR + 1

# Why a line is rejected; 0 is for a line that is understood, with or without rows.
cdef enum:
    UNDERSTOOD
    NO_DATE
    NO_CLIENT
    IN_FUTURE
    LINE_TOO_LONG

_WHY = {
    NO_DATE: "no syslog date at its start",
    NO_CLIENT: "no client address",
    IN_FUTURE: FUTURE,
    LINE_TOO_LONG: TOO_LONG,
}

cdef uint8_t CONNECT = Event.CONNECT
cdef uint8_t MESSAGE = Event.MESSAGE
cdef uint8_t REJECT = Event.REJECT
cdef uint8_t DEFER = Event.DEFER
cdef uint8_t BOUNCE = Event.BOUNCE
cdef uint8_t AUTH_FAIL = Event.AUTH_FAIL
cdef uint8_t AUTH_OK = Event.AUTH_OK
cdef uint8_t LOST = Event.LOST
cdef uint8_t ENVELOPE = Event.ENVELOPE
cdef uint8_t CLOSED = Event.CLOSED

cdef uint8_t NONE = Reason.NONE
cdef uint8_t UNKNOWN_RECIPIENT = Reason.UNKNOWN_RECIPIENT
cdef uint8_t GREYLIST = Reason.GREYLIST
cdef uint8_t POLICY = Reason.POLICY
cdef uint8_t CONTENT = Reason.CONTENT
cdef uint8_t RATE = Reason.RATE
cdef uint8_t TEMPORARY = Reason.TEMPORARY
cdef uint8_t OTHER = Reason.OTHER

cdef uint32_t RDNS_UNVERIFIED = Sign.RDNS_UNVERIFIED
cdef uint32_t RDNS_VERIFIED = Sign.RDNS_VERIFIED
cdef uint32_t RDNS_SERVER = Sign.RDNS_SERVER
cdef uint32_t AUTHENTICATED = Sign.AUTHENTICATED
cdef uint32_t OPENS = Sign.OPENS

# ---------------------------------------------------------------------------------------------------------------
# Tables

# What a line begins with, what stands before the client ("" for: it follows at once), and what the line says.
# The first that fits counts.
_PHRASES = {
    "smtpd": (
        ("connect from ", "", Event.CONNECT, Reason.NONE, 0),
        # Broken in the middle of a mail: a bad line or a full disk as often as a bad client.
        ("lost connection after DATA", " from ", Event.LOST, Reason.NONE, 0),
        ("lost connection after BDAT", " from ", Event.LOST, Reason.NONE, 0),
        ("lost connection after END-OF-MESSAGE", " from ", Event.LOST, Reason.NONE, 0),
        ("lost connection after ", " from ", Event.LOST, Reason.PROTOCOL, 0),
        ("timeout after DATA", " from ", Event.LOST, Reason.NONE, 0),
        ("timeout after BDAT", " from ", Event.LOST, Reason.NONE, 0),
        ("timeout after END-OF-MESSAGE", " from ", Event.LOST, Reason.NONE, 0),
        ("timeout after ", " from ", Event.LOST, Reason.PROTOCOL, 0),
        ("too many errors after ", " from ", Event.LOST, Reason.PROTOCOL, 0),
        # A hurried QUIT after a failed login: clumsy mail programs do that too.
        ("improper command pipelining after AUTH", " from ", Event.LOST, Reason.PROTOCOL, Sign.EARLY),
        ("improper command pipelining after ", " from ", Event.PREGREET, Reason.PROTOCOL, Sign.EARLY),
        ("SSL_accept error from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("non-SMTP command from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("Illegal address syntax from ", "", Event.LOST, Reason.PROTOCOL, 0),
    ),
    "postscreen": (
        ("CONNECT from ", "", Event.CONNECT, Reason.NONE, 0),
        ("PASS NEW ", "", Event.CONNECT, Reason.NONE, 0),
        ("PASS OLD ", "", Event.CONNECT, Reason.NONE, 0),
        ("DNSBL rank ", " for ", Event.CONNECT, Reason.DNSBL, 0),
        ("PREGREET ", " from ", Event.PREGREET, Reason.PROTOCOL, Sign.EARLY),
        ("HANGUP after ", " from ", Event.LOST, Reason.PROTOCOL, 0),
        ("COMMAND PIPELINING from ", "", Event.PREGREET, Reason.PROTOCOL, Sign.EARLY),
        ("COMMAND TIME LIMIT from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("COMMAND COUNT LIMIT from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("COMMAND LENGTH LIMIT from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("BARE NEWLINE from ", "", Event.LOST, Reason.PROTOCOL, 0),
        ("NON-SMTP COMMAND from ", "", Event.LOST, Reason.PROTOCOL, 0),
    ),
}

# What a refusal says, the strongest first: of all that occur in a text, the first of this list counts. Each is met
# only at the start of a word, without regard to case, and outside <…>, where the client's own words stand.
# A dot at the end means: the end of a word.
_REFUSALS = (
    (Reason.DNSBL, "blocked using"),
    (Reason.RELAY_DENIED, "relay access denied|relaying denied|relay not permitted|unable to relay|relay denied"),
    (Reason.GREYLIST, "greylist|graylist|grey-list|postgrey"),
    (Reason.HELO, "helo command rejected|ehlo command rejected|need fully-qualified hostname|invalid helo"),
    (Reason.RDNS, "cannot find your|reverse hostname|reverse dns|no ptr|missing ptr"),
    (Reason.SENDER, "sender address rejected|sender rejected|spf fail|spf.|sender address verification"),
    (
        Reason.UNKNOWN_RECIPIENT,
        "user unknown|unknown user|does not exist|doesn't exist|undeliverable address|no such user|no such recipient|"
        "mailbox unavailable|no such mailbox|no mailbox|mailbox not found|recipient unknown|unknown recipient|"
        "invalid recipient|address unknown|unknown address|user not found|recipient not found|unrouteable address",
    ),
    (
        Reason.TEMPORARY,
        "service currently unavailable|server configuration|temporary lookup failure|temporary failure|"
        "queue file write error|insufficient system|unverified address|all server ports are busy|over quota|"
        "mailbox full|mailbox is full|temporarily|internal error",
    ),
    (Reason.DNSBL, "dnsbl|rbl.|spamhaus|spamcop|barracuda|blacklisted|blocklisted"),
    (Reason.POLICY, "message size"),
    (Reason.RATE, "too many|rate.|rate-limit|ratelimit|throttl|limit.|limits.|limit exceeded"),
    (
        Reason.CONTENT,
        "spam|virus|content|malware|infected|banned|phish|dkim|dmarc|milter|message rejected|bulk|unsolicited",
    ),
    (
        Reason.PROTOCOL,
        "pipelining|command not implemented|syntax error|bad syntax|protocol error|must issue|"
        "need fully-qualified address|bad command",
    ),
    (Reason.GREYLIST, "try again|try later|retry later|deferred"),
)

cdef struct Phrase:
    const char *text
    Py_ssize_t length
    const char *before
    Py_ssize_t before_length
    uint8_t event
    uint8_t reason
    uint32_t signs

cdef struct Refusal:
    const char *text
    int length
    bint whole  # must end where a word ends
    uint8_t reason
    int rank

cdef enum:
    PHRASES_MAX = 24
    REFUSALS_MAX = 128

cdef Phrase SMTPD[PHRASES_MAX]
cdef Phrase POSTSCREEN[PHRASES_MAX]
cdef Refusal REFUSALS[REFUSALS_MAX]  # by first letter
cdef int REFUSALS_OF[27]  # where each letter starts
cdef uint8_t LOWER[256]
cdef uint8_t WORD[256]  # 1 in a word
cdef uint8_t QUEUE_CLASS[256]  # bit 0: short queue ids (hexadecimal), bit 1: long ones (base 52, no vowels)
_kept = []


cdef void prepare_phrases(Phrase *table, tuple phrases):
    cdef int n = 0
    for text, before, event, reason, signs in phrases:
        text, before = text.encode(), before.encode()
        _kept.extend((text, before))
        table[n].text = text
        table[n].length = len(text)
        table[n].before = before
        table[n].before_length = len(before)
        table[n].event, table[n].reason, table[n].signs = event, reason, signs
        n += 1


cdef void prepare_refusals():
    cdef int n = 0, letter
    listed = [
        (phrase.rstrip(".").encode(), phrase.endswith("."), reason, rank)
        for rank, (reason, phrases) in enumerate(_REFUSALS)
        for phrase in phrases.split("|")
    ]
    _kept.append(listed)
    for letter in range(26):
        REFUSALS_OF[letter] = n
        for text, whole, reason, rank in listed:
            if text[0] == 97 + letter:
                REFUSALS[n].text = text
                REFUSALS[n].length = len(text)
                REFUSALS[n].whole, REFUSALS[n].reason, REFUSALS[n].rank = whole, reason, rank
                n += 1
    REFUSALS_OF[26] = n


cdef void prepare():
    cdef int code
    for code in range(256):
        LOWER[code] = code + 32 if 65 <= code <= 90 else code
        WORD[code] = 97 <= LOWER[code] <= 122 or 48 <= code <= 57
        QUEUE_CLASS[code] = 0
    for code in b"0123456789ABCDEF":
        QUEUE_CLASS[code] |= 1
    for code in b"0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz":
        QUEUE_CLASS[code] |= 2
    prepare_phrases(SMTPD, _PHRASES["smtpd"])
    prepare_phrases(POSTSCREEN, _PHRASES["postscreen"])
    prepare_refusals()


prepare()

# ---------------------------------------------------------------------------------------------------------------
# State

cdef struct State:
    uint64_t k0
    uint64_t k1
    int64_t latest  # no row may be later
    int64_t *hours  # local hours of the year, in microseconds since 1970
    int64_t iso_hour  # the local hour met last in a date with a year but no zone
    int64_t iso_base
    void *owner
    uint64_t number  # of the line
    int64_t records
    Row *rows
    Py_ssize_t count
    Py_ssize_t capacity
    bint exhausted
    uint32_t *rejected  # pairs: line, why
    int64_t rejected_count

cdef struct Line:
    int64_t time
    Text host
    Py_ssize_t host_length

cdef struct Client:
    uint64_t hi
    uint64_t lo
    Text name
    Py_ssize_t name_length
    uint16_t sport


cdef inline Row *add(State *s, const Line *line, uint8_t event, uint8_t reason) noexcept nogil:
    # A new row, zero but for what every row has; NULL where memory is out.
    cdef Row *grown
    cdef Row *row
    cdef Py_ssize_t capacity
    if s.count == s.capacity:
        capacity = s.capacity * 2 if s.capacity else FIRST_ROWS
        grown = <Row *>realloc(s.rows, capacity * sizeof(Row))
        if grown == NULL:
            s.exhausted = True
            return NULL
        s.rows = grown
        s.capacity = capacity
    row = &s.rows[s.count]
    s.count += 1
    memset(row, 0, sizeof(Row))
    row.time = line.time
    row.line = <uint32_t>s.number
    row.count = 1
    row.event = event
    row.reason = reason
    return row


cdef void reject(State *s, int why) noexcept nogil:
    if s.rejected_count < REJECTED_KEPT_C:
        s.rejected[2 * s.rejected_count] = <uint32_t>s.number
        s.rejected[2 * s.rejected_count + 1] = why
    s.rejected_count += 1


cdef int64_t REJECTED_KEPT_C = REJECTED_KEPT
cdef Py_ssize_t LINE_MAX = LINE_BYTES

# ---------------------------------------------------------------------------------------------------------------
# Time


cdef int64_t local_hour(void *owner, int year, int month, int day, int hour) noexcept with gil:
    # Year 0: not stated.
    try:
        return (<PostfixParser>owner).convert(year, month, day, hour)
    except (ValueError, OverflowError):
        return NO_SUCH_HOUR


cdef int month_of(Text at) noexcept nogil:
    # 1 to 12 by the first three letters, 0 for none.
    cdef const char *names = "JanFebMarAprMayJunJulAugSepOctNovDec"
    cdef int month
    for month in range(12):
        if memcmp(at, names + 3 * month, 3) == 0:
            return month + 1
    return 0


cdef inline int64_t clock_of(Text at) noexcept nogil:
    # The microseconds of HH:MM:SS, or -1; a leap second is taken.
    cdef int hour = two_digits(at), minute = two_digits(at + 3), second = two_digits(at + 6)
    if at[2] != c":" or at[5] != c":" or not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        return -1
    return (hour * 3600 + minute * 60 + second) * MICROSECOND


cdef Text take_bsd_time(State *s, Text at, Text end, int64_t *time) noexcept nogil:
    # RFC 3164: "Feb  3 08:29:28 ".
    cdef int month, day, hour
    cdef int64_t clock
    cdef int64_t *base
    if end - at < 14:
        return NULL
    month = month_of(at)
    if not month or at[3] != c" ":
        return NULL
    at += 4
    if at[0] == c" ":
        at += 1
    if not is_digit(at[0]):
        return NULL
    day = at[0] - 48
    at += 1
    if is_digit(at[0]):
        day = day * 10 + at[0] - 48
        at += 1
    if end - at < 10 or at[0] != c" " or at[9] != c" " or not 1 <= day <= 31:
        return NULL
    clock = clock_of(at + 1)
    if clock < 0:
        return NULL
    hour = <int>(clock // (3600 * MICROSECOND))
    base = &s.hours[((month - 1) * 32 + day) * 24 + hour]
    if base[0] == UNKNOWN_HOUR:
        base[0] = local_hour(s.owner, 0, month, day, hour)
    if base[0] == NO_SUCH_HOUR:
        return NULL
    time[0] = base[0] + clock % (3600 * MICROSECOND)
    return at + 10


cdef Text take_offset(Text at, Text end, int64_t *offset, bint *stated) noexcept nogil:
    # "Z", "+01:00", "+0100" or nothing, in microseconds east of Greenwich.
    cdef int hours, minutes, sign
    offset[0] = 0
    stated[0] = False
    if at < end and (at[0] | 32) == c"z":
        stated[0] = True
        return at + 1
    if end - at < 5 or (at[0] != c"+" and at[0] != c"-"):
        return at
    sign = -1 if at[0] == c"-" else 1
    hours = two_digits(at + 1)
    at += 4 if at[3] == c":" else 3
    if end - at < 2:
        return NULL
    minutes = two_digits(at)
    if not (0 <= hours < 24 and 0 <= minutes < 60):
        return NULL
    offset[0] = sign * (hours * 3600 + minutes * 60) * MICROSECOND
    stated[0] = True
    return at + 2


cdef Text take_iso_time(State *s, Text at, Text end, int64_t *time) noexcept nogil:
    # RFC 3339, and with a space for the T or without a zone.
    cdef int century, year, month, day
    cdef int64_t clock, offset, hour, micro = 0, unit = MICROSECOND
    cdef bint stated
    if end - at < 20 or at[4] != c"-" or at[7] != c"-" or (at[10] != c"T" and at[10] != c" "):
        return NULL
    century, year, month, day = two_digits(at), two_digits(at + 2), two_digits(at + 5), two_digits(at + 8)
    clock = clock_of(at + 11)
    if century < 0 or year < 0 or clock < 0 or not 1 <= month <= 12:
        return NULL
    year += century * 100
    if year < 1970 or not 1 <= day <= month_days(year, month):
        return NULL
    at += 19
    if at[0] == c"." or at[0] == c",":
        at += 1
        while at < end and is_digit(at[0]):
            unit //= 10
            micro += (at[0] - 48) * unit
            at += 1
    at = take_offset(at, end, &offset, &stated)
    if at == NULL or at >= end or at[0] != c" ":
        return NULL
    if stated:
        time[0] = days_of(year, month, day) * SECONDS_A_DAY * MICROSECOND + clock + micro - offset
        return at + 1
    hour = ((year * 12 + month) * 32 + day) * 24 + clock // (3600 * MICROSECOND)
    if s.iso_hour != hour:
        s.iso_hour = hour
        s.iso_base = local_hour(s.owner, year, month, day, <int>(clock // (3600 * MICROSECOND)))
    if s.iso_base == NO_SUCH_HOUR:
        return NULL
    time[0] = s.iso_base + clock % (3600 * MICROSECOND) + micro
    return at + 1


# ---------------------------------------------------------------------------------------------------------------
# The parts of a message


cdef Text take_client(Text at, Text end, Client *client) noexcept nogil:
    # "name[address]" or "name[address]:port"; returns what follows, or NULL.
    cdef Text bracket = find_byte(at, end, c"[")
    cdef Text close
    cdef uint64_t port
    if bracket == NULL:
        return NULL
    client.name = at
    client.name_length = bracket - at
    client.sport = 0
    if memchr(at, c" ", bracket - at) != NULL:
        return NULL
    close = find_byte(bracket, end, c"]")
    if close == NULL or not parse_address(bracket + 1, close, &client.hi, &client.lo):
        return NULL
    at = close + 1
    if end - at > 1 and at[0] == c":" and is_digit(at[1]):
        at = take_number(at + 1, end, &port)
        client.sport = <uint16_t>port if port < 65536 else 0
    return at


cdef inline bint is_verified(const Client *client) noexcept nogil:
    # Postfix writes the name only where it resolves back to the address, else "unknown".
    return client.name_length > 0 and not (
        client.name_length == 7 and memcmp(client.name, b"unknown", 7) == 0
    )


cdef void set_client(Row *row, const Client *client) noexcept nogil:
    row.ip_hi = client.hi
    row.ip_lo = client.lo
    row.sport = client.sport
    if is_verified(client):
        row.signs |= RDNS_VERIFIED | signs_of_name(client.name, client.name_length, client.hi, client.lo)
    elif client.name_length:
        row.signs |= RDNS_UNVERIFIED


cdef inline Text queue_end(Text at, Text end) noexcept nogil:
    # The end of a queue id that starts here and is followed by ": ", or NULL.
    cdef Text start = at
    cdef uint8_t classes = 3
    while at < end and at[0] != c":":
        classes &= QUEUE_CLASS[at[0]]
        if not classes:
            return NULL
        at += 1
    if at - start < QUEUE_MIN or at - start > QUEUE_MAX or end - at < 2 or at[1] != c" ":
        return NULL
    return at


cdef uint64_t queue_hash(const State *s, const Line *line, Text at, Text end) noexcept nogil:
    # Of host, NUL and queue id: two servers may give the same id.
    cdef unsigned char text[HOST_MAX + 1 + QUEUE_MAX]
    cdef Py_ssize_t host = line.host_length if line.host_length < HOST_MAX else HOST_MAX
    memcpy(text, line.host, host)
    text[host] = 0
    memcpy(text + host + 1, at, end - at)
    return siphash(s.k0, s.k1, text, host + 1 + (end - at))


cdef Text take_angle(Text at, Text end, const char *key, Py_ssize_t length, Text *start, Text *stop) noexcept nogil:
    # "key=<value>" here; the value ends at ">" before a space, a comma or the end. Returns what follows,
    # or ``at`` itself where the key does not stand here.
    cdef Text close
    start[0] = stop[0] = NULL
    if not starts(at, end, key, length):
        return at
    at += length
    close = at
    while True:
        close = find_byte(close, end, c">")
        if close == NULL:
            return end
        if close + 1 >= end or close[1] == c" " or close[1] == c",":
            break
        close += 1
    start[0] = at
    stop[0] = close
    return close + 1


cdef uint64_t domain_hash(const State *s, Text at, Text end) noexcept nogil:
    # Of what follows the last @; 0 for the null sender and for names without a domain.
    cdef Text start = end
    if at == NULL:
        return 0
    while start > at and (start - 1)[0] != c"@":
        start -= 1
    if start == at or start == end:
        return 0
    return siphash_lower(s.k0, s.k1, start, end - start)


cdef inline uint64_t lower_hash(const State *s, Text at, Text end) noexcept nogil:
    if at == NULL or at >= end:
        return 0
    return siphash_lower(s.k0, s.k1, at, end - at)


cdef inline bint stands(Text at, Text end, const Refusal *refusal) noexcept nogil:
    cdef int i
    if end - at < refusal.length:
        return False
    for i in range(1, refusal.length):
        if LOWER[at[i]] != <unsigned char>refusal.text[i]:
            return False
    return not refusal.whole or end - at == refusal.length or not WORD[at[refusal.length]]


cdef uint8_t reason_of(Text at, Text end) noexcept nogil:
    # The strongest reason that a text gives in words, or NONE.
    cdef uint8_t reason = NONE
    cdef int rank = REFUSALS_MAX, letter, n
    cdef Text close
    cdef bint in_word = False
    while at < end:
        if not in_word and 97 <= LOWER[at[0]] <= 122:
            letter = LOWER[at[0]] - 97
            for n in range(REFUSALS_OF[letter], REFUSALS_OF[letter + 1]):
                if REFUSALS[n].rank < rank and stands(at, end, &REFUSALS[n]):
                    rank = REFUSALS[n].rank
                    reason = REFUSALS[n].reason
        elif at[0] == c"<":
            close = find_byte(at, end, c">")
            if close == NULL:
                return reason
            at = close
        in_word = WORD[at[0]]
        at += 1
    return reason


# ---------------------------------------------------------------------------------------------------------------
# Refusals


cdef Text facts_start(Text at, Text end) noexcept nogil:
    # Where "; from=<" and what follows it starts: the text of the refusal may hold semicolons too.
    while True:
        at = find_byte(at, end, c";")
        if at == NULL:
            return end
        if (
            starts(at, end, "; from=<", 8)
            or starts(at, end, "; to=<", 6)
            or starts(at, end, "; proto=", 8)
            or starts(at, end, "; helo=<", 8)
        ):
            return at
        at += 1


cdef inline Text skip_separators(Text at, Text end) noexcept nogil:
    while at < end and (at[0] == c" " or at[0] == c"," or at[0] == c";"):
        at += 1
    return at


cdef Text set_facts(State *s, Row *row, const Client *client, Text at, Text end) noexcept nogil:
    # "; from=<…> to=<…> proto=… helo=<…>", each optional, with commas in postscreen.
    cdef Text start
    cdef Text stop
    at = take_angle(skip_separators(at, end), end, "from=<", 6, &start, &stop)
    row.sender = domain_hash(s, start, stop)
    at = take_angle(skip_separators(at, end), end, "to=<", 4, &start, &stop)
    row.target = lower_hash(s, start, stop)
    at = skip_separators(at, end)
    if starts(at, end, "proto=", 6):
        while at < end and at[0] != c" " and at[0] != c",":
            at += 1
    at = take_angle(skip_separators(at, end), end, "helo=<", 6, &start, &stop)
    if start != NULL and start < stop:
        row.helo = lower_hash(s, start, stop)
        row.signs |= signs_of_helo(
            start, stop - start, client.name, client.name_length if is_verified(client) else 0, client.hi, client.lo
        )
    return at


cdef void set_reason(Row *row, Text at, Text end, uint8_t otherwise) noexcept nogil:
    # ``at``: "450 4.7.1 …", or "5.7.1 …" from a milter. A passing trouble is no refusal.
    cdef bint passing = at < end and at[0] == c"4"
    cdef uint8_t reason = reason_of(at, end)
    if reason == NONE:
        reason = TEMPORARY if passing else otherwise
    elif not passing and (reason == TEMPORARY or reason == GREYLIST):
        reason = otherwise
    row.reason = reason
    row.event = DEFER if reason == TEMPORARY or reason == GREYLIST else REJECT


cdef int content_reject(State *s, const Line *line, Text at, Text end, uint64_t queue) noexcept nogil:
    # "header <content> from name[ip]; from=<…> to=<…> proto=… helo=<…>: text". The sender of the mail writes the
    # content and may imitate what follows it: then only the queue id tells the client.
    cdef Client client
    cdef Client other
    cdef Text after
    cdef Text facts = NULL
    cdef Row *row
    cdef bint certain = True
    memset(&client, 0, sizeof(Client))
    while True:
        at = find(at, end, " from ", 6)
        if at == NULL:
            break
        at += 6
        after = take_client(at, end, &other)
        if after == NULL or not (after < end and after[0] == c";"):
            continue
        if facts != NULL and (other.hi != client.hi or other.lo != client.lo):
            certain = False
        client = other
        facts = after
    if facts == NULL and not queue:
        return NO_CLIENT
    row = add(s, line, REJECT, CONTENT)
    if row == NULL:
        return UNDERSTOOD
    row.queue = queue
    if facts != NULL and certain:
        set_client(row, &client)
        set_facts(s, row, &client, facts, end)
    return UNDERSTOOD


cdef int refusal(State *s, const Line *line, Text at, Text end, uint64_t queue, bint by_filter) noexcept nogil:
    # "RCPT from name[ip]: 550 5.1.1 text; from=<…> to=<…> proto=… helo=<…>"
    cdef Client client
    cdef Text facts
    cdef Row *row
    if at < end and 97 <= at[0] <= 122:  # header, body, mime-header …: commands are in capitals
        return content_reject(s, line, at, end, queue)
    at = find(at, end, " from ", 6)
    if at == NULL:
        return NO_CLIENT
    at = take_client(at + 6, end, &client)
    if at == NULL:
        return NO_CLIENT
    while at < end and (at[0] == c":" or at[0] == c" "):
        at += 1
    row = add(s, line, REJECT, POLICY)
    if row == NULL:
        return UNDERSTOOD
    row.queue = queue
    set_client(row, &client)
    facts = facts_start(at, end)
    set_reason(row, at, facts, CONTENT if by_filter else POLICY)
    set_facts(s, row, &client, facts, end)
    return UNDERSTOOD


# ---------------------------------------------------------------------------------------------------------------
# The services


cdef int phrase_row(
    State *s, const Line *line, const Phrase *table, Text at, Text end, bint *met
) noexcept nogil:
    cdef Client client
    cdef const Phrase *phrase = table
    cdef Row *row
    met[0] = False
    while phrase.text != NULL and not (
        phrase.text[0] == <char>at[0] and starts(at, end, phrase.text, phrase.length)
    ):
        phrase += 1
    if phrase.text == NULL:
        return UNDERSTOOD
    met[0] = True
    at += phrase.length
    if phrase.before_length:
        at = find(at, end, phrase.before, phrase.before_length)
        if at == NULL:
            return NO_CLIENT
        at += phrase.before_length
    if take_client(at, end, &client) == NULL:
        return NO_CLIENT
    row = add(s, line, phrase.event, phrase.reason)
    if row != NULL:
        row.signs = phrase.signs
        set_client(row, &client)
    return UNDERSTOOD


cdef int session_end(State *s, const Line *line, Text at, Text end) noexcept nogil:
    # "X ehlo=1 auth=0/1 quit=1 commands=2/3": failed logins, or a session that ended without QUIT. That alone
    # accuses nobody: the lines before it said what was wrong.
    cdef Client client
    cdef uint64_t good = 0, tried = 0
    cdef Text auth
    cdef Row *row
    at = take_client(at, end, &client)
    if at == NULL:
        return NO_CLIENT
    auth = find(at, end, " auth=", 6)
    if auth != NULL:
        auth = take_number(auth + 6, end, &good)
        if auth < end and auth[0] == c"/":
            take_number(auth + 1, end, &tried)
    if tried > good:
        row = add(s, line, AUTH_FAIL, NONE)
        if row != NULL:
            tried -= good
            row.count = <uint32_t>tried if tried < 0xFFFF else 0xFFFF
    elif find(at, end, " commands=", 10) != NULL and find(at, end, " quit=", 6) == NULL:
        row = add(s, line, LOST, NONE)
    else:
        return UNDERSTOOD
    if row != NULL:
        set_client(row, &client)
    return UNDERSTOOD


cdef int accepted_client(State *s, const Line *line, Text at, Text end, uint64_t queue) noexcept nogil:
    # "name[ip](, sasl_method=…, sasl_username=…)(, orig_client=name[ip])"
    cdef Client client
    cdef Client origin
    cdef Text given
    cdef Row *row
    cdef bint by_user
    at = take_client(at, end, &client)
    if at == NULL:
        return NO_CLIENT
    by_user = find(at, end, " sasl_method=", 13) != NULL or find(at, end, " sasl_username=", 15) != NULL
    given = NULL if by_user else find(at, end, " orig_client=", 13)
    if given != NULL and take_client(given + 13, end, &origin) != NULL:
        # A mail that comes back from a content filter was counted when it came in first.
        row = add(s, line, ENVELOPE, NONE)
        if row != NULL:
            row.queue = queue
            row.signs = OPENS
            set_client(row, &origin)
        return UNDERSTOOD
    row = add(s, line, MESSAGE, NONE)
    if row == NULL:
        return UNDERSTOOD
    row.queue = queue
    row.signs = OPENS
    set_client(row, &client)
    if by_user:
        row.signs |= AUTHENTICATED
        row = add(s, line, AUTH_OK, NONE)
        if row != NULL:
            row.signs = AUTHENTICATED
            set_client(row, &client)
    return UNDERSTOOD


cdef int login_failure(State *s, const Line *line, Text at, Text end, Text sasl) noexcept nogil:
    # "X: SASL LOGIN authentication failed: …"; the server's own trouble is nobody's failure.
    cdef Client client
    cdef Row *row
    cdef Text failed = find(sasl, end, " authentication failed", 22)
    if failed == NULL:
        return UNDERSTOOD
    failed += 22
    if (
        starts(failed, end, ": Connection lost to authentication server", 42)
        or starts(failed, end, ": Temporary authentication failure", 34)
    ):
        return UNDERSTOOD
    if take_client(at, end, &client) == NULL:
        return NO_CLIENT
    row = add(s, line, AUTH_FAIL, NONE)
    if row != NULL:
        set_client(row, &client)
    return UNDERSTOOD


cdef int unresolved_name(State *s, const Line *line, Text at, Text end) noexcept nogil:
    # "NAME does not resolve to address IP(: why)": whoever runs the reverse zone may claim any name, so
    # that it says mail counts for nothing.
    cdef Client client
    cdef Text address = find(at, end, " does not resolve to address ", 29)
    cdef Text stop
    cdef Row *row
    if address == NULL:
        return UNDERSTOOD
    client.name, client.name_length, client.sport = at, address - at, 0
    address += 29
    # In an IPv6 address a colon is followed by no space.
    stop = find(address, end, ": ", 2)
    if stop == NULL:
        stop = end
    if not parse_address(address, stop, &client.hi, &client.lo):
        return NO_CLIENT
    row = add(s, line, CONNECT, NONE)
    if row != NULL:
        row.ip_hi, row.ip_lo = client.hi, client.lo
        row.signs = RDNS_UNVERIFIED | (
            signs_of_name(client.name, client.name_length, client.hi, client.lo) & ~RDNS_SERVER
        )
    return UNDERSTOOD


cdef int warning(State *s, const Line *line, Text at, Text end) noexcept nogil:
    cdef Client client
    cdef Text found
    cdef Row *row
    cdef bint met
    cdef int why
    if at == end:
        return UNDERSTOOD
    # First what has the client's own words behind the client.
    why = phrase_row(s, line, SMTPD, at, end, &met)
    if met:
        return why
    found = find(at, end, ": SASL ", 7)
    if found != NULL:
        return login_failure(s, line, at, end, found)
    if starts(at, end, "hostname ", 9):
        return unresolved_name(s, line, at + 9, end)
    found = find(at, end, " limit exceeded: ", 17)
    if found == NULL:
        return UNDERSTOOD
    found = find(found, end, " from ", 6)
    if found == NULL or take_client(found + 6, end, &client) == NULL:
        return NO_CLIENT
    row = add(s, line, LOST, RATE)
    if row != NULL:
        set_client(row, &client)
    return UNDERSTOOD


cdef int transaction(State *s, const Line *line, Text at, Text end, uint64_t queue) noexcept nogil:
    # What follows "QUEUEID: " or "NOQUEUE: " in smtpd, postscreen and cleanup.
    cdef Text colon
    if starts(at, end, "client=", 7):
        return accepted_client(s, line, at + 7, end, queue) if queue else UNDERSTOOD
    colon = find_byte(at, end, c":")
    if colon == NULL or colon - at < 6 or end - colon < 2 or memcmp(colon - 6, b"reject", 6) != 0:
        return UNDERSTOOD
    if colon - at > 6 and (colon - 7)[0] != c"-":
        return UNDERSTOOD
    return refusal(s, line, colon + 2, end, queue, colon - at > 6)


cdef int receiving(State *s, const Line *line, const Phrase *table, Text at, Text end) noexcept nogil:
    # smtpd, postscreen and cleanup.
    cdef Text stop
    cdef bint met
    cdef int why = phrase_row(s, line, table, at, end, &met)
    if met:
        return why
    if starts(at, end, "NOQUEUE: ", 9):
        return transaction(s, line, at + 9, end, 0)
    if starts(at, end, "disconnect from ", 16):
        return session_end(s, line, at + 16, end)
    if starts(at, end, "warning: ", 9):
        return warning(s, line, at + 9, end)
    stop = queue_end(at, end)
    if stop == NULL:
        return UNDERSTOOD
    return transaction(s, line, stop + 2, end, queue_hash(s, line, at, stop))


cdef int queue_manager(State *s, const Line *line, Text at, Text end) noexcept nogil:
    # "QUEUEID: from=<…>, size=…, nrcpt=… (queue active)", "QUEUEID: removed", "QUEUEID: from=<…>, status=expired, …"
    cdef Text stop = queue_end(at, end)
    cdef Text start
    cdef Text close
    cdef Text found
    cdef uint64_t number
    cdef Row *row
    if stop == NULL:
        return UNDERSTOOD
    if starts(stop, end, ": removed", 9):
        row = add(s, line, CLOSED, NONE)
        if row != NULL:
            row.queue = queue_hash(s, line, at, stop)
        return UNDERSTOOD
    found = take_angle(stop + 2, end, "from=<", 6, &start, &close)
    if start == NULL:
        return UNDERSTOOD
    if starts(found, end, ", status=expired", 16) or starts(found, end, ", status=force-expired", 22):
        row = add(s, line, BOUNCE, TEMPORARY)
        if row != NULL:
            row.queue = queue_hash(s, line, at, stop)
        return UNDERSTOOD
    if not starts(found, end, ", size=", 7):
        return UNDERSTOOD
    row = add(s, line, ENVELOPE, NONE)
    if row == NULL:
        return UNDERSTOOD
    row.queue = queue_hash(s, line, at, stop)
    row.sender = domain_hash(s, start, close)
    found = take_number(found + 7, end, &number)
    row.bytes = number
    if starts(found, end, ", nrcpt=", 8):
        take_number(found + 8, end, &number)
        row.recipients = <uint16_t>number if number < 0xFFFF else 0xFFFF
    return UNDERSTOOD


cdef uint8_t bounce_reason(Text dsn, Text text, Text end) noexcept nogil:
    # RFC 3463 status codes first, then what the other side said.
    cdef uint8_t said = reason_of(text, end)
    if dsn != NULL:
        if starts(dsn, end, "5.1.1,", 6) or starts(dsn, end, "5.1.6,", 6) or starts(dsn, end, "5.1.10,", 7):
            return UNKNOWN_RECIPIENT
        if dsn[0] == c"4":
            return TEMPORARY
    if said == UNKNOWN_RECIPIENT:
        return UNKNOWN_RECIPIENT
    if dsn != NULL and starts(dsn, end, "5.7.", 4):
        return CONTENT if said == CONTENT else POLICY
    return OTHER


cdef int delivery(State *s, const Line *line, Text at, Text end) noexcept nogil:
    # "QUEUEID: to=<…>, relay=…, delay=…, dsn=5.1.1, status=bounced (text)"
    cdef Text stop = queue_end(at, end)
    cdef Text start
    cdef Text close
    cdef Text dsn
    cdef Text status
    cdef bint bounced
    cdef Row *row
    if stop == NULL:
        return UNDERSTOOD
    dsn = take_angle(stop + 2, end, "to=<", 4, &start, &close)
    if start == NULL:
        return UNDERSTOOD
    status = find(dsn, end, ", status=", 9)
    if status == NULL or starts(status, end, ", status=sent", 13):
        return UNDERSTOOD
    bounced = starts(status, end, ", status=bounced", 16)
    if not bounced and not starts(status, end, ", status=deferred", 17):
        return UNDERSTOOD
    row = add(s, line, BOUNCE if bounced else DEFER, TEMPORARY)
    if row == NULL:
        return UNDERSTOOD
    row.queue = queue_hash(s, line, at, stop)
    row.target = lower_hash(s, start, close)
    if bounced:
        dsn = find(dsn, status, " dsn=", 5)
        row.reason = bounce_reason(NULL if dsn == NULL else dsn + 5, status + 16, end)
    return UNDERSTOOD


cdef inline bint named(Text at, Text end, const char *name, Py_ssize_t length) noexcept nogil:
    return end - at == length and memcmp(at, name, length) == 0


cdef int dispatch(State *s, const Line *line, Text service, Text stop, Text at, Text end) noexcept nogil:
    if at >= end:
        return UNDERSTOOD
    if named(service, stop, "smtpd", 5) or named(service, stop, "cleanup", 7):
        return receiving(s, line, SMTPD, at, end)
    if named(service, stop, "qmgr", 4):
        return queue_manager(s, line, at, end)
    if (
        named(service, stop, "smtp", 4)
        or named(service, stop, "lmtp", 4)
        or named(service, stop, "local", 5)
        or named(service, stop, "virtual", 7)
        or named(service, stop, "pipe", 4)
        or named(service, stop, "error", 5)
        or named(service, stop, "retry", 5)
        or named(service, stop, "bounce", 6)
    ):
        return delivery(s, line, at, end)
    if named(service, stop, "postscreen", 10):
        return receiving(s, line, POSTSCREEN, at, end)
    return UNDERSTOOD


# ---------------------------------------------------------------------------------------------------------------
# The frame of a line


cdef Text take_frame(State *s, Line *line, Text at, Text end, bint *rfc5424) noexcept nogil:
    # Past priority, time and host; NULL where there is no date.
    cdef Text close
    rfc5424[0] = False
    if at < end and at[0] == c"<":
        close = find_byte(at, at + 5 if end - at > 5 else end, c">")
        if close == NULL:
            return NULL
        at = close + 1
        if starts(at, end, "1 ", 2):
            rfc5424[0] = True
            at += 2
    if at >= end:
        return NULL
    if is_digit(at[0]):
        at = take_iso_time(s, at, end, &line.time)
    else:
        at = take_bsd_time(s, at, end, &line.time)
    if at == NULL:
        return NULL
    while at < end and at[0] == c" ":
        at += 1
    close = find_byte(at, end, c" ")
    line.host = at
    line.host_length = 0
    if close == NULL:
        return at
    if (close - 1)[0] == c":":  # a program's tag stands here: the host is left out
        return at
    line.host_length = close - at
    return close + 1


cdef Text skip_structured(Text at, Text end) noexcept nogil:
    # RFC 5424 section 6.3: "-" or [elements] with quoted values; then the message, which may start with a BOM.
    cdef bint quoted = False
    if at < end and at[0] == c"-":
        at += 1
    else:
        while at < end and at[0] == c"[":
            while at < end and (quoted or at[0] != c"]"):
                if at[0] == c'"':
                    quoted = not quoted
                elif at[0] == c"\\" and quoted:
                    at += 1
                at += 1
            at += 1
    while at < end and at[0] == c" ":
        at += 1
    if starts(at, end, "\xef\xbb\xbf", 3):
        at += 3
    return at


cdef int take_line(State *s, Text at, Text end) noexcept nogil:
    cdef Line line
    cdef Text tag
    cdef Text stop
    cdef Text service
    cdef bint rfc5424
    cdef int field
    at = take_frame(s, &line, at, end, &rfc5424)
    if at == NULL:
        return NO_DATE
    tag = at
    if not starts(tag, end, "postfix", 7):
        return UNDERSTOOD
    while at < end and at[0] != c"[" and at[0] != c":" and at[0] != c" ":
        at += 1
    stop = service = at
    while service > tag and (service - 1)[0] != c"/":
        service -= 1
    if rfc5424:
        for field in range(3):  # the tag, PROCID, MSGID
            at = find_byte(at, end, c" ")
            if at == NULL:
                return UNDERSTOOD
            at += 1
        at = skip_structured(at, end)
    else:
        at = find(at, end, ": ", 2)
        if at == NULL:
            return UNDERSTOOD
        at += 2
    return dispatch(s, &line, service, stop, at, end)


cdef void take(State *s, Text at, Text end) noexcept nogil:
    # One line without its newline.
    cdef Py_ssize_t before = s.count
    cdef int why
    s.number += 1
    if end - at > LINE_MAX:
        s.records += 1
        reject(s, LINE_TOO_LONG)
        return
    while end > at and (end - 1)[0] == c"\r":
        end -= 1
    if at == end:
        return
    s.records += 1
    why = take_line(s, at, end)
    if s.count > before and s.rows[before].time > s.latest:
        s.count = before
        why = IN_FUTURE
    if why:
        reject(s, why)


cdef void take_lines(State *s, Text at, Text end) noexcept nogil:
    # Whole lines: the last byte is a newline.
    cdef Text newline
    while at < end and not s.exhausted:
        newline = find_byte(at, end, c"\n")
        take(s, at, newline)
        at = newline + 1


cdef class PostfixParser:
    """A stream of Postfix's syslog; see :class:`profiler.parse.registry.Parser`."""

    cdef State state
    cdef object _timezone, _now
    cdef bytearray _tail  # an unfinished last line
    cdef bint _overlong  # ... of which the start was dropped

    def __cinit__(self):
        memset(&self.state, 0, sizeof(State))
        self.state.hours = <int64_t *>malloc(HOURS * sizeof(int64_t))
        self.state.rejected = <uint32_t *>malloc(2 * REJECTED_KEPT_C * sizeof(uint32_t))
        if self.state.hours == NULL or self.state.rejected == NULL:
            raise MemoryError

    def __init__(self, context):
        cdef int hour
        key = context.hash_key
        self.state.k0 = int.from_bytes(key[:8], "little")
        self.state.k1 = int.from_bytes(key[8:16], "little")
        self.state.latest = context.now + FUTURE_SECONDS * MICROSECOND
        self.state.owner = <void *>self
        self.state.iso_hour = -1
        for hour in range(HOURS):
            self.state.hours[hour] = UNKNOWN_HOUR
        self._timezone = context.timezone
        self._now = context.now
        self._tail = bytearray()
        self._overlong = False

    def __dealloc__(self):
        free(self.state.hours)
        free(self.state.rejected)
        free(self.state.rows)

    cdef int64_t convert(self, int year, int month, int day, int hour) except? -1:
        # Microseconds since 1970 of a local hour; without a year, of the latest such hour before tomorrow.
        cdef int back
        if year:
            return self.microseconds(year, month, day, hour)
        limit = self._now + SECONDS_A_DAY * MICROSECOND
        latest = (datetime.fromtimestamp(self._now // MICROSECOND, self._timezone) + timedelta(days=1)).year
        for back in range(YEARS_BACK + 1):
            try:
                moment = self.microseconds(latest - back, month, day, hour)
            except ValueError:  # no 29th of February in that year
                continue
            if moment <= limit:
                return moment
        raise ValueError("no such day")

    cdef object microseconds(self, int year, int month, int day, int hour):
        return int(datetime(year, month, day, hour, tzinfo=self._timezone).timestamp()) * MICROSECOND

    def feed(self, const unsigned char[::1] data, bint final=False):
        """Return the rows of the lines that are complete; an unfinished last line waits unless ``final``."""
        cdef Py_ssize_t length = data.shape[0], start = 0, stop
        cdef Text text = &data[0] if length else NULL
        cdef Text newline
        self.state.count = 0
        self.state.records = 0
        self.state.rejected_count = 0
        newline = find_byte(text, text + length, c"\n")
        if newline == NULL:
            self.keep(text, length)
            if final:
                self.finish_line()
            return self.parsed()
        if self._tail or self._overlong:
            self.keep(text, newline - text)
            self.finish_line()
            start = newline - text + 1
        stop = length
        while text[stop - 1] != c"\n":
            stop -= 1
        with nogil:
            take_lines(&self.state, text + start, text + stop)
        self.keep(text + stop, length - stop)
        if final:
            self.finish_line()
        return self.parsed()

    cdef int keep(self, Text text, Py_ssize_t length) except -1:
        # Of a line that is too long already, nothing is kept but the fact.
        if length == 0 or self._overlong:
            return 0
        if len(self._tail) + length > LINE_MAX:
            self._overlong = True
            self._tail.clear()
            return 0
        self._tail += text[:length]
        return 0

    cdef int finish_line(self) except -1:
        cdef const unsigned char[::1] line
        if self._overlong:
            self.state.number += 1
            self.state.records += 1
            reject(&self.state, LINE_TOO_LONG)
        elif self._tail:
            line = bytes(self._tail)
            take(&self.state, &line[0], &line[0] + line.shape[0])
        self._overlong = False
        self._tail.clear()
        return 0

    cdef object parsed(self):
        cdef State *s = &self.state
        cdef Py_ssize_t i
        cdef unsigned char[::1] target
        if s.exhausted:
            raise MemoryError("no memory for the rows of this batch; post smaller ones")
        rows = np.empty(s.count, OBSERVATION)
        if s.count:
            target = rows.view(np.uint8)
            memcpy(&target[0], s.rows, s.count * sizeof(Row))
        if s.capacity > KEPT_ROWS:
            free(s.rows)
            s.rows = NULL
            s.capacity = 0
        kept = min(s.rejected_count, REJECTED_KEPT_C)
        rejected = [(s.rejected[2 * i], _WHY[s.rejected[2 * i + 1]]) for i in range(kept)]
        return Parsed(rows, rejected, s.rejected_count, s.records)
