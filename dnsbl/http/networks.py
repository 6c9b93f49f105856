"""``GET /v1/networks/{prefix|AS64500}/infected``: what an ISP pulls to find its infected customers."""

import asyncio
import re
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from dnsbl.export.infected_csv import to_csv
from dnsbl.http.auth import holds, intersection, require, scope_of
from dnsbl.http.keys import SERVICE
from dnsbl.http.negotiation import CSV, JSON, best
from dnsbl.http.problems import Kind, ProblemError
from dnsbl.registry import Principal
from profiler.address import IPNetwork, parse_network
from profiler.errors import AddressError

FORMATS = {"json": JSON, "csv": CSV}
_ASN = re.compile(r"AS([0-9]{1,10})", re.IGNORECASE)


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
