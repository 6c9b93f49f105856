"""The API's description (OpenAPI 3.1) at ``/v1/openapi.json``: every route, answer and problem. Plain data."""

from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

import dnsbl
from dnsbl.export.infected_csv import COLUMNS
from dnsbl.http.batches import IDEMPOTENCY_KEY_BYTES
from dnsbl.http.bodies import FORM, REASON_CHARACTERS
from dnsbl.http.encoding import TAKEN
from dnsbl.http.negotiation import CSV, HTML, JSON
from dnsbl.http.networks import FORMATS
from dnsbl.http.problems import MEDIA_TYPE, Kind
from dnsbl.listing.codes import MTA_TRUST_LEVELS

Node = dict[str, Any]

_TEXT: Node = {"type": "string"}
_NUMBER: Node = {"type": "number"}
_COUNT: Node = {"type": "integer", "minimum": 0}
_MAYBE_TEXT: Node = {"type": ["string", "null"]}
_CLASS: Node = {"type": "string", "enum": ["bot", "dynamic", "mta"]}
_SHARE: Node = {"type": "number", "minimum": 0, "maximum": 1}
_TIME: Node = {"type": ["string", "null"], "format": "date-time", "description": "RFC 3339, UTC"}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Node, *, optional: Iterable[str] = (), about: str = "") -> Node:
    required = [name for name in properties if name not in set(optional)]
    schema: Node = {"type": "object", "properties": properties, "required": required}
    return schema | ({"description": about} if about else {})


def _list(items: Node) -> Node:
    return {"type": "array", "items": items}


def _answer(about: str, content: Node) -> Node:
    return {"description": about, "content": {media: {"schema": schema} for media, schema in content.items()}}


def _in_path(name: str, about: str) -> Node:
    return {"name": name, "in": "path", "required": True, "description": about, "schema": _TEXT}


def _in_query(name: str, about: str, schema: Node = _TEXT) -> Node:
    return {"name": name, "in": "query", "description": about, "schema": schema}


def _in_header(name: str, about: str, schema: Node = _TEXT) -> Node:
    return {"name": name, "in": "header", "description": about, "schema": schema}


def _problems(*kinds: Kind) -> Node:
    """Return the answers of ``kinds`` and of INTERNAL, those of one status together."""
    answers: Node = {}
    for kind in (*kinds, Kind.INTERNAL):
        status = str(int(kind.value.status))
        about = f"`{kind.value.slug}`: {kind.value.about}"
        if status in answers:
            answers[status]["description"] += f"\n\n{about}"
        else:
            answers[status] = _answer(about, {MEDIA_TYPE: _ref("Problem")})
            if kind in (Kind.BUSY, Kind.TOO_OFTEN, Kind.NO_JOURNAL):
                answers[status]["headers"] = {"Retry-After": {"description": "seconds", "schema": _COUNT}}
    return dict(sorted(answers.items()))


def _operation(
    name: str,
    summary: str,
    responses: Node,
    *,
    tag: str,
    security: Iterable[str] = (),
    **more: Any,
) -> Node:
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        "security": [{"bearer": []} if one == "bearer" else {} for one in security],
        "responses": responses,
        **more,
    }


def _page(name: str, summary: str, *kinds: Kind, **more: Any) -> Node:
    responses = {"200": _answer("The page.", {HTML: _TEXT}), **_problems(*kinds)}
    return _operation(name, summary, responses, tag="pages", **more)


_ADDRESS = _in_path("address", "An IPv4 or IPv6 address; IPv6 is judged by its /64.")
_DELIST_PROBLEMS = (
    Kind.BAD_ADDRESS, Kind.BAD_REQUEST, Kind.BAD_BODY, Kind.NO_TOKEN, Kind.NOT_ALLOWED, Kind.CROSS_SITE,
    Kind.TOO_SLOW, Kind.TOO_LARGE, Kind.BAD_MEDIA, Kind.TOO_OFTEN,
)  # fmt: skip
_REASON: Node = {"type": "string", "minLength": 1, "maxLength": REASON_CHARACTERS}

