"""The pages for people: templates, the style sheet, and how they are rendered. No script, no outside asset."""

import asyncio
import hashlib
from importlib.resources import files

import aiohttp_jinja2
import jinja2
from aiohttp import web

from dnsbl.http.auth import is_own_address
from dnsbl.http.bodies import REASON_CHARACTERS
from dnsbl.http.keys import SERVICE
from dnsbl.http.pages.view import AddressView, view
from dnsbl.http.problems import KINDS_BY_SLUG, Meaning, ProblemError
from dnsbl.listing.codes import Layer
from dnsbl.service import Service, question_of
from profiler.address import Key

_ROOM = files(__name__)
_STYLE = (_ROOM / "style.css").read_bytes()
#: Changes with the style sheet, so that a browser may keep it for long.
STYLE_PATH = f"/style-{hashlib.blake2b(_STYLE, digest_size=6).hexdigest()}.css"
STYLE_CACHE_SECONDS = 31_536_000


def set_up(app: web.Application) -> None:
    """Give the application its templates. A name that a template lacks is an error, not an empty place."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["style_path"] = STYLE_PATH


def search_page(request: web.Request, *, mistake: str = "", status: int = 200) -> web.Response:
    """Return the start page; ``mistake`` says what was wrong with what was asked."""
    return _render(request, "search.html", status, mistake=mistake, remote=request.remote or "")


async def address_page(request: web.Request, key: Key, *, outcome: dict[str, object] | None = None) -> web.Response:
    """Return the page of an address; ``outcome`` is that of a delisting just done."""
    return _render(
        request,
        "address.html",
        200,
        view=await asyncio.to_thread(_look, request.app[SERVICE], key),
        own=is_own_address(request.remote, request.headers, key),
        outcome=outcome,
        reason_characters=REASON_CHARACTERS,
    )


def problem_page(request: web.Request, problem: ProblemError) -> web.Response:
    """Return a problem as a page."""
    response = _render(request, "problem.html", problem.status, meaning=problem.kind.value, detail=problem.detail)
    response.headers.update(problem.headers)
    return response


def meaning_page(request: web.Request, slug: str) -> web.Response | None:
    """Return the page that a problem's type URI leads to, None if there is no such kind."""
    kind = KINDS_BY_SLUG.get(slug)
    if kind is None:
        return None
    meaning: Meaning = kind.value
    return _render(request, "problem.html", 200, meaning=meaning, detail=meaning.about)


async def get_style(_request: web.Request) -> web.Response:
    """Return the style sheet."""
    return web.Response(
        body=_STYLE,
        content_type="text/css",
        charset="utf-8",
        headers={"Cache-Control": f"public, max-age={STYLE_CACHE_SECONDS}, immutable"},
    )


def _look(service: Service, key: Key) -> AddressView:
    questions = [question_of(key, zone.origin) for zone in service.live.zones]
    by_hand = any(listing.layer is Layer.OPERATOR for listing in service.listings.of(key.unit()))
    return view(key, service.lookup(key), questions, by_hand=by_hand)


def _render(request: web.Request, name: str, status: int, **context: object) -> web.Response:
    return aiohttp_jinja2.render_template(name, request, context, status=status)


def _source(name: str) -> str:
    return (_ROOM / name).read_text("utf-8")
