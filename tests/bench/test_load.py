"""The load generator of the benches, against a server that counts what it is sent."""

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, override

import pytest

from tests.template.bakes import REPOSITORY

CONNECTIONS = 4


class Counting(BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers with it."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one segment
    server: "CountingServer"

    def do_GET(self) -> None:
        """Answers with the path; `/missing` is not there."""
        self.answer(404 if self.path == "/missing" else 200, self.path.encode())

    def do_POST(self) -> None:
        """Answers with the body."""
        self.answer(201, self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, status: int, body: bytes) -> None:
        """Sends it and keeps it."""
        self.server.seen.append(body.decode())
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class CountingServer(ThreadingHTTPServer):
    """The server, and what it has been sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counting)
        self.seen: list[str] = []


@pytest.fixture
def server() -> Iterator[CountingServer]:
    """A server that runs."""
    with CountingServer() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def load(
    server: CountingServer, folder: Path, seconds: float, *traffic: str
) -> subprocess.CompletedProcess[str]:
    """The generator, run to its end."""
    file = folder / "traffic.txt"
    file.write_text("\n".join(traffic))
    options = {
        "--port": server.server_port,
        "--seconds": seconds,
        "--connections": CONNECTIONS,
    }
    words = [str(word) for option in options.items() for word in option]
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "bench" / "load.py"), *words, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_each_answer_is_counted_once(server: CountingServer, tmp_path: Path) -> None:
    done = load(server, tmp_path, 0.2, "GET /a", "GET /b", 'POST /c {"name": "{n}"}')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["requests"] == len(server.seen)
    assert found["requests"] > CONNECTIONS
    assert 0 < found["p50"] <= found["p99"]
    bodies = [seen for seen in server.seen if seen.startswith("{")]
    assert len(set(bodies)) == len(bodies) > 0
    assert set(server.seen) - set(bodies) == {"/a", "/b"}


def test_each_connection_is_used_however_short_the_load(
    server: CountingServer, tmp_path: Path
) -> None:
    done = load(server, tmp_path, 0, "GET /a", "GET /b")
    assert json.loads(done.stdout)["requests"] == CONNECTIONS
    assert sorted(server.seen) == ["/a", "/a", "/b", "/b"]


def test_an_answer_that_is_an_error_ends_the_load(server: CountingServer, tmp_path: Path) -> None:
    done = load(server, tmp_path, 10, "GET /a", "GET /missing")
    assert done.returncode == 1
    assert "404" in done.stderr
    assert not done.stdout
