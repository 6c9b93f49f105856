# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What a host name says about the address behind it: customer space, dynamic, static, a mail server.

A name and an address in, bits of :class:`~profiler.observation.Sign` out; no lookups. Rules:

1. Only what stands left of the registrable domain counts: ``mx1.cable.example`` is no cable customer.
2. A word counts as a whole token, split on everything that is no letter: ``poolside`` is no pool.
3. A name that spells its address is generic, whatever else it says. A word alone (``dsl``, ``customer``) gives way
   to a mail server's word in the first label.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp

from profiler.observation import Sign

cdef enum:
    NAME_MAX = 255  # RFC 1035 section 2.3.4; what is longer is cut
    RUNS_MAX = 16  # runs of digits that are looked at
    SLOTS = 1024  # of the table of words
    OCTET_UNKNOWN = -1

# Kinds of word.
cdef enum:
    CUSTOMER = 1
    DYNAMIC = 2
    STATIC = 4
    SERVER = 8

_WORDS = {
    CUSTOMER: (
        "cable cablemodem catv cpe client clients cli cust custs customer customers broadband bband bb res resi "
        "residential mobile wireless wifi wimax wlan lte gprs umts ftth fttb fttx fttp fiber fibre hfc "
        "gpon pon subs subscriber subscribers modem nat cgn cgnat kabel hsi hsia"
    ),
    CUSTOMER | DYNAMIC: (
        "dyn dynamic dynamicip dynip dynamically dinamic dinamico dinamica dhcp dsl adsl vdsl xdsl sdsl hdsl "
        "ppp pppoe pppoa dial dialup dialin dialip dialuser pool pools dip dynadsl dyndsl"
    ),
    STATIC: "static staticip statip stat sta fix fixed fixip fixo business biz",
    SERVER: (
        "mail mails mailer mailers mx mxa mxb mxs mxout mxin smtp smtps smtpout smtpin smtpd smtprelay mta mtas mtaout "
        "out outs outbound outgoing outmail relay relays mailout mailouts mailrelay mailhost mailserver mailsrv "
        "mailgw mailgate mailgateway mailhub mailfilter mailfwd mailserv webmail postfix exim zimbra "
        "send sender senders sendmail newsletter bounce bounces lists email emails emailer imap pop postmaster"
    ),
}

# Second labels below which a two-letter top-level domain hands out names, as in co.uk, com.br, ne.jp.
_SECOND_LEVEL = (
    "co com net org ac edu gov gob gouv go ne or mil nom sch ltd plc me ad ed gr lg asn id info web firm gen "
    "ind nic res biz name pro art adm adv eng"
)

cdef struct Word:
    uint64_t hash
    uint32_t kinds

cdef struct Run:
    int start
    int length
    int value  # of at most three digits, else OCTET_UNKNOWN

cdef Word WORDS[SLOTS]
cdef Word SECOND_LEVEL[SLOTS]
cdef uint8_t LOWER[256]
cdef uint8_t LETTER[256]  # 1 for a letter
cdef uint8_t NIBBLE[256]  # 16 for what is no hexadecimal digit
cdef uint32_t RDNS_GENERIC = Sign.RDNS_GENERIC
cdef uint32_t RDNS_DYNAMIC = Sign.RDNS_DYNAMIC
cdef uint32_t RDNS_STATIC = Sign.RDNS_STATIC
cdef uint32_t RDNS_SERVER = Sign.RDNS_SERVER
cdef uint32_t HELO_LITERAL = Sign.HELO_LITERAL
cdef uint32_t HELO_NODOT = Sign.HELO_NODOT
cdef uint32_t HELO_GENERIC = Sign.HELO_GENERIC
cdef uint32_t HELO_MATCH = Sign.HELO_MATCH
cdef uint32_t HELO_NAMED = Sign.HELO_NAMED


# FNV-1a, a letter at a time while a name is walked; no defence is needed, the words are ours.
cdef uint64_t HASH_START = 0xCBF29CE484222325ULL
cdef uint64_t HASH_FACTOR = 0x100000001B3ULL


cdef void learn(Word *table, bytes word, uint32_t kinds):
    cdef uint64_t value = HASH_START
    cdef int letter
    for letter in word:
        value = (value ^ <uint64_t>letter) * HASH_FACTOR
    cdef uint32_t slot = <uint32_t>(value >> 40) % SLOTS
    while table[slot].hash and table[slot].hash != value:
        slot = (slot + 1) % SLOTS
    table[slot].hash = value
    table[slot].kinds |= kinds


cdef inline uint32_t known(const Word *table, uint64_t value) noexcept nogil:
    cdef uint32_t slot = <uint32_t>(value >> 40) % SLOTS
    while table[slot].hash:
        if table[slot].hash == value:
            return table[slot].kinds
        slot = (slot + 1) % SLOTS
    return 0


