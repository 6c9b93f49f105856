"""A zone as one file for rbldnsd, of its type ``combined``, which then answers as Vedette does.

A dataset for each answer and family: ``ip4trie`` and ``ip6trie``, in which the longest prefix counts and ``!``
takes one out. What rbldnsd cannot say stands in docs/export.md.
"""

import re
from collections.abc import Iterator

from dnsbl.errors import ExportError
from dnsbl.export.published import NOTHING, Trie, tries
from dnsbl.export.wording import ADDRESS, Said, code_text, own_servers, prefix_texts, said
from dnsbl.listing.columns import Columns
from dnsbl.wire.answer import TEST_TEXT
from dnsbl.zone.zone import Zone

_DATASETS = {True: "ip4trie", False: "ip6trie"}
#: After the $ that stands for the address, these would give it another meaning.
_AMBIGUOUS = re.compile(f"{ADDRESS}[$=0-9]")


def lines(zone: Zone, columns: Columns, *, public_url: str) -> Iterator[str]:
    """Yield the lines of the file, each with its end.

    Raises:
        ExportError: a text puts an address where rbldnsd cannot.
    """
    yield from _head(zone, columns.now)
    # rbldnsd looks ::ffff:127.0.0.2 up as 127.0.0.2, so that this is the test point of both families.
    yield f"$DATASET ip4trie:test @\n$TTL {zone.ttl}\n127.0.0.2:{code_text(zone.test_code)}:{TEST_TEXT}\n"
    for is_v4, dataset in _DATASETS.items():
        for trie in tries(zone, columns, is_v4):
            if len(trie.rows):
                yield f"$DATASET {dataset} @\n$TTL {trie.answer.ttl}\n"
                yield from _entries(trie, said(trie, columns, public_url), is_v4)


def _head(zone: Zone, serial: int) -> Iterator[str]:
    soa = zone.soa
    negative = min(zone.ttl, zone.negative_ttl)
    yield f"# For rbldnsd: {zone.origin}:combined:FILE\n"
    times = f"{serial} {soa.refresh} {soa.retry} {soa.expire} {negative}"
    yield f"$SOA {zone.ttl} {soa.mname} {soa.rname} {times}\n"
    yield f"$NS {zone.ttl} {' '.join(server.name for server in zone.nameservers)}\n"
    glue = [
        f"{name} A {address}\n"
        for name, server in own_servers(zone)
        for address in server.addresses
        if ":" not in address
    ]
    if glue:
        yield f"$DATASET generic @\n$TTL {zone.ttl}\n"
        yield from glue


def _entries(trie: Trie, words: Said, is_v4: bool) -> Iterator[str]:
    values = [f":{code}:{_escaped(text)}\n" for code, text in zip(words.codes, words.texts, strict=True)]
    which = words.which.tolist()
    for prefix, row in zip(prefix_texts(trie.prefixes, is_v4), trie.rows.tolist(), strict=True):
        yield f"{prefix}{values[which[row]]}" if row != NOTHING else f"!{prefix}\n"


def _escaped(text: str) -> str:
    if _AMBIGUOUS.search(text):
        shown = text.replace(ADDRESS, "ADDRESS")
        raise ExportError(
            f"text {shown!r}: rbldnsd would misread a digit, $ or = right after the address: put a space between"
        )
    # An = at the beginning would be taken away.
    mark = "=" if text.startswith("=") else ""
    return mark + text.replace("$", "$$").replace(ADDRESS, "$")
