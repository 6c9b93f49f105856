"""The routes for people: the search box, an address's page with its delisting form, what a problem means."""

from aiohttp import web

from dnsbl.http.auth import check_same_site
from dnsbl.http.bodies import read_delist_form
from dnsbl.http.ip import address_of, delist
from dnsbl.http.pages import address_page, meaning_page, search_page
from dnsbl.http.problems import Kind, ProblemError
from profiler.address import parse
from profiler.errors import AddressError


async def get_start(request: web.Request) -> web.Response:
    """The search box."""
    return search_page(request)


async def get_search(request: web.Request) -> web.Response:
    """Where the search box leads: on to the address's page."""
    text = request.query.get("address", "").strip().strip("[]")
    if not text:
        raise web.HTTPSeeOther("/")
    try:
        key = parse(text)
    except AddressError as error:
        return search_page(request, mistake=f"{error}.", status=Kind.BAD_ADDRESS.value.status)
    raise web.HTTPSeeOther(f"/ip/{key}")


async def get_address(request: web.Request) -> web.Response:
    """Why an address is listed, or that it is not."""
    key = address_of(request)
    return await address_page(request, key)


async def post_form(request: web.Request) -> web.Response:
    """Take an address off, asked for with the page's form."""
    check_same_site(request.headers, request.host)
    key = address_of(request)
    outcome = await delist(request, key, await read_delist_form(request))
    return await address_page(request, key, outcome=outcome)


async def get_problem(request: web.Request) -> web.Response:
    """What a kind of problem means."""
    page = meaning_page(request, request.match_info["kind"])
    if page is None:
        raise ProblemError(Kind.NOT_FOUND, "there is no such kind of problem")
    return page
