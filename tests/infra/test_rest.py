"""Reads over HTTP: what Google's errors say, pages, tokens that expire, and no answer at all."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import override

import pytest
from google.auth.credentials import Credentials
from urllib3 import PoolManager

from infra.causes import Cause, classify, is_disabled
from infra.rest import (
    Bearer,
    ConnectionLost,
    CredentialsLogin,
    Json,
    Login,
    Request,
    Rest,
    RestError,
    error_of,
)

DISABLED: Json = {
    "error": {
        "code": 403,
        "message": "Cloud Run Admin API has not been used in project 1 before",
        "status": "PERMISSION_DENIED",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.Help", "links": []},
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
            },
        ],
    }
}
BUSY: Json = {
    "error": {
        "code": 409,
        "message": "Operation failed.",
        "errors": [{"message": "…", "domain": "global", "reason": "operationInProgress"}],
    }
}


@dataclass
class Server:
    """Answers that are given in turn, the last one for ever; and what was asked."""

    answers: list[tuple[int, Json | str]]
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    def rest(self, login: Login | None = None) -> Rest:
        """A client of it."""
        caller = login or Bearer("t")
        return Rest(
            lambda api: f"http://127.0.0.1:{self.port}/{api}", lambda _: caller, direct=True
        )


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on a port of its own."""
    said = Server([])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length).decode()
            said.asked.append((self.path, self.headers["authorization"], body))
            code, answer = said.answers.pop(0) if len(said.answers) > 1 else said.answers[0]
            content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(code)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        @override
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        said.port = http.server_port
        Thread(target=http.serve_forever, daemon=True).start()
        yield said
        http.shutdown()


def failure(server: Server, code: int, answer: Json | str) -> RestError:
    """The error of an answer."""
    server.answers = [(code, answer)]
    with pytest.raises(RestError) as raised:
        server.rest().fetch(Request("run", "v2/x"))
    return raised.value


def test_a_list_is_read_to_its_last_page(server: Server) -> None:
    server.answers = [
        (200, {"items": [{"name": "a"}], "nextPageToken": "2/3 of it"}),
        (200, {"nextPageToken": "3"}),
        (200, {"items": [{"name": "b"}]}),
    ]
    request = Request("storage", "v1/b", (("project", "acme"),), "items")
    assert server.rest().fetch(request) == [{"name": "a"}, {"name": "b"}]
    assert [path for path, _, _ in server.asked] == [
        "/storage/v1/b?project=acme",
        "/storage/v1/b?project=acme&pageToken=2%2F3+of+it",
        "/storage/v1/b?project=acme&pageToken=3",
    ]


def test_what_has_a_body_is_posted(server: Server) -> None:
    server.answers = [(200, {"version": 3})]
    assert server.rest().fetch(Request("p", "v3/a:getIamPolicy", body="{}")) == {"version": 3}
    assert server.asked == [("/p/v3/a:getIamPolicy", "Bearer t", "{}")]


def test_an_error_tells_its_reason(server: Server) -> None:
    error = failure(server, 403, DISABLED)
    assert (error.code, error.status, error.reason) == (
        403,
        "PERMISSION_DENIED",
        "SERVICE_DISABLED",
    )
    assert str(error) == "Cloud Run Admin API has not been used in project 1 before"
    assert is_disabled(error)
    assert classify(error) is Cause.PROPAGATING


def test_an_error_of_the_older_apis_tells_it_too(server: Server) -> None:
    error = failure(server, 409, BUSY)
    assert (error.code, error.status, error.reason) == (409, "", "operationInProgress")
    assert classify(error) is Cause.BUSY


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        ("", "HTTP 502"),
        ("[]", "[]"),
        ('{"error": "invalid_grant"}', "invalid_grant"),
        ('{"error": {"code": 502}}', "HTTP 502"),
        ('{"error": {"errors": [null], "details": 1, "message": "down"}}', "down"),
    ],
)
def test_an_error_without_googles_form_is_one_all_the_same(body: str, message: str) -> None:
    error = error_of(502, body.encode())
    assert (error.code, error.message, error.reason) == (502, message, "")
    assert classify(error) is Cause.TRANSIENT


@pytest.mark.parametrize(
    ("code", "cause"),
    [(404, Cause.ABSENT), (403, Cause.DENIED), (429, Cause.THROTTLED), (503, Cause.TRANSIENT)],
)
def test_a_code_has_a_meaning(code: int, cause: Cause) -> None:
    assert classify(RestError(code, "no")) is cause


def test_no_answer_is_tried_again(server: Server) -> None:
    nobody = Rest(lambda api: "http://127.0.0.1:1", lambda _: Bearer("t"), direct=True)
    with pytest.raises(ConnectionLost, match=r"run does not answer: .*refused") as raised:
        nobody.fetch(Request("run", "v2/x"))
    assert classify(raised.value) is Cause.TRANSIENT
    server.answers = [(200, "<html>Sign in to the network</html>")]
    with pytest.raises(ConnectionLost, match="what run answered is no JSON"):
        server.rest().fetch(Request("run", "v2/x"))


class Expiring(Credentials):
    """A login whose token has to be renewed."""

    renewals = 0

    def refresh(self, request: object) -> None:
        """The next token, good for an hour."""
        self.renewals += 1
        self.token = f"token-{self.renewals}"
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)


def test_a_token_is_renewed_when_it_expires_or_is_refused(server: Server) -> None:
    credentials = Expiring()  # type: ignore[no-untyped-call]
    rest = server.rest(CredentialsLogin(credentials, PoolManager()))
    server.answers = [(200, {}), (200, {}), (401, {}), (200, {}), (401, {})]
    for _ in range(3):
        rest.fetch(Request("run", "v2/x"))
    tokens = [authorization for _, authorization, _ in server.asked]
    assert tokens == [f"Bearer token-{number}" for number in (1, 1, 1, 2)]
    with pytest.raises(RestError) as raised:
        rest.fetch(Request("run", "v2/x"))
    assert raised.value.code == 401
    assert classify(raised.value) is Cause.DENIED
