"""How ``vedette tail`` takes what a server answers: a loopback server that answers as it is told."""

import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.dnsbl.cli.conftest import Run

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ACK = b'{"batch": 1, "records": 1, "observations": 1, "rejected": [], "rejected_count": 0, "duplicate": false}'
REJECTED = (
    b'{"batch": 1, "records": 1, "observations": 0, "rejected": [{"line": 1, "error": "no syslog date"}], '
    b'"rejected_count": 1, "duplicate": false}'
)


class Asked(NamedTuple):
    path: str
    token: str
    key: str
    body: bytes


class Server(http.server.ThreadingHTTPServer):
    """Answers the statuses it is given, one after another, then 202; "drop" closes the connection."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int | str] = []
        self.ack = ACK
        self.asked: list[Asked] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Encoding"] == "zstd"
        server.asked.append(
            Asked(self.path, self.headers["Authorization"], self.headers["Idempotency-Key"], zstd.decompress(body))
        )
        answer = server.answers.pop(0) if server.answers else 202
        if answer == "drop":
            self.close_connection = True
            return
        text = server.ack if answer == 202 else b'{"detail": "as it was told"}'
        self.send_response(int(answer))
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def words(log: Path, server: Server, data: str) -> list[str]:
    return ["tail", str(log), "--feed", "mx 1", "--token", "secret", "--url", server.url, "--once", "--data", data]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "mail.log"
    path.write_bytes(b"one\ntwo\n")
    return path


def test_posts_what_is_there_and_then_only_what_is_new(log: Path, server: Server, data: str, run: Run) -> None:
    assert run(*words(log, server, data)).exit_code == 0
    assert server.asked[0][:2] == ("/v1/feeds/mx%201/batches", "Bearer secret")
    assert run(*words(log, server, data)).exit_code == 0
    with log.open("ab") as file:
        file.write(b"three\n")
    assert run(*words(log, server, data)).exit_code == 0
    assert [asked.body for asked in server.asked] == [b"one\ntwo\n", b"three\n"]


@pytest.mark.parametrize("answer", [503, 429, 408, 500, "drop"])
def test_sends_the_same_again_until_it_is_taken(
    answer: int | str, log: Path, server: Server, data: str, run: Run
) -> None:
    server.answers = [answer, answer]
    assert run(*words(log, server, data)).exit_code == 0
    assert len(server.asked) == 3
    assert len(set(server.asked)) == 1


@pytest.mark.parametrize("answer", [400, 401, 403, 404, 413, 415])
def test_ends_where_sending_again_would_not_help(
    answer: int, log: Path, server: Server, data: str, run: Run
) -> None:
    server.answers = [answer]
    result = run(*words(log, server, data))
    assert result.exit_code == 1
    assert f"{answer}: as it was told" in result.stderr
    assert len(server.asked) == 1
    # Nothing was noted as taken: the next run sends the same.
    assert run(*words(log, server, data)).exit_code == 0
    assert server.asked[0] == server.asked[1]


def test_says_that_lines_were_not_understood(
    log: Path, server: Server, data: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server.ack = REJECTED
    assert run(*words(log, server, data)).exit_code == 0
    assert "1 lines could not be understood; one of them: no syslog date" in caplog.text


def test_the_token_may_stand_in_a_file(log: Path, server: Server, data: str, run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("from-file\n")
    given = [*words(log, server, data)]
    given[given.index("--token") : given.index("--token") + 2] = ["--token-file", str(secret)]
    assert run(*given).exit_code == 0
    assert server.asked[0].token == "Bearer from-file"
    neither = run("tail", str(log), "--feed", "mx", "--data", data)
    assert neither.exit_code == 2
    assert "either --token or --token-file" in neither.stderr
