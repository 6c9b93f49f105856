"""A sensor delivers: durable once, whatever the coding, the split, the speed or the repetition."""

import concurrent.futures
import gzip
import json
import socket
import sys

import pytest

from dnsbl.http import batches
from dnsbl.http.gate import BODIES_PER_FEED
from dnsbl.http.keys import GATE
from dnsbl.http.problems import Kind
from tests.dnsbl.http.conftest import BATCH_BYTES, BOT, misdeeds, ndjson, observation, wait_for

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = ndjson(*(observation(BOT) for _ in range(3))) + b"nonsense\n" + ndjson(observation(BOT))
ACK = {"records": 5, "observations": 4, "rejected_count": 1, "duplicate": False}
COMPRESS = {"identity": bytes, "gzip": gzip.compress, "zstd": zstd.compress}


def assert_problem(answer, kind, status=None):
    assert answer.headers["content-type"].startswith("application/problem+json"), answer
    assert answer.json["type"] == f"/problems/{kind.value.slug}"
    assert answer.status == answer.json["status"] == (status or kind.value.status)
    assert answer.json["detail"]


def test_a_batch_is_acknowledged_with_what_was_understood(api):
    answer = api.post_batch(LINES)
    assert answer.status == 202
    ack = answer.json
    assert ack.items() >= ACK.items()
    assert [one["line"] for one in ack["rejected"]] == [4]
    assert ack["rejected"][0]["error"]
    assert api.journalled() == 1


@pytest.mark.parametrize("coding", sorted(COMPRESS))
def test_codings_and_chunks_make_no_difference(api, coding):
    body = COMPRESS[coding](LINES)
    parts = (body[i : i + 7] for i in range(0, len(body), 7))
    first = api.post_batch(parts, Content_Encoding=coding)
    assert first.status == 202
    assert first.json.items() >= ACK.items()
    again = api.post_batch(LINES).json
    assert again["duplicate"] is True
    assert again["batch"] == first.json["batch"]
    assert api.journalled() == 1


def test_a_large_batch_arrives_whole(api):
    body = LINES * 5000
    answer = api.post_batch(gzip.compress(body, 1), Content_Encoding="gzip").json
    assert answer["records"] == 25_000
    assert answer["observations"] == 20_000
    assert answer["rejected_count"] == 5_000
    assert len(answer["rejected"]) == 1000
    assert answer["rejected"][-1]["line"] == 4999


def test_the_same_key_counts_once_whatever_the_body(api):
    first = api.post_batch(LINES, Idempotency_Key="one").json
    again = api.post_batch(misdeeds(BOT), Idempotency_Key="one").json
    assert again == {**first, "duplicate": True}
    assert api.post_batch(LINES, Idempotency_Key="two").json["duplicate"] is False
    assert api.journalled() == 2


def test_without_a_key_only_equal_content_is_the_same_batch(api):
    acks = [api.post_batch(body).json for body in (LINES, misdeeds(BOT), LINES + b"\n", LINES)]
    assert [ack["duplicate"] for ack in acks] == [False, False, False, True]
    assert acks[3]["batch"] == acks[0]["batch"]


def test_a_key_belongs_to_its_feed(api):
    line = b"Nov 24 01:02:03 mx postfix/smtpd[1]: connect from unknown[91.198.7.9]\n"
    assert api.post_batch(line, Idempotency_Key="one").json["duplicate"] is False
    assert api.post_batch(line, feed="other", Idempotency_Key="one").json["duplicate"] is False
    assert api.post_batch(line, feed="other").json["duplicate"] is False
    assert api.post_batch(line, feed="other").json["duplicate"] is True


def test_the_same_batch_at_the_same_time_counts_once(api):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        acks = [f.json for f in pool.map(lambda _: api.post_batch(LINES, Idempotency_Key="one"), range(4))]
    assert sorted(ack["duplicate"] for ack in acks) == [False, True, True, True]
    assert len({ack["batch"] for ack in acks}) == 1
    assert api.journalled() == 1


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_malformed_key_is_refused(api, key):
    assert_problem(api.post_batch(LINES, Idempotency_Key=key), Kind.BAD_REQUEST)
    assert api.post_batch(LINES, Idempotency_Key="x" * 255).status == 202


def test_only_the_feed_itself_may_speak_for_it(api):
    path = "/v1/feeds/mx/batches"
    missing = api.call("POST", path, LINES)
    assert_problem(missing, Kind.NO_TOKEN)
    assert missing.headers["www-authenticate"].startswith("Bearer ")
    unknown = api.call("POST", path, LINES, Authorization="Bearer vedette_feed_nobody")
    assert_problem(unknown, Kind.NO_TOKEN)
    assert "invalid_token" in unknown.headers["www-authenticate"]
    for token in ("other", "isp", "operator"):
        assert_problem(api.call("POST", path, LINES, token=token), Kind.NOT_ALLOWED)
    assert api.journalled() == 0


