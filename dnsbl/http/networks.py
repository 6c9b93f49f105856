"""``GET /v1/networks/{prefix|AS64500}/infected``: what an ISP pulls to find its infected customers."""

import asyncio
import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from dnsbl.http.auth import holds, intersection, require, scope_of
from dnsbl.http.keys import SERVICE
from dnsbl.http.negotiation import CSV, JSON, best
from dnsbl.http.problems import Kind, ProblemError
from dnsbl.registry import Principal
from profiler.address import IPNetwork, parse_network
from profiler.errors import AddressError

COLUMNS = (
    "ip", "class", "confidence", "first_seen", "last_seen", "listed_since", "expires", "reason", "evidence",
    "asn", "network", "isp",
)  # fmt: skip
FORMATS = {"json": JSON, "csv": CSV}
_ASN = re.compile(r"AS([0-9]{1,10})", re.IGNORECASE)
#: First characters that a spreadsheet would take for a formula; names in evidence are chosen by strangers.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


async def get_infected(request: web.Request) -> web.Response:
    """The infected addresses of a prefix or of an autonomous system's declared prefixes."""
    principal = await require(request, "isp", "operator")
    asked = request.match_info["network"]
    media = _media(request)
    networks = await _networks(request, principal, asked)
    infected = await asyncio.to_thread(request.app[SERVICE].infected, networks)
    body: bytes | str
    if media == CSV:
        body = to_csv(infected)
    else:
        body = msgspec.json.encode({"network": asked, "generated": _now(), "infected": infected})
    return web.Response(
        body=body, content_type=media, charset="utf-8" if media == CSV else None, headers={"Vary": "Accept"}
    )


def to_csv(infected: Iterable[Mapping[str, object]]) -> str:
    """Return the infected addresses as CSV (RFC 4180) with a header line; evidence is joined with semicolons."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in infected:
        writer.writerow([_cell(row.get(column)) for column in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, list):
        value = "; ".join(str(one["says"]) if isinstance(one, dict) else str(one) for one in value)
    text = str(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text


def _media(request: web.Request) -> str:
    name = request.query.get("format")
    if name is None:
        return best(request.headers.get("Accept"), (JSON, CSV))
    if name not in FORMATS:
        raise ProblemError(Kind.BAD_REQUEST, f"format {name!r}: one of {', '.join(FORMATS)}")
    return FORMATS[name]


async def _networks(request: web.Request, principal: Principal, asked: str) -> list[IPNetwork]:
    """Return the prefixes to search. ProblemError if none of them is the principal's to see."""
    number = _ASN.fullmatch(asked)
    if number is None:
        network = _parse(asked)
        if principal.kind == "isp" and not holds(scope_of(principal), network):
            raise ProblemError(Kind.NOT_ALLOWED, f"{network} is not inside the networks of {principal.name}")
        return [network]
    announced = await asyncio.to_thread(request.app[SERVICE].networks_of_asn, int(number[1]))
    if principal.kind != "isp":
        return announced
    own = intersection(announced, scope_of(principal))
    if not own:
        raise ProblemError(Kind.NOT_ALLOWED, f"no declared network of {asked} is one of {principal.name}'s")
    return own


def _parse(text: str) -> IPNetwork:
    try:
        return parse_network(text)
    except AddressError as error:
        raise ProblemError(
            Kind.BAD_ADDRESS, f"{error}: write it like 192.0.2.0/24, 2001:db8::/32 or AS64500"
        ) from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
