"""The description is valid, lists exactly the routes that exist, and the answers are as it says."""

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from dnsbl.http.pages import STYLE_PATH
from dnsbl.http.problems import MEDIA_TYPE, Kind
from tests.dnsbl.http.conftest import BOT
from tests.dnsbl.http.test_batches import LINES

#: Routes that answer nothing to a program.
UNDESCRIBED = {("GET", STYLE_PATH)}


@pytest.fixture
def document(api):
    answer = api.get("/v1/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return answer.json


def test_it_is_valid_openapi(document):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_lists_the_routes_that_exist(api, document):
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    routes = {
        (route.method, route.resource.canonical) for route in api.app.router.routes() if route.method != "HEAD"
    }
    assert described == routes - UNDESCRIBED


def test_it_names_every_kind_of_problem(document):
    text = str(document)
    assert [kind.value.slug for kind in Kind if f"`{kind.value.slug}`" not in text] == []


def test_every_refusal_is_a_problem_document(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == [MEDIA_TYPE], (path, method, status)


def assert_as_described(document, path, method, answer, media="application/json"):
    schema = document["paths"][path][method]["responses"][str(answer.status)]["content"][media]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)


def test_answers_are_as_described(api, bot, document):
    def check(path, method, answer, media="application/json"):
        assert_as_described(document, path, method, answer, media)

    infected, delist = "/v1/networks/{network}/infected", "/v1/ip/{address}/delist"
    check("/v1/feeds/{feed}/batches", "post", api.post_batch(LINES))
    check("/v1/ip/{address}", "get", api.get(f"/v1/ip/{bot}"))
    check(infected, "get", api.get("/v1/networks/91.198.0.0%2F16/infected", token="isp"))
    body = '{"reason": "cleaned"}'
    done = api.call("POST", f"/v1/ip/{bot}/delist", body, token="isp", Content_Type="application/json")
    check(delist, "post", done)
    check("/v1/ip/{address}", "get", api.get(f"/v1/ip/{BOT}"))
    check("/v1/ip/{address}", "get", api.get("/v1/ip/185.44.3.3"))
    check("/v1/ip/{address}", "get", api.get("/v1/ip/nonsense"), MEDIA_TYPE)
    check(infected, "get", api.get("/v1/networks/x/infected"), MEDIA_TYPE)
    for path in ("/healthz", "/readyz", "/v1/openapi.json"):
        check(path, "get", api.get(path))
