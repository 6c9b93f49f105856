"""Reads master files (RFC 1035 §5) for comparison: lines in, names with their records as text out. Pure.

Made for millions of A and TXT records, a line each, as name servers and ``vedette export bind`` write them; the
data of other types are read by dnspython.
"""

import functools
import re
from collections.abc import Iterable, Iterator

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from dnsbl.errors import ExportError

Records = dict[str, tuple[str, ...]]
#: Tails of lines that many names share are read once.
SHARED_TAILS = 1 << 16

_TTL = re.compile(r"(?:\d+[smhdw]?)+", re.IGNORECASE)
_CLASSES = frozenset({"IN", "CH", "HS"})
_SOA_SERIAL = 2
#: Quoted strings without escapes, and nothing behind them: equal texts are equal data.
_PLAIN_STRINGS = re.compile(r'"[^"\\]*"(?: "[^"\\]*")*')
_ADDRESS = re.compile(r"[\d.]+")


def read(lines: Iterable[str], *, with_ttl: bool = False) -> Records:
    """Return the records of each absolute name; a SOA without its serial, TTLs only where asked for.

    Raises:
        ExportError: it is no master file; says at which line.
    """
    found: Records = {}
    read_record = functools.lru_cache(SHARED_TAILS)(_record)
    origin, default_ttl, owner = ".", "", ""
    for number, line in _whole(lines):
        fields = line.split(None, 1)
        if not fields or fields[0].startswith(";"):
            continue
        try:
            if fields[0].startswith("$"):
                value = fields[1].split()[0]
                if fields[0] == "$ORIGIN":
                    origin = _absolute(value.lower(), origin)
                elif fields[0] == "$TTL":
                    default_ttl = value
                else:
                    raise ValueError(f"{fields[0]} is not read here: expand it first")
                continue
            if not line[0].isspace():
                owner, line = _absolute(fields[0].lower(), origin), fields[1]
            ttl, record = read_record(line, origin)
        except (dns.exception.DNSException, ValueError, IndexError) as error:
            why = str(error) if isinstance(error, ValueError | dns.exception.DNSException) else ""
            raise ExportError(
                f"line {number}: {why or 'name, TTL, type and data of a record are needed'}"
            ) from None
        text = f"{ttl or default_ttl} {record}" if with_ttl else record
        found[owner] = (*found[owner], text) if owner in found else (text,)
    return found


def _whole(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield lines with the number of their first, those in parentheses as one."""
    waiting, first = "", 0
    for number, line in enumerate(lines, 1):
        if not waiting and "(" not in line:
            yield number, line
            continue
        first = first if waiting else number
        waiting += _bare(line) + " "
        if waiting.count("(") <= waiting.count(")") or '"' in waiting:
            yield first, waiting.replace("(", " ").replace(")", " ") if '"' not in waiting else waiting
            waiting = ""
    if waiting:
        yield first, waiting


def _bare(line: str) -> str:
    return line.rstrip("\n") if '"' in line else line.partition(";")[0].rstrip("\n")


def _absolute(name: str, origin: str) -> str:
    if name == "@":
        return origin
    if name.endswith("."):
        return name
    return f"{name}.{origin}" if origin != "." else f"{name}."


def _record(line: str, origin: str) -> tuple[str, str]:
    """Return TTL, empty if there is none, and the rest of a record without its class."""
    ttl = ""
    kind, rest = line.split(None, 1)
    while kind.upper() in _CLASSES or _TTL.fullmatch(kind):
        ttl = ttl if kind.upper() in _CLASSES else kind
        kind, rest = rest.split(None, 1)
    kind, data = kind.upper(), rest.strip()
    if (kind == "A" and _ADDRESS.fullmatch(data)) or (kind == "TXT" and _PLAIN_STRINGS.fullmatch(data)):
        return ttl, f"{kind} {data}"
    rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, data, dns.name.from_text(origin), relativize=False)
    words = rdata.to_text()
    if kind == "SOA":
        parts = words.split()
        words = " ".join(parts[:_SOA_SERIAL] + parts[_SOA_SERIAL + 1 :])
    return ttl, f"{kind} {words}"
