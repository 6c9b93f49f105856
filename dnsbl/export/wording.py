"""How what is published is spelled: codes and texts, addresses, names. Columns in, lists of strings out.

Millions of them: what many listings share is made once, and addresses are put together from tables.
"""

import datetime
import functools
from typing import NamedTuple

import numpy as np

from dnsbl.export.published import NOTHING, Prefixes, Trie, bits_of
from dnsbl.listing.codes import Layer
from dnsbl.listing.columns import U64, Columns, Numbers
from dnsbl.zone.zone import NameServer, Zone, render

#: Stands in a text where the address goes; no text of a zone has it, as those are printable.
ADDRESS = "\0"
_SECONDS_A_MINUTE = 60
_MINUTE_BITS, _TRUST_BITS = 27, 2
_LOW = np.uint64(0xFFFF)


class Said(NamedTuple):
    """What an answer says of the rows of its column: few different things."""

    codes: list[str]
    #: With ADDRESS in place of the address.
    texts: list[str]
    #: For each row the index in ``codes`` and ``texts``.
    which: Numbers


def said(trie: Trie, columns: Columns, public_url: str) -> Said:
    """Return code and text of each row of a trie's column."""
    column, answer = trie.column, trie.answer
    minutes = column.since // _SECONDS_A_MINUTE
    keys = (column.reasons << _MINUTE_BITS | minutes) << _TRUST_BITS | column.trusts
    different, which = np.unique(keys, return_inverse=True)
    codes, texts = [], []
    reasons = columns.reasons
    for key in different.tolist():
        trust = key & (1 << _TRUST_BITS) - 1
        minute = key >> _TRUST_BITS & (1 << _MINUTE_BITS) - 1
        since = datetime.datetime.fromtimestamp(minute * _SECONDS_A_MINUTE, datetime.UTC)
        text = render(
            answer.text,
            reason=reasons[key >> _MINUTE_BITS + _TRUST_BITS],
            since=since.strftime("%Y-%m-%d %H:%M UTC"),
            url=f"{public_url}/ip/{ADDRESS}",
            address=ADDRESS,
            layer=answer.layer,
        )
        codes.append(code_text(answer.code + (trust if answer.layer is Layer.MTA else 0)))
        texts.append(text)
    return Said(codes, texts, which)


def code_text(code: int) -> str:
    """Return an A record's address."""
    return ".".join(str(octet) for octet in code.to_bytes(4, "big"))


def addresses(values: U64, is_v4: bool) -> list[str]:
    """Return addresses in text; IPv6 the first of each /64."""
    if is_v4:
        high, low = _halves()
        pairs = zip((values >> np.uint64(16)).tolist(), (values & _LOW).tolist(), strict=True)
        return [f"{high[first]}.{low[second]}" for first, second in pairs]
    # The last four words are zero: no other run is longer, so :: stands there (RFC 5952).
    return [":".join(_words(value)) + "::" for value in values.tolist()]


def prefix_texts(prefixes: Prefixes, is_v4: bool) -> list[str]:
    """Return prefixes in text; an IPv4 host without its length."""
    texts = addresses(prefixes.values, is_v4)
    bare = bits_of(is_v4) if is_v4 else NOTHING
    pairs = zip(texts, prefixes.lengths.tolist(), strict=True)
    return [text if length == bare else f"{text}/{length}" for text, length in pairs]


def reversed_addresses(values: U64) -> list[str]:
    """Return IPv4 addresses with their octets in the order of DNS."""
    high, low = _halves(True)
    pairs = zip((values >> np.uint64(16)).tolist(), (values & _LOW).tolist(), strict=True)
    return [f"{low[second]}.{high[first]}" for first, second in pairs]


def reversed_words(value: int) -> str:
    """Return the words of an IPv6 /64 from right to left, without the zeros at its end."""
    return ".".join(reversed(_words(value)))


def own_servers(zone: Zone) -> list[tuple[str, NameServer]]:
    """Return the name servers whose names lie in the zone, each with what stands before the zone's name."""
    end = f".{zone.origin}"
    return [(server.name.removesuffix(end), server) for server in zone.nameservers if server.name.endswith(end)]


def _words(value: int) -> list[str]:
    words = [f"{value >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0)]
    while words and words[-1] == "0":
        words.pop()
    return words


@functools.cache
def _halves(in_reverse: bool = False) -> tuple[list[str], list[str]]:
    order = -1 if in_reverse else 1
    texts = [".".join((str(half >> 8), str(half & 255))[::order]) for half in range(1 << 16)]
    return texts, texts
