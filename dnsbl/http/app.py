"""The aiohttp application: routes, what every answer carries, and how every failure is told."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from dnsbl.errors import StoreError
from dnsbl.http import batches, health, ip, networks, openapi, pages, people
from dnsbl.http.bodies import SMALL_BODY_BYTES
from dnsbl.http.gate import RETRY_SECONDS, Gate
from dnsbl.http.keys import GATE, RATES, SERVICE
from dnsbl.http.negotiation import HTML, JSON, best
from dnsbl.http.problems import Kind, ProblemError, busy, from_http_exception
from dnsbl.http.rate import RateLimiter
from dnsbl.service import Service
from profiler.errors import JournalError, JournalFullError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEEPALIVE_SECONDS = 75.0
#: How long what a refused client still sends is read and thrown away, so that it gets to see the refusal.
LINGERING_SECONDS = 5.0
DISK_RETRY_SECONDS = 30
READ_BUFFER_BYTES = 1 << 18

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
#: Not `no-referrer`: that would make browsers send `Origin: null` with our own form.
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "vedette",
}

log = logging.getLogger(__name__)


def build_app(service: Service) -> web.Application:
    """Return the application that serves ``service``.

    It must be run with what it says itself about connections (``handler_args``), which AppRunner does.
    """
    app = web.Application(
        middlewares=[_problems],
        client_max_size=SMALL_BODY_BYTES,
        handler_args={
            "auto_decompress": False,
            "keepalive_timeout": KEEPALIVE_SECONDS,
            "lingering_time": LINGERING_SECONDS,
            "read_bufsize": READ_BUFFER_BYTES,
            "access_log": None,
        },
    )
    app[SERVICE] = service
    app[GATE] = Gate()
    app[RATES] = RateLimiter()
    app.on_response_prepare.append(_add_headers)
    pages.set_up(app)
    app.add_routes(
        [
            web.post("/v1/feeds/{feed}/batches", batches.post_batch),
            web.get("/v1/ip/{address}", ip.get_ip),
            web.post("/v1/ip/{address}/delist", ip.post_delist),
            web.get("/v1/networks/{network:.+}/infected", networks.get_infected),
            web.get("/v1/openapi.json", openapi.get_openapi),
            web.get("/metrics", health.get_metrics),
            web.get("/healthz", health.get_healthz),
            web.get("/readyz", health.get_readyz),
            web.get("/", people.get_start),
            web.get("/ip", people.get_search),
            web.get("/ip/{address}", people.get_address),
            web.post("/ip/{address}/delist", people.post_form),
            web.get("/problems/{kind}", people.get_problem),
            web.get(pages.STYLE_PATH, pages.get_style),
        ]
    )
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProblemError as error:
        problem = error
    except web.HTTPRedirection:
        raise
    except web.HTTPException as error:
        problem = from_http_exception(error)
    except JournalFullError as error:
        problem = busy(str(error), retry_seconds=RETRY_SECONDS)
    except (JournalError, StoreError) as error:
        log.error("%s %s refused: %s", request.method, request.rel_url.raw_path, error)
        problem = busy("the disk refuses: try again later", retry_seconds=DISK_RETRY_SECONDS, kind=Kind.NO_JOURNAL)
    except Exception:
        log.exception("%s %s failed", request.method, request.rel_url.raw_path)
        problem = ProblemError(Kind.INTERNAL, "try again; if it stays, the operator finds the cause in the log")
    if best(request.headers.get("Accept"), (JSON, HTML)) == HTML:
        return pages.problem_page(request, problem)
    return problem.response()


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")