SCHEMAS: Node = {
    "Problem": _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "what to do"},
            "checks": _list(_ref("Check")),
        },
        optional=["checks"],
        about="RFC 9457",
    ),
    "Ack": _object(
        {
            "batch": {"type": "integer", "description": "its number in the journal"},
            "records": _COUNT,
            "observations": _COUNT,
            "rejected": _list(_object({"line": {"type": "integer", "minimum": 1}, "error": _TEXT})),
            "rejected_count": {**_COUNT, "description": "all rejected; `rejected` names the first of them"},
            "duplicate": {"type": "boolean", "description": "acknowledged before; not counted again"},
        }
    ),
    "Evidence": _object(
        {
            "name": _TEXT,
            "class": _CLASS,
            "weight": {**_NUMBER, "description": "log-likelihood ratio, natural logarithm"},
            "says": _TEXT,
        }
    ),
    "Listing": _object(
        {
            "zone": _TEXT,
            "code": _TEXT,
            "since": _TIME,
            "expires": _TIME,
            "reason": _TEXT,
            "question": {"type": "string", "description": "the DNS name that the zone answers"},
        }
    ),
    "Report": _object(
        {
            "ip": _TEXT,
            "classes": _list(_CLASS),
            "confidence": _SHARE,
            "trust": {"type": ["string", "null"], "enum": [*MTA_TRUST_LEVELS, None]},
            "since": _TIME,
            "listings": _list(_ref("Listing")),
            "held": {"type": "boolean", "description": "whether the brake holds a listing back"},
            "evidence": _list(_ref("Evidence")),
            "score": _object({"bot": _NUMBER, "listed_from": _NUMBER}),
            "clears_after_seconds": {**_COUNT, "description": "silence after which a bot's verdict falls"},
            "profile": {"type": "object", "description": "what was counted, decayed to now"},
            "network": {"type": "object", "description": "the declared network that holds the address"},
            "history": _list(_object({"layer": _TEXT, "since": _TIME, "ended": _TIME, "why": _MAYBE_TEXT})),
        }
    ),
    "Infected": _object(
        {
            "ip": _TEXT,
            "class": _CLASS,
            "confidence": _SHARE,
            "first_seen": _TIME,
            "last_seen": _TIME,
            "listed_since": _TIME,
            "expires": _TIME,
            "reason": _TEXT,
            "evidence": _list(_ref("Evidence")),
            "asn": {"type": ["integer", "null"]},
            "network": _MAYBE_TEXT,
            "isp": _MAYBE_TEXT,
        }
    ),
    "InfectedList": _object({"network": _TEXT, "generated": _TIME, "infected": _list(_ref("Infected"))}),
    "Delisted": _object({"ip": _TEXT, "delisted": _list(_TEXT), "by": _TEXT}),
    "Check": _object({"name": _TEXT, "ok": {"type": "boolean"}, "what": _TEXT}),
}