cdef void prepare():
    cdef int code
    for code in range(256):
        LOWER[code] = code + 32 if 65 <= code <= 90 else code
        LETTER[code] = 97 <= LOWER[code] <= 122
        NIBBLE[code] = 16
    for code in range(16):
        NIBBLE[<int>ord("0123456789abcdef"[code])] = code
        NIBBLE[<int>ord("0123456789ABCDEF"[code])] = code
    for kinds, words in _WORDS.items():
        for word in words.split():
            learn(WORDS, word.encode(), kinds)
    for word in _SECOND_LEVEL.split():
        learn(SECOND_LEVEL, word.encode(), 1)


prepare()


cdef Py_ssize_t registrable_at(const unsigned char *name, Py_ssize_t length) noexcept nogil:
    # Where the registrable domain starts: two labels from the right, three below co.uk and its like.
    cdef Py_ssize_t at, second, top
    cdef uint64_t value = HASH_START
    if length and name[length - 1] == c".":
        length -= 1
    top = length
    while top and name[top - 1] != c".":
        top -= 1
    if top < 2:
        return 0
    second = top - 1
    while second and name[second - 1] != c".":
        second -= 1
    if length - top == 2 and second >= 2:
        for at in range(second, top - 1):
            value = (value ^ LOWER[name[at]]) * HASH_FACTOR
        if known(SECOND_LEVEL, value):
            second -= 1
            while second and name[second - 1] != c".":
                second -= 1
    return second


cdef bint adjacent_octets(const Run *runs, int count, const uint8_t *octets) noexcept nogil:
    # Two runs side by side that are two octets side by side, in either order. Two octets below ten
    # prove nothing unless a third follows: mail-1-2 is a numbered server.
    cdef int run, octet, step, matched
    for run in range(count - 1):
        for octet in range(4):
            if runs[run].value != octets[octet]:
                continue
            for step in range(-1, 2, 2):
                matched = 1
                while (
                    run + matched < count
                    and 0 <= octet + step * matched < 4
                    and runs[run + matched].value == octets[octet + step * matched]
                ):
                    matched += 1
                if matched > 2:
                    return True
                if matched == 2 and (octets[octet] > 9 or octets[octet + step] > 9):
                    return True
    return False


cdef bint glued_octets(const unsigned char *digits, int length, const uint8_t *octets) noexcept nogil:
    # One run of digits that is two or more octets written without a separator, padded to three digits or not.
    cdef unsigned char text[16]
    cdef int padded, step, first, at, used, octet, value
    for padded in range(2):
        for step in range(-1, 2, 2):
            for first in range(4):
                used = 0
                at = first
                while 0 <= at < 4 and used < length:
                    value = octets[at]
                    if padded or value > 99:
                        text[used] = 48 + value // 100
                        used += 1
                    if padded or value > 9:
                        text[used] = 48 + value // 10 % 10
                        used += 1
                    text[used] = 48 + value % 10
                    used += 1
                    at += step
                if used == length and at != first + step and memcmp(text, digits, length) == 0:
                    return True
    return False


cdef bint spells_v4(
    const unsigned char *name, const Run *runs, int count, uint32_t address
) noexcept nogil:
    cdef uint8_t octets[4]
    cdef int at
    for at in range(4):
        octets[at] = (address >> (24 - 8 * at)) & 0xFF
    if adjacent_octets(runs, count, octets):
        return True
    for at in range(count):
        if 4 <= runs[at].length <= 12 and glued_octets(name + runs[at].start, runs[at].length, octets):
            return True
    return False


cdef bint spells_v6(
    const unsigned char *name, Py_ssize_t length, uint64_t hi, uint64_t lo
) noexcept nogil:
    # Eight nibbles of the address in a row, forward or reversed, separators left out; or three hextets.
    cdef uint32_t windows[50]
    cdef int nibbles[32]
    cdef int at, back, step, seen = 0, hextet, matched = 0, digits = 0
    cdef uint32_t window, rolling = 0, value = 0
    cdef Py_ssize_t i
    for at in range(32):
        nibbles[at] = ((hi if at < 16 else lo) >> (60 - 4 * (at & 15))) & 15
    for at in range(25):
        window = 0
        for back in range(8):
            window = window << 4 | nibbles[at + back]
        windows[at] = window
        window = 0
        for back in range(8):
            window = window << 4 | nibbles[at + 7 - back]
        windows[25 + at] = window
    hextet = 0
    for i in range(length + 1):
        if i < length and NIBBLE[name[i]] < 16:
            rolling = rolling << 4 | NIBBLE[name[i]]
            value = value << 4 | NIBBLE[name[i]]
            digits += 1
            seen += 1
            if seen >= 8 and rolling:
                for at in range(50):
                    if windows[at] == rolling:
                        return True
            continue
        if 0 < digits <= 4:
            if hextet < 8 and value == (((hi if hextet < 4 else lo) >> (48 - 16 * (hextet & 3))) & 0xFFFF):
                matched += 1
                hextet += 1
                if matched >= 3:
                    return True
            else:
                matched = hextet = 0
        elif digits:
            matched = hextet = 0
        digits = 0
        value = 0
        if i < length and name[i] != c"." and name[i] != c"-":
            seen = 0
    return False


