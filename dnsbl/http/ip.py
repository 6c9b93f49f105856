"""One address: ``GET /v1/ip/{address}`` and ``POST /v1/ip/{address}/delist``, and the rules of delisting.

Anybody may look an address up. It is taken off by an operator, by the ISP whose network it is in, or by whoever
asks from that very address.
"""

import asyncio
import math

import msgspec
from aiohttp import web

from dnsbl.http.auth import (
    anonymous_refused,
    check_same_site,
    holds,
    is_own_address,
    principal_of,
    remote_key,
    scope_of,
)
from dnsbl.http.bodies import DelistRequest, read_delist_json
from dnsbl.http.keys import RATES, SERVICE
from dnsbl.http.negotiation import HTML, JSON, best
from dnsbl.http.pages import address_page
from dnsbl.http.problems import Kind, ProblemError, busy
from dnsbl.http.rate import Rate
from dnsbl.registry import Principal
from profiler.address import Key, parse, parse_network
from profiler.errors import AddressError

#: Delistings by whose token was shown; without a good token they count against the connecting address (its /64).
DELIST_RATES = {"operator": Rate(10_000, 3600.0), "isp": Rate(2_000, 3600.0)}
ANONYMOUS_DELIST_RATE = Rate(5, 3600.0)
#: What an address (or /64) may do for itself: rarely enough that a bot gains nothing by it.
OWN_DELIST_RATE = Rate(2, 86_400.0)


def address_of(request: web.Request) -> Key:
    """Return the address that the path names. ProblemError if it is none."""
    try:
        return parse(request.match_info["address"])
    except AddressError as error:
        raise ProblemError(Kind.BAD_ADDRESS, f"{error}: write it like 192.0.2.1 or 2001:db8::1") from None


async def get_ip(request: web.Request) -> web.Response:
    """What is known of an address, as JSON, or as a page for who prefers that."""
    key = address_of(request)
    if best(request.headers.get("Accept"), (JSON, HTML)) == HTML:
        response = await address_page(request, key)
    else:
        report = await asyncio.to_thread(request.app[SERVICE].lookup, key)
        response = web.Response(body=msgspec.json.encode(report), content_type=JSON)
    response.headers["Vary"] = "Accept"
    return response


async def post_delist(request: web.Request) -> web.Response:
    """Take an address off, asked for by a program."""
    key = address_of(request)
    if "Sec-Fetch-Site" in request.headers or "Origin" in request.headers:
        check_same_site(request.headers, request.host)
    outcome = await delist(request, key, await read_delist_json(request))
    return web.Response(body=msgspec.json.encode(outcome), content_type=JSON)


async def delist(request: web.Request, key: Key, asked: DelistRequest) -> dict[str, object]:
    """Take ``key`` off if who asks may do so, and return what was taken off.

    Raises:
        ProblemError: who asks may not, or asks too often.
    """
    try:
        principal = await principal_of(request, asked.token)
    except ProblemError:
        _count(request, None)
        raise
    _count(request, principal)
    by = _authorised(request, principal, key)
    return await asyncio.to_thread(request.app[SERVICE].delist, key, by=by, reason=asked.reason)


def _authorised(request: web.Request, principal: Principal | None, key: Key) -> str:
    """Return who takes the address off, in words for the history. ProblemError if they may not."""
    if principal is None:
        if is_own_address(request.remote, request.headers, key):
            _take(request, f"own {key.unit()}", OWN_DELIST_RATE)
            return f"address {key}"
        raise anonymous_refused("ask from the address itself, or with the token of its ISP or of the operator")
    if principal.kind == "operator":
        return "operator"
    if principal.kind != "isp":
        raise ProblemError(Kind.NOT_ALLOWED, f"the token of a {principal.kind} takes no address off")
    if not holds(scope_of(principal), parse_network(str(key))):
        raise ProblemError(Kind.NOT_ALLOWED, f"{key} is in none of the networks of {principal.name}")
    return f"isp {principal.name}"


def _count(request: web.Request, principal: Principal | None) -> None:
    if principal is not None and principal.kind in DELIST_RATES:
        _take(request, f"{principal.kind} {principal.name}", DELIST_RATES[principal.kind])
        return
    remote = remote_key(request.remote)
    _take(request, f"remote {remote.unit() if remote else ''}", ANONYMOUS_DELIST_RATE)


def _take(request: web.Request, name: str, rate: Rate) -> None:
    wait = request.app[RATES].take(name, rate, asyncio.get_running_loop().time())
    if wait:
        raise busy("too many delistings were asked for", retry_seconds=math.ceil(wait), kind=Kind.TOO_OFTEN)
