"""Problem documents (RFC 9457): a slug a kind, a status a kind, and aiohttp's own refusals in the same form."""

import json

import pytest
from aiohttp import web

from dnsbl.http.problems import KINDS_BY_SLUG, MEDIA_TYPE, Kind, ProblemError, busy, from_http_exception


def test_slugs_are_distinct():
    assert len(KINDS_BY_SLUG) == len(Kind)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_makes_a_document(kind):
    response = ProblemError(kind, "do this", extra={"more": [1]}).response()
    assert response.content_type == MEDIA_TYPE
    assert response.status == kind.value.status
    assert json.loads(response.body) == {
        "type": f"/problems/{kind.value.slug}",
        "title": kind.value.title,
        "status": int(kind.value.status),
        "detail": "do this",
        "more": [1],
    }


def test_busy_says_when_to_come_back():
    assert busy("later", retry_seconds=7).response().headers["Retry-After"] == "7"
    assert busy("later", retry_seconds=7, kind=Kind.TOO_OFTEN).status == 429


def test_refusals_of_the_library_become_ours():
    refused = from_http_exception(web.HTTPMethodNotAllowed("PUT", ["GET", "HEAD"]))
    assert (refused.kind, refused.headers) == (Kind.BAD_METHOD, {"Allow": "GET,HEAD"})
    assert from_http_exception(web.HTTPNotFound()).kind is Kind.NOT_FOUND
    assert from_http_exception(web.HTTPLengthRequired()).kind is Kind.BAD_REQUEST
    assert from_http_exception(web.HTTPNotImplemented()).kind is Kind.INTERNAL
