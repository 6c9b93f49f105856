"""The row that every traffic record becomes, and the words for what it says.

Rules:

1. A row has fixed width and no content: names and mail addresses only as keyed hashes.
2. A row is about the connecting address as the receiving server saw it, never about a claim in a message.
3. A row may lack its address and have a ``queue`` instead: a later step of a mail transaction, which the
   fold joins to the client that opened the transaction. So parsing needs no memory, and the journal, which
   holds rows, suffices to rebuild every join.
"""

from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt

#: One observation, 96 bytes, little-endian, no padding. ``time`` is in microseconds since 1970 UTC; an
#: address is an IPv6 address in two halves, IPv4 as ::ffff:a.b.c.d; ``duration`` is in milliseconds;
#: 0 in a hash means "not seen".
OBSERVATION = np.dtype(
    [
        ("time", "<i8"),
        ("ip_hi", "<u8"),
        ("ip_lo", "<u8"),
        ("queue", "<u8"),  # keyed hash of host and queue id: the mail transaction
        ("helo", "<u8"),  # keyed hash of the HELO name, lower case
        ("sender", "<u8"),  # keyed hash of the sender's domain, lower case
        ("target", "<u8"),  # keyed hash of the recipient, or of the destination address
        ("bytes", "<u8"),
        ("line", "<u4"),  # number of the record in its batch, from 1
        ("count", "<u4"),  # how many such events the row stands for, at least 1
        ("packets", "<u4"),
        ("duration", "<u4"),
        ("signs", "<u4"),
        ("recipients", "<u2"),
        ("dport", "<u2"),
        ("sport", "<u2"),
        ("event", "u1"),
        ("reason", "u1"),
        ("proto", "u1"),  # IANA protocol number
        ("spare", "u1", 3),
    ]
)

Rows = npt.NDArray[np.void]


class Event(IntEnum):
    """What was seen. The names in lower case are those of the NDJSON observation."""

    CONNECT = 1
    MESSAGE = 2  # a transaction with at least one accepted recipient
    REJECT = 3
    DEFER = 4
    BOUNCE = 5
    AUTH_FAIL = 6
    AUTH_OK = 7
    PREGREET = 8
    LOST = 9
    SPAM = 10
    HAM = 11
    TRAP = 12
    COMPLAINT = 13
    FLOW = 14
    SIP = 15
    XMPP = 16
    DECLARED = 17
    # Internal: never in NDJSON, never counted as something the address did.
    ENVELOPE = 32  # sender, size and recipients of a transaction (queue manager)
    CLOSED = 33  # the transaction has left the queue
    PARDON = 34  # a delisting: what was bad up to this time no longer counts
    NAMED = 35  # what our own resolver says of the reverse name


class Reason(IntEnum):
    """Why it was rejected, deferred, bounced or dropped; for other protocols, which request it was."""

    NONE = 0
    UNKNOWN_RECIPIENT = 1
    RELAY_DENIED = 2
    HELO = 3
    RDNS = 4
    DNSBL = 5
    GREYLIST = 6
    POLICY = 7
    CONTENT = 8
    RATE = 9
    PROTOCOL = 10
    SENDER = 11
    TEMPORARY = 12  # the receiver's own trouble: says nothing about the client
    INVITE = 20
    REGISTER = 21
    OPTIONS = 22
    OPTIONS_SCAN = 23
    MESSAGE = 24
    PRESENCE = 25
    SUBSCRIBE = 26
    OTHER = 31


class Sign(IntFlag):
    """Facts about the client that the record itself states, as bits of ``signs``."""

    RDNS_NONE = 1 << 0  # no name at all
    RDNS_UNVERIFIED = 1 << 1  # a name, or "unknown": not confirmed forward
    RDNS_VERIFIED = 1 << 2  # FCrDNS held, as the receiving server saw it
    RDNS_GENERIC = 1 << 3  # the name spells the address or says pool, dsl, dyn…
    RDNS_DYNAMIC = 1 << 4  # the name says dynamic in words
    RDNS_STATIC = 1 << 5  # the name says static in words
    RDNS_SERVER = 1 << 6  # the name says mail, mx, smtp, out…
    HELO_LITERAL = 1 << 8  # an address, bare or in brackets
    HELO_NODOT = 1 << 9  # a single label
    HELO_GENERIC = 1 << 10  # like RDNS_GENERIC, for the HELO name
    HELO_MATCH = 1 << 11  # same registrable domain as the verified reverse name
    HELO_NAMED = 1 << 12  # a full name
    TLS = 1 << 13
    AUTHENTICATED = 1 << 14  # a submission by a known user
    QUIT = 1 << 15  # ended the session politely
    EARLY = 1 << 16  # spoke before its turn
    SPF_PASS = 1 << 17
    SPF_FAIL = 1 << 18
    DKIM_PASS = 1 << 19
    DKIM_FAIL = 1 << 20
    DMARC_PASS = 1 << 21
    DMARC_FAIL = 1 << 22
    OPENS = 1 << 24  # this row binds ``queue`` to its address


#: Events that a sensor may post; the others are made inside.
POSTABLE = {event.name.lower(): event for event in Event if event < Event.ENVELOPE}
REASONS = {reason.name.lower(): reason for reason in Reason if reason is not Reason.NONE}

EVENT_NAMES = {int(event): event.name.lower() for event in Event}
REASON_NAMES = {int(reason): "" if reason is Reason.NONE else reason.name.lower() for reason in Reason}


def empty(length: int = 0) -> Rows:
    """Return ``length`` zeroed rows of dtype :data:`OBSERVATION`."""
    return np.zeros(length, OBSERVATION)
