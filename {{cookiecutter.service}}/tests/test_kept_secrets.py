"""No secret gets into the log, whoever is careless; and nothing that a caller
sends can forge a line of it."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import httpx
import pytest

from src.dependencies.redaction import redact, spellings
from tests.exposing import ADDRESS_PASSWORD, PROGRAM
from tests.processes import Service, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
NOBODY = "http://127.0.0.1:1"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

# Each is put where its name says.
SECRETS = {
    "database": 'pw-"of\\the-datäbase',
    "file": "pw-of-a-config-file",
    "address": ADDRESS_PASSWORD,
    "token": TOKEN,
    "opaque": "opaque-token-of-a-caller",
    "basic": "YWxpY2U6cGFzc3dvcmQ=",
    "iam": "token-for-the-front-end",
    "cookie": "session-of-a-caller",
    "query": "key-in-a-query",
    "body": "pw-in-a-body",
}


@contextmanager
def exposed(folder: Path, format: str) -> Iterator[Service]:
    """A process that logs in the format, and knows secrets. The database's
    password is a wrong one."""
    config = {"database": {"password": SECRETS["file"]}}
    (folder / "config.json").write_text(json.dumps(config))
    variables = {
        "DATABASE__PASSWORD": SECRETS["database"],
        "LOGGER__FORMAT": format,
        "LOGGER__LEVEL": "DEBUG",
    }
    with running(variables, folder, PROGRAM) as service:
        yield service


def provoke(service: Service) -> None:
    """Brings every secret to every route."""
    with httpx.Client(base_url=service.url) as client:
        for authorization in (
            f"Bearer {SECRETS['token']}",
            f"bearer {SECRETS['opaque']}",
            f"Basic {SECRETS['basic']}",
        ):
            client.headers = httpx.Headers(
                {
                    "Authorization": authorization,
                    "X-Serverless-Authorization": f"Bearer {SECRETS['iam']}",
                    "Cookie": f"session={SECRETS['cookie']}",
                }
            )
            query = {"key": SECRETS["query"]}
            body = {"password": SECRETS["body"]}
            answers = [
                client.post("/crash", json=body, params=query),
                client.get("/careless", params=query),
                client.get("/database", params=query),
                client.get("/health", params=query),
                client.get("/nowhere", params=query),
                client.get("/call", params=query | {"url": NOBODY}),
            ]
            for answer in answers:
                for secret in SECRETS.values():
                    assert secret not in answer.text


@pytest.mark.parametrize("format", ["json", "text"])
def test_no_secret_is_in_the_log(tmp_path: Path, format: str) -> None:
    with exposed(tmp_path, format) as service:
        provoke(service)
        output = service.stop()
    for name, secret in SECRETS.items():
        for spelling in spellings([secret, quote(secret), repr(secret)[1:-1]]):
            assert spelling not in output, name
    # The rest of what was said is there.
    assert output.count("RuntimeError: no way to postgresql://") == 3
    assert "@db.example/orders" in output
    assert output.count("POST /crash 500") == 3
    assert "GET /health" not in output


def test_a_crash_is_told_once_with_its_trace(tmp_path: Path) -> None:
    with exposed(tmp_path, "json") as service:
        headers = {
            "traceparent": f"00-{TRACE}-{SPAN}-01",
            "x-request-id": "of-the-caller",
        }
        answer = httpx.post(f"{service.url}/crash", headers=headers)
        lines = [json.loads(line) for line in service.stop().splitlines()]
    assert answer.status_code == 500
    assert answer.json() == {
        "status_code": 500,
        "message": "Internal Server Error",
        "data": None,
    }
    crash, served = [line for line in lines if "request_id" in line]
    assert crash["message"] == "RuntimeError not handled"
    assert "no way to" in crash["stack_trace"]
    assert served["message"] == "POST /crash 500"
    for line in (crash, served):
        assert line["request_id"] == "of-the-caller"
        assert line["logging.googleapis.com/trace"].endswith(TRACE)


FORGERIES = [
    b"x-request-id: a\x1b[31m",
    b"x-request-id: a\x00b",
    b"x-request-id: a\r\n ERROR forged",
    b"x-request-id: a\nERROR forged",
    b"x-request-id: \xff\xfe",
    b"x-request-id: " + b"a" * 5000,
    b"x-request-id: a\r\nx-request-id: \x1b[31m",
]


@pytest.mark.parametrize("format", ["json", "text"])
def test_what_is_sent_forges_no_line(tmp_path: Path, format: str) -> None:
    with exposed(tmp_path, format) as service:
        for forgery in FORGERIES:
            answer = sent(service, forgery)
            assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
            echoed = re.findall(rb"(?im)^x-request-id: (.*?)\r", answer)
            assert all(re.fullmatch(rb"[0-9a-f]{32}|a", id) for id in echoed)
        output = service.stop()
    assert "/\\nERROR forged" in output
    assert "\x1b" not in output
    assert "a" * 129 not in output
    for line in output.splitlines():
        assert not line.lstrip().startswith("ERROR"), line


def sent(service: Service, header: bytes) -> bytes:
    """The answer to a request, written by hand, with a header."""
    with socket.create_connection(("127.0.0.1", service.port)) as raw:
        raw.sendall(
            b"GET /%0aERROR%20forged%1b%5b31m HTTP/1.1\r\nhost: x\r\n"
            b"connection: close\r\n" + header + b"\r\n\r\n"
        )
        return b"".join(iter(lambda: raw.recv(65536), b""))


class Callee(BaseHTTPRequestHandler):
    """Tells the trace that it is given."""

    def do_GET(self) -> None:
        body = self.headers["traceparent"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def callee() -> Iterator[str]:
    """The address of a server that we call."""
    server = HTTPServer(("127.0.0.1", 0), Callee)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_trace_goes_on_to_whom_we_call(tmp_path: Path, callee: str) -> None:
    query = {"url": callee, "key": "any"}
    with exposed(tmp_path, "json") as service:
        for header in (
            {"traceparent": f"00-{TRACE}-{SPAN}-01"},
            {"x-cloud-trace-context": f"{TRACE}/{int(SPAN, 16)};o=1"},
        ):
            url = f"{service.url}/call"
            answer = httpx.get(url, params=query, headers=header)
            version, trace, span, flags = answer.json().split("-")
            assert (version, trace, flags) == ("00", TRACE, "01")
            assert span != SPAN, "the callee's spans hang below ours"


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        ("postgresql://a:b@c/d", "postgresql://[hidden]@c/d"),
        ("redis://:p@ss@host:1", "redis://[hidden]@host:1"),
        ("http://host:80/a and b@c", "http://host:80/a and b@c"),
        (f"got {TOKEN}, sorry", "got [hidden], sorry"),
        (
            "{'authorization': 'Bearer abc'}",
            "{'authorization': 'Bearer [hidden]'}",
        ),
        ("password=abc user=d", "password=[hidden] user=d"),
        ("/login?token=abc&x=1", "/login?token=[hidden]&x=1"),
        ("the password is wrong", "the password is wrong"),
        ("Bearer of news", "Bearer [hidden] news"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(line: str, redacted: str) -> None:
    assert redact(line, ()) == redacted


def test_a_known_secret_is_hidden_however_it_is_written() -> None:
    secret = 'a"b\\c-é'
    secrets = spellings([secret, "short"])
    for text in (secret, json.dumps(secret), "short"):
        assert ("[hidden]" in redact(text, secrets)) == (text != "short")