cdef uint32_t verdict(uint32_t kinds, bint spelled) noexcept nogil:
    cdef uint32_t signs = 0
    if kinds & SERVER:
        signs |= RDNS_SERVER
        if not spelled:
            return signs
    if spelled or kinds & CUSTOMER:
        signs |= RDNS_GENERIC
    if kinds & STATIC:
        signs |= RDNS_STATIC
    elif kinds & DYNAMIC:
        signs |= RDNS_DYNAMIC
    return signs


cdef uint32_t signs_of_name(
    const unsigned char *name, Py_ssize_t length, uint64_t ip_hi, uint64_t ip_lo
) noexcept nogil:
    cdef Run runs[RUNS_MAX]
    cdef int count = 0, hex_digits = 0, label = 0
    cdef uint32_t kinds = 0, kind, hex_value = 0, address = <uint32_t>ip_lo
    cdef uint64_t word = HASH_START
    cdef bint is_v4 = ip_hi == 0 and ip_lo >> 32 == 0xFFFF
    cdef bint spelled = False, in_word = False, in_run = False
    cdef Py_ssize_t i, end
    cdef uint8_t c
    if length > NAME_MAX:
        length = NAME_MAX
    end = registrable_at(name, length)
    for i in range(end):
        c = name[i]
        if NIBBLE[c] < 16:
            hex_value = hex_value << 4 | NIBBLE[c]
            hex_digits += 1
            if hex_digits >= 8 and is_v4:
                spelled |= hex_value == address or __builtin_bswap32(hex_value) == address
        else:
            hex_digits = 0
        if LETTER[c]:
            word = (word ^ LOWER[c]) * HASH_FACTOR
            in_word = True
            in_run = False
            continue
        if in_word:
            kind = known(WORDS, word)
            kinds |= kind if label == 0 else kind & ~<uint32_t>SERVER
            word = HASH_START
            in_word = False
        if 48 <= c <= 57:
            if in_run:
                runs[count - 1].length += 1
                if runs[count - 1].length <= 3:
                    runs[count - 1].value = runs[count - 1].value * 10 + c - 48
                else:
                    runs[count - 1].value = OCTET_UNKNOWN
            elif count < RUNS_MAX:
                runs[count].start = <int>i
                runs[count].length = 1
                runs[count].value = c - 48
                count += 1
                in_run = True
        else:
            in_run = False
            label += c == c"."
    if not spelled and end:
        spelled = spells_v4(name, runs, count, address) if is_v4 else spells_v6(name, end, ip_hi, ip_lo)
    return verdict(kinds, spelled)


cdef extern from *:
    uint32_t __builtin_bswap32(uint32_t) noexcept nogil


cdef bint is_literal(const unsigned char *helo, Py_ssize_t length) noexcept nogil:
    # In brackets, or bare: only digits and three dots, or with a colon, which no name has.
    cdef Py_ssize_t i
    cdef int dots = 0
    if helo[0] == c"[":
        return True
    for i in range(length):
        if helo[i] == c":":
            return True
    for i in range(length):
        if helo[i] == c".":
            dots += 1
        elif not 48 <= helo[i] <= 57:
            return False
    return dots == 3


cdef uint32_t signs_of_helo(
    const unsigned char *helo, Py_ssize_t length, const unsigned char *rdns, Py_ssize_t rdns_length,
    uint64_t ip_hi, uint64_t ip_lo
) noexcept nogil:
    cdef uint32_t signs = HELO_NODOT
    cdef Py_ssize_t i, mine, theirs
    if length == 0:
        return 0
    if is_literal(helo, length):
        return HELO_LITERAL
    if helo[length - 1] == c".":
        length -= 1
    for i in range(length):
        if helo[i] == c".":
            signs = HELO_NAMED
            break
    if signs & HELO_NODOT:
        return signs
    if signs_of_name(helo, length, ip_hi, ip_lo) & RDNS_GENERIC:
        signs |= HELO_GENERIC
    if rdns_length and rdns[rdns_length - 1] == c".":
        rdns_length -= 1
    mine, theirs = registrable_at(helo, length), registrable_at(rdns, rdns_length)
    if rdns_length and length - mine == rdns_length - theirs:
        for i in range(length - mine):
            if LOWER[helo[mine + i]] != LOWER[rdns[theirs + i]]:
                return signs
        signs |= HELO_MATCH
    return signs


def registrable(bytes name):
    """Return the registrable domain of ``name``: two labels, three below shapes like ``co.uk``; case is kept."""
    cdef const unsigned char *text = name
    return name[registrable_at(text, len(name)):].rstrip(b".")


def name_signs(bytes name, ip_hi, ip_lo):
    """Return the bits RDNS_GENERIC, RDNS_DYNAMIC, RDNS_STATIC and RDNS_SERVER that a reverse name earns.

    The address is given in its two halves, as in a row.
    """
    return signs_of_name(name, len(name), ip_hi, ip_lo)


def helo_signs(bytes helo, bytes verified_name, ip_hi, ip_lo):
    """Return the HELO bits that a HELO name earns; ``verified_name`` is empty where no reverse name is verified."""
    return signs_of_helo(helo, len(helo), verified_name, len(verified_name), ip_hi, ip_lo)
