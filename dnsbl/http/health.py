"""For who watches the service: ``/healthz``, ``/readyz``, ``/metrics``."""

import asyncio

import msgspec
from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from dnsbl.http.keys import SERVICE
from dnsbl.http.negotiation import JSON
from dnsbl.http.problems import Kind, ProblemError


async def get_healthz(_request: web.Request) -> web.Response:
    """200 as long as the event loop runs."""
    return web.Response(body=b'{"status":"ok"}', content_type=JSON)


async def get_readyz(request: web.Request) -> web.Response:
    """200 if every check holds, else 503 with the checks."""
    checks = [{"name": name, "ok": ok, "what": what} for name, ok, what in request.app[SERVICE].checks()]
    failing = [f"{check['name']}: {check['what']}" for check in checks if not check["ok"]]
    if failing:
        raise ProblemError(Kind.NOT_READY, "; ".join(failing), extra={"checks": checks})
    return web.Response(body=msgspec.json.encode({"ready": True, "checks": checks}), content_type=JSON)


async def get_metrics(request: web.Request) -> web.Response:
    """The metrics in Prometheus' text form."""
    body = await asyncio.to_thread(request.app[SERVICE].render_metrics)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})
