"""Who asks, and what that lets them do: bearer tokens (RFC 6750), networks in scope, forms from our own pages."""

import asyncio
import ipaddress
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from aiohttp import web

from dnsbl.http.keys import SERVICE
from dnsbl.http.problems import Kind, ProblemError
from dnsbl.registry import Principal
from profiler.address import IPNetwork, Key, key_of, parse_network

_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_CHALLENGE = 'Bearer realm="vedette"'
#: Headers by which a proxy shows itself: the connecting address is then not the person's.
_PROXY_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def bearer_token(header: str | None) -> str | None:
    """Return the token of an Authorization header, None if there is no header.

    Raises:
        ProblemError: the header is not of the form ``Bearer TOKEN``.
    """
    if header is None:
        return None
    match = _BEARER.fullmatch(header.strip())
    if not match:
        raise _unauthorized("the Authorization header must read `Bearer TOKEN`", "invalid_request")
    return match[1]


async def principal_of(request: web.Request, token: str | None = None) -> Principal | None:
    """Return whose token came with the request, None if none came; ``token`` stands for a header (from a form).

    Raises:
        ProblemError: a token came that nobody has.
    """
    token = token or bearer_token(request.headers.get("Authorization"))
    if token is None:
        return None
    principal = await asyncio.to_thread(request.app[SERVICE].authenticate, token)
    if principal is None:
        raise _unauthorized("this token is not known (any more): ask the operator for a new one", "invalid_token")
    return principal


async def require(request: web.Request, *kinds: str) -> Principal:
    """Return whose token came with the request; it must be of one of ``kinds``.

    Raises:
        ProblemError: no token, an unknown one, or one of another kind.
    """
    principal = await principal_of(request)
    if principal is None:
        raise _unauthorized(f"send `Authorization: Bearer TOKEN` with the token of the {' or '.join(kinds)}")
    if principal.kind not in kinds:
        raise ProblemError(
            Kind.NOT_ALLOWED, f"this is the token of a {principal.kind}: that of the {' or '.join(kinds)} is needed"
        )
    return principal


def anonymous_refused(detail: str) -> ProblemError:
    """Return the problem of a request that came without a token and needs one."""
    return _unauthorized(detail)


def scope_of(principal: Principal) -> list[IPNetwork]:
    """Return the networks that the principal is bound to."""
    return [parse_network(text) for text in principal.networks]


def holds(networks: Sequence[IPNetwork], inner: IPNetwork) -> bool:
    """Whether ``inner`` lies wholly inside one of ``networks``."""
    return any(_is_inside(inner, outer) for outer in networks)


def intersection(wanted: Sequence[IPNetwork], scope: Sequence[IPNetwork]) -> list[IPNetwork]:
    """Return the prefixes that cover what is both in ``wanted`` and in ``scope``, each once."""
    found = {one for one in wanted if holds(scope, one)} | {one for one in scope if holds(wanted, one)}
    return [one for one in found if not holds([other for other in found if other != one], one)]


def remote_key(remote: str | None) -> Key | None:
    """Return the address that a connection comes from, None if it has none."""
    if remote is None:
        return None
    try:
        return key_of(ipaddress.ip_address(remote.partition("%")[0]))
    except ValueError:
        return None


def is_own_address(remote: str | None, headers: Mapping[str, str], key: Key) -> bool:
    """Whether the request comes straight from ``key``: it is the ``remote`` address and no proxy shows itself."""
    return remote_key(remote) == key and not any(name in headers for name in _PROXY_HEADERS)


def check_same_site(headers: Mapping[str, str], host: str) -> None:
    """Check that a browser sent the request from one of our own pages.

    Sec-Fetch-Site decides where it is sent (Fetch Metadata); else Origin must name the host that was asked.

    Raises:
        ProblemError: it came from another site, or neither header says where from.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site == "same-origin"
    else:
        allowed = urlsplit(headers.get("Origin", "")).netloc == host and bool(host)
    if not allowed:
        raise ProblemError(Kind.CROSS_SITE, "open the address's page here and send its form from there")


def _is_inside(inner: IPNetwork, outer: IPNetwork) -> bool:
    if inner.version != outer.version:
        return False
    first, last = int(inner.network_address), int(inner.broadcast_address)
    return int(outer.network_address) <= first and last <= int(outer.broadcast_address)


def _unauthorized(detail: str, error: str = "") -> ProblemError:
    challenge = f'{_CHALLENGE}, error="{error}"' if error else _CHALLENGE
    return ProblemError(Kind.NO_TOKEN, detail, headers={"WWW-Authenticate": challenge})
