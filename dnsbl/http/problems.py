"""Every way in which a request can fail, as RFC 9457 problem documents: one table, one exception, one answer.

A handler raises :class:`ProblemError` with a kind from the table and a sentence that says what to do. Must not
know any resource.
"""

from collections.abc import Mapping
from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from aiohttp import web

from dnsbl.errors import DnsblError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "/problems/"


class Meaning(NamedTuple):
    """What a kind of problem is: ``slug`` ends its type URI, ``about`` explains it on the page behind that."""

    slug: str
    status: HTTPStatus
    title: str
    about: str


class Kind(Enum):
    """The kinds; their slugs are a promise to callers."""

    BAD_REQUEST = Meaning(
        "bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be understood",
        "A header, parameter or body is not of the form that the API description asks for.",
    )  # fmt: skip
    BAD_ADDRESS = Meaning(
        "bad-address", HTTPStatus.BAD_REQUEST, "That is not an address",
        "An IPv4 or IPv6 address, a prefix in CIDR form or an AS number was expected.",
    )  # fmt: skip
    BAD_BODY = Meaning(
        "bad-body", HTTPStatus.BAD_REQUEST, "The body is damaged",
        "The body ended early or its compression is corrupt. Nothing of it was kept: send it again.",
    )  # fmt: skip
    BAD_FORMAT = Meaning(
        "bad-format", HTTPStatus.BAD_REQUEST, "The batch is not of a known format",
        "The format was to be recognised from the data, or fixed for the feed, and the body does not fit it.",
    )  # fmt: skip
    NO_TOKEN = Meaning(
        "no-token", HTTPStatus.UNAUTHORIZED, "A token is needed",
        "The request needs `Authorization: Bearer TOKEN` with a token that Vedette gave out and knows.",
    )  # fmt: skip
    NOT_ALLOWED = Meaning(
        "not-allowed", HTTPStatus.FORBIDDEN, "The token does not reach that far",
        "Whoever holds this token may not do this, or not for these addresses.",
    )  # fmt: skip
    CROSS_SITE = Meaning(
        "cross-site", HTTPStatus.FORBIDDEN, "The form was sent from another site",
        "Forms are taken only from Vedette's own pages.",
    )  # fmt: skip
    NOT_FOUND = Meaning(
        "not-found", HTTPStatus.NOT_FOUND, "There is nothing here",
        "The path names nothing: /v1/openapi.json describes every path that exists.",
    )  # fmt: skip
    BAD_METHOD = Meaning(
        "bad-method", HTTPStatus.METHOD_NOT_ALLOWED, "That method is not taken here",
        "The header Allow lists the methods that this path takes.",
    )  # fmt: skip
    TOO_SLOW = Meaning(
        "too-slow", HTTPStatus.REQUEST_TIMEOUT, "The body came too slowly",
        "The body stalled or took too long. Nothing of it was kept: send smaller batches.",
    )  # fmt: skip
    TOO_LARGE = Meaning(
        "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large",
        "The body is larger than what is taken at once, after decompression. Nothing of it was kept.",
    )  # fmt: skip
    BAD_MEDIA = Meaning(
        "bad-media", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body's type or coding is not taken",
        "Content-Type or Content-Encoding names something that this path does not read.",
    )  # fmt: skip
    TOO_OFTEN = Meaning(
        "too-often", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests",
        "Wait as long as the header Retry-After says.",
    )  # fmt: skip
    INTERNAL = Meaning(
        "internal", HTTPStatus.INTERNAL_SERVER_ERROR, "Something broke in Vedette",
        "The operator finds the cause in the log.",
    )  # fmt: skip
    BUSY = Meaning(
        "busy", HTTPStatus.SERVICE_UNAVAILABLE, "Vedette is busy",
        "Nothing was kept: send the same request again after the time in the header Retry-After.",
    )  # fmt: skip
    NO_JOURNAL = Meaning(
        "no-journal", HTTPStatus.SERVICE_UNAVAILABLE, "The disk cannot be written",
        "Nothing was kept: send the same request again later, and tell the operator.",
    )  # fmt: skip
    NOT_READY = Meaning(
        "not-ready", HTTPStatus.SERVICE_UNAVAILABLE, "Vedette is not ready",
        "At least one of the checks listed under `checks` fails.",
    )  # fmt: skip


KINDS_BY_SLUG = {kind.value.slug: kind for kind in Kind}
#: What aiohttp itself answers, in our kinds; other client errors are bad requests.
_KINDS_BY_STATUS = {
    HTTPStatus.NOT_FOUND: Kind.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: Kind.BAD_METHOD,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: Kind.TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: Kind.BAD_MEDIA,
}


class ProblemError(DnsblError):
    """A request that fails: ``detail`` says what to do; ``extra`` are members added to the document."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.kind.value.status)

    def document(self) -> dict[str, object]:
        """Return the members of the problem document (RFC 9457 section 3.1)."""
        meaning = self.kind.value
        return {
            "type": TYPE_PREFIX + meaning.slug,
            "title": meaning.title,
            "status": int(meaning.status),
            "detail": self.detail,
            **self.extra,
        }

    def response(self) -> web.Response:
        """Return the problem document as an answer."""
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(self.document()),
            content_type=MEDIA_TYPE,
            headers=self.headers,
        )


def busy(detail: str, *, retry_seconds: int, kind: Kind = Kind.BUSY) -> ProblemError:
    """Return a problem that tells the client when to come back (RFC 9110 section 10.2.3)."""
    return ProblemError(kind, detail, headers={"Retry-After": str(retry_seconds)})


def from_http_exception(error: web.HTTPException) -> ProblemError:
    """Return the problem that aiohttp's own refusal ``error`` is in our words."""
    kind = _KINDS_BY_STATUS.get(HTTPStatus(error.status))
    if kind is None:
        kind = Kind.INTERNAL if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Kind.BAD_REQUEST
    allow = error.headers.get("Allow")
    return ProblemError(kind, kind.value.about, headers={"Allow": allow} if allow else None)