def test_other_codings_are_refused(api):
    answer = api.post_batch(LINES, Content_Encoding="br")
    assert_problem(answer, Kind.BAD_MEDIA)
    assert answer.headers["accept-encoding"] == "gzip, zstd, identity"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_bomb_is_refused(api, coding):
    body = COMPRESS[coding](b"\n" * (4 * BATCH_BYTES))
    assert len(body) < BATCH_BYTES / 100
    assert_problem(api.post_batch(body, Content_Encoding=coding), Kind.TOO_LARGE)
    assert api.journalled() == 0


def test_a_body_that_says_it_is_too_large_is_refused_at_once(api):
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/feeds/mx/batches HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (api.tokens["mx"].encode(), BATCH_BYTES + 1)
        )
        assert client.recv(64).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_cut_body_is_refused(api, coding):
    body = COMPRESS[coding](LINES)
    assert_problem(api.post_batch(body[:-5], Content_Encoding=coding), Kind.BAD_BODY)
    assert api.journalled() == 0


def test_what_fits_no_format_is_refused(api):
    assert_problem(api.post_batch(b"hello\nworld\n"), Kind.BAD_FORMAT)
    assert_problem(api.post_batch(gzip.compress(LINES)), Kind.BAD_FORMAT)
    assert api.journalled() == 0


def test_the_content_type_names_the_format_of_a_feed_that_is_not_auto(api):
    answer = api.post_batch(LINES, feed="other", Content_Type="application/x-ndjson")
    assert answer.json.items() >= ACK.items()


def test_a_feed_bound_to_networks_is_not_heard_about_others(api):
    api.tokens["bound"] = api.service.registry.add_feed("bound", format="ndjson", networks=["185.44.0.0/16"])
    ack = api.post_batch(ndjson(observation(BOT), observation("185.44.1.2")), feed="bound").json
    assert (ack["observations"], ack["rejected_count"]) == (1, 1)
    assert ack["rejected"][0]["line"] == 1


def test_a_client_that_vanishes_leaves_nothing(api):
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/feeds/mx/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Length: 1000\r\n\r\n%s" % (api.tokens["mx"].encode(), LINES[:500])
        )
    assert api.post_batch(LINES).json["duplicate"] is False
    assert api.journalled() == 1


def test_a_client_that_stalls_is_told(api, monkeypatch):
    monkeypatch.setattr(batches, "STALL_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/feeds/mx/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Length: 1000\r\n\r\n{" % api.tokens["mx"].encode()
        )
        assert client.recv(64).startswith(b"HTTP/1.1 408 ")
    assert api.journalled() == 0


def test_a_body_of_broken_chunks_is_refused(api):
    with socket.create_connection(("127.0.0.1", api.port), timeout=10) as client:
        client.sendall(
            b"POST /v1/feeds/mx/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n" % api.tokens["mx"].encode()
        )
        assert client.recv(64).split()[1] == b"400"
    assert api.journalled() == 0


def test_too_many_bodies_at_once_are_told_to_come_back(api):
    head = (
        b"POST /v1/feeds/mx/batches HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
        b"Content-Length: 1000\r\n\r\n" % api.tokens["mx"].encode()
    )
    waiting = [socket.create_connection(("127.0.0.1", api.port), timeout=10) for _ in range(BODIES_PER_FEED)]
    try:
        for client in waiting:
            client.sendall(head)
        wait_for(lambda: api.app[GATE].bodies == BODIES_PER_FEED)
        refused = api.post_batch(LINES)
        assert_problem(refused, Kind.BUSY)
        assert int(refused.headers["retry-after"]) > 0
        assert api.post_batch(b"", feed="other").status == 202
    finally:
        for client in waiting:
            client.close()


def test_a_full_journal_asks_for_patience_and_takes_the_batch_later(api, monkeypatch):
    monkeypatch.setattr(api.service.journal, "_queue_bytes", 0)
    monkeypatch.setattr(api.service.journal, "_queued_bytes", 1)
    refused = api.post_batch(LINES)
    assert_problem(refused, Kind.BUSY)
    assert int(refused.headers["retry-after"]) > 0
    monkeypatch.undo()
    assert api.post_batch(LINES).json["duplicate"] is False


def test_a_disk_that_refuses_is_told_without_details(api):
    api.service.journal._writer.execute("pragma query_only = on")
    refused = api.post_batch(LINES)
    assert_problem(refused, Kind.NO_JOURNAL)
    assert int(refused.headers["retry-after"]) > 0
    assert "readonly" not in json.dumps(refused.json)
    api.service.journal._writer.execute("pragma query_only = off")
    assert api.post_batch(LINES).json["duplicate"] is False