_BATCH = _operation(
    "postBatch",
    "Deliver traffic records",
    {
        "202": _answer("Durable; sent again, it is acknowledged again and not counted.", {JSON: _ref("Ack")}),
        **_problems(
            Kind.BAD_REQUEST, Kind.BAD_BODY, Kind.BAD_FORMAT, Kind.NO_TOKEN, Kind.NOT_ALLOWED, Kind.NOT_FOUND,
            Kind.TOO_SLOW, Kind.TOO_LARGE, Kind.BAD_MEDIA, Kind.BUSY, Kind.NO_JOURNAL,
        ),
    },
    tag="feeds",
    security=["bearer"],
    parameters=[
        _in_path("feed", "The feed that the token belongs to."),
        _in_header(
            "Idempotency-Key",
            "Names the batch, so that it may be sent again; without it, equal content is the same batch.",
            {"type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES},
        ),
        _in_header("Content-Encoding", f"One of: {TAKEN}.", {"type": "string", "enum": TAKEN.split(", ")}),
    ],
    requestBody={
        "required": True,
        "description": "Records in the feed's format, line by line or export by export.",
        "content": {"application/octet-stream": {}, "text/plain": {}, "application/x-ndjson": {}},
    },
)  # fmt: skip

PATHS: Node = {
    "/v1/feeds/{feed}/batches": {"post": _BATCH},
    "/v1/ip/{address}": {
        "get": _operation(
            "getAddress",
            "Look an address up",
            {
                "200": _answer("What is known of it.", {JSON: _ref("Report"), HTML: _TEXT}),
                **_problems(Kind.BAD_ADDRESS),
            },
            tag="addresses",
            parameters=[_ADDRESS],
        )
    },
    "/v1/ip/{address}/delist": {
        "post": _operation(
            "delistAddress",
            "Take an address off: by the operator, its ISP, or from the address itself without a token",
            {"200": _answer("What was taken off.", {JSON: _ref("Delisted")}), **_problems(*_DELIST_PROBLEMS)},
            tag="addresses",
            security=["bearer", "none"],
            parameters=[_ADDRESS],
            requestBody={
                "required": False,
                "content": {
                    JSON: {
                        "schema": _object({"reason": _REASON}, optional=["reason"])
                        | {"additionalProperties": False}
                    }
                },
            },
        )
    },
    "/v1/networks/{network}/infected": {
        "get": _operation(
            "getInfected",
            "The infected addresses of a network; an ISP's token sees only its own networks",
            {
                "200": _answer(
                    f"The list; as CSV with the columns {', '.join(COLUMNS)}.",
                    {JSON: _ref("InfectedList"), CSV: _TEXT},
                ),
                **_problems(Kind.BAD_ADDRESS, Kind.BAD_REQUEST, Kind.NO_TOKEN, Kind.NOT_ALLOWED),
            },
            tag="networks",
            security=["bearer"],
            parameters=[
                _in_path("network", "192.0.2.0/24 (its slash as it is, or as %2F), 2001:db8::/32 or AS64500."),
                _in_query("format", "Overrides Accept.", {"type": "string", "enum": list(FORMATS)}),
            ],
        )
    },
    "/v1/openapi.json": {
        "get": _operation(
            "getDescription",
            "This description",
            {"200": _answer("OpenAPI 3.1.", {JSON: {"type": "object"}}), **_problems()},
            tag="service",
        )
    },
    "/metrics": {
        "get": _operation(
            "getMetrics",
            "Metrics for Prometheus",
            {"200": _answer("Text exposition format.", {"text/plain": _TEXT}), **_problems()},
            tag="service",
        )
    },
    "/healthz": {
        "get": _operation(
            "getHealth",
            "Whether the process lives",
            {
                "200": _answer("It does.", {JSON: _object({"status": {"type": "string", "const": "ok"}})}),
                **_problems(),
            },
            tag="service",
        )
    },
    "/readyz": {
        "get": _operation(
            "getReadiness",
            "Whether it serves",
            {
                "200": _answer(
                    "Every check holds.",
                    {JSON: _object({"ready": {"type": "boolean"}, "checks": _list(_ref("Check"))})},
                ),
                **_problems(Kind.NOT_READY),
            },
            tag="service",
        )
    },
    "/": {"get": _page("startPage", "The search box")},
    "/ip": {
        "get": _page(
            "searchPage",
            "Where the search box leads: on to the address's page",
            Kind.BAD_ADDRESS,
            parameters=[_in_query("address", "An IPv4 or IPv6 address.")],
        )
    },
    "/ip/{address}": {
        "get": _page("addressPage", "Why an address is listed", Kind.BAD_ADDRESS, parameters=[_ADDRESS])
    },
    "/ip/{address}/delist": {
        "post": _page(
            "delistPage",
            "The page's form: take an address off",
            *_DELIST_PROBLEMS,
            parameters=[_ADDRESS],
            requestBody={
                "required": True,
                "content": {FORM: {"schema": _object({"reason": _REASON, "token": _TEXT}, optional=["token"])}},
            },
        )
    },
    "/problems/{kind}": {
        "get": _page(
            "problemPage",
            "What a kind of problem means: where the `type` of a problem document leads",
            Kind.NOT_FOUND,
            parameters=[_in_path("kind", "The end of the problem's type.")],
        )
    },
}
PATHS["/ip"]["get"]["responses"]["303"] = {"description": "To the address's page, or back to the start."}

DOCUMENT: Node = {
    "openapi": "3.1.0",
    "info": {
        "title": "Vedette",
        "version": dnsbl.__version__,
        "description": "A reputation DNSBL server that learns from traffic records. Every failure is a problem "
        "document (RFC 9457); paths and methods that do not exist answer 404 `not-found` and 405 `bad-method`.",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    },
    "tags": [{"name": name} for name in ("feeds", "addresses", "networks", "service", "pages")],
    "paths": PATHS,
    "components": {
        "schemas": SCHEMAS,
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    },
}
_BODY = msgspec.json.encode(DOCUMENT)


async def get_openapi(_request: web.Request) -> web.Response:
    """The description as JSON."""
    return web.Response(body=_BODY, content_type=JSON)
