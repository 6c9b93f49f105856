"""What holds for every route: problems, headers, health; and that nothing leaks when something breaks."""

import logging

import pytest

from dnsbl.http.app import CONTENT_SECURITY_POLICY, HEADERS
from dnsbl.http.problems import Kind
from tests.dnsbl.http.conftest import BOT
from tests.dnsbl.http.test_batches import LINES, assert_problem


def test_paths_and_methods_that_do_not_exist(api):
    assert_problem(api.get("/nothing/here"), Kind.NOT_FOUND)
    assert_problem(api.get("/v1/ip/"), Kind.NOT_FOUND)
    refused = api.call("PUT", "/healthz")
    assert_problem(refused, Kind.BAD_METHOD)
    assert set(refused.headers["allow"].split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/", "/ip/1.2.3.4", "/v1/ip/1.2.3.4", "/healthz", "/nothing", "/v1/ip/x", "/ip"])
def test_every_answer_carries_the_headers_that_protect(api, path):
    headers = api.get(path).headers
    for name, value in HEADERS.items():
        assert headers[name.lower()] == value
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert headers["cache-control"] == "no-store"


def test_a_bug_is_told_without_its_trace_and_logged_with_it(api, monkeypatch, caplog):
    def broken(key):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(api.service, "lookup", broken)
    with caplog.at_level(logging.ERROR):
        answer = api.get("/v1/ip/1.2.3.4")
    assert_problem(answer, Kind.INTERNAL)
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text
    assert "secret" not in api.get("/ip/1.2.3.4", Accept="text/html").text


def test_it_lives_and_is_ready(api):
    assert api.get("/healthz").json == {"status": "ok"}
    answer = api.get("/readyz")
    assert answer.status == 200
    assert answer.json["ready"] is True
    assert {check["name"] for check in answer.json["checks"]} >= {"engine", "zones"}


def test_it_is_not_ready_while_a_check_fails(api):
    api.service.engine.failure = "the disk is full"
    answer = api.get("/readyz")
    assert_problem(answer, Kind.NOT_READY)
    assert "the disk is full" in answer.json["detail"]
    assert any(not check["ok"] for check in answer.json["checks"])
    assert api.get("/healthz").status == 200


def test_metrics_are_for_prometheus(api):
    api.post_batch(LINES)
    answer = api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'profiler_feed_records_total{feed="mx",result="observations"} 4.0' in answer.text


def test_head_is_get_without_its_body(api):
    answer = api.call("HEAD", f"/v1/ip/{BOT}")
    assert (answer.status, answer.body) == (200, b"")
