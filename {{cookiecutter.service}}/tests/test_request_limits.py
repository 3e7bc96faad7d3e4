"""What a caller may send: how much, how many at once, how slowly. Asked of a
process by bare sockets, for no client library would send such requests."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from select import select
from typing import NamedTuple

import httpx
import pytest

from src.dependencies.config import Settings
from src.schemas import ErrorResponse
from tests.processes import PATIENCE_SECONDS, TEST_SERVER, Service, running

URL, HEAD, LARGEST, ALL_BODIES = 1024, 4096, 65536, 98304
LIMITS = {
    "SERVER__MAX_URL_BYTES": str(URL),
    "SERVER__MAX_HEAD_BYTES": str(HEAD),
    "SERVER__MAX_BODY_BYTES": str(LARGEST),
    "SERVER__MAX_BODIES_BYTES": str(ALL_BODIES),
    "SERVER__MAX_CONCURRENCY": "3",
}
CHUNKED = "Transfer-Encoding: chunked"
CLOSE = "Connection: close"


class Answer(NamedTuple):
    """What the server sent."""

    status: int
    head: str
    content: bytes


@pytest.fixture(scope="module")
def service(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A process with small limits, and patient."""
    assert settings.database.name  # exists
    folder = tmp_path_factory.mktemp("limits")
    with running(LIMITS, folder, TEST_SERVER) as service:
        yield service


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A process that waits for nobody."""
    folder = tmp_path_factory.mktemp("hasty")
    limits = {"SERVER__READ_SECONDS": "0.2", "SERVER__KEEP_ALIVE_SECONDS": "1"}
    with running(limits, folder, TEST_SERVER) as service:
        yield service


@contextmanager
def caller(service: Service) -> Iterator[socket.socket]:
    """A connection."""
    address = ("127.0.0.1", service.port)
    with socket.create_connection(address, PATIENCE_SECONDS) as connection:
        yield connection


def head(request: str, *headers: str) -> bytes:
    """The head of a request."""
    lines = [f"{request} HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode()


def plain(length: int, declared: int | None = None) -> bytes:
    """A request with a body, and with what it says of its length."""
    said = length if declared is None else declared
    start = head("POST /bodies", f"Content-Length: {said}", CLOSE)
    return start + b"x" * length


def chunked(length: int, size: int = 16384) -> bytes:
    """A request whose body comes in chunks."""
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (
            b"x" * min(size, length - start) for start in range(0, length, size)
        )
    )
    return head("POST /bodies", CHUNKED, CLOSE) + chunks + b"0\r\n\r\n"


def received(connection: socket.socket) -> list[Answer]:
    """Each answer, until the server closes."""
    with connection.makefile("rb") as stream:
        rest = stream.read()
    found = []
    while rest:
        top, _, rest = rest.partition(b"\r\n\r\n")
        text = top.decode().lower()
        length = re.search("content-length: ([0-9]+)", text)
        assert length is not None, text
        end = int(length[1])
        found.append(Answer(int(text.split()[1]), text, rest[:end]))
        rest = rest[end:]
    return found


def ask(service: Service, request: bytes) -> Answer:
    """The one answer to a request, after which the server closes."""
    with caller(service) as connection:
        connection.sendall(request)
        (answer,) = received(connection)
    return answer


def assert_refused(answer: Answer, status: int) -> None:
    """It has the status and the shape of an error, and is the last."""
    assert answer.status == status, answer
    error = ErrorResponse.model_validate_json(answer.content)
    assert error.status_code == status
    assert "connection: close" in answer.head


@pytest.mark.parametrize("request_of", [plain, chunked])
def test_a_body_that_is_just_small_enough(
    service: Service, request_of: Callable[[int], bytes]
) -> None:
    answer = ask(service, request_of(LARGEST))
    assert (answer.status, json.loads(answer.content)) == (200, LARGEST)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(plain(LARGEST + 1), id="a byte too many"),
        pytest.param(plain(8 * LARGEST), id="many too many"),
        pytest.param(chunked(LARGEST + 1), id="in chunks"),
        pytest.param(chunked(8 * LARGEST), id="in many chunks"),
        pytest.param(plain(0, declared=10**18), id="only declared"),
    ],
)
def test_a_body_that_is_too_large(service: Service, request_: bytes) -> None:
    assert_refused(ask(service, request_), 413)


def test_a_length_that_is_too_small_is_all_that_counts(
    service: Service,
) -> None:
    request = plain(5, declared=3).replace(b"Connection: close\r\n", b"")
    answer = ask(service, request)
    assert (answer.status, json.loads(answer.content)) == (200, 3)


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: -1"],
        ["Content-Length: many"],
        ["Content-Length: 3", "Content-Length: 4"],
        [f"Content-Length: {2**64}"],
        ["Content-Length: 3", CHUNKED],
        ["Transfer-Encoding: chunked, gzip"],
    ],
)
def test_a_length_that_is_none(service: Service, headers: list[str]) -> None:
    request = head("POST /bodies", *headers) + b"xxx"
    assert_refused(ask(service, request), 400)


@pytest.mark.parametrize(
    "request_", [b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"GET\r\n\r\n", b"\0" * 9]
)
def test_what_is_no_http(service: Service, request_: bytes) -> None:
    assert_refused(ask(service, request_), 400)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(head(f"GET /{'x' * URL}"), 414, id="path"),
        pytest.param(head(f"GET /live?{'x' * URL}"), 414, id="query"),
        pytest.param(head("GET /", f"X: {'x' * HEAD}"), 431, id="header"),
        pytest.param(head("GET /", *(["X: x"] * 200)), 431, id="many headers"),
    ],
)
def test_a_head_that_is_too_large(
    service: Service, request_: bytes, status: int
) -> None:
    request = request_.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert_refused(ask(service, request), status)


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param((head("GET /")[:-2] + b"X: ", b"x"), id="header"),
        pytest.param((b"GET /", b"x"), id="path"),
        pytest.param((head("GET /")[:-2], b"X: x\r\n"), id="headers"),
        pytest.param(
            (chunked(5)[:-2], b"X: x\r\n"), id="headers after the body"
        ),
        pytest.param(
            (chunked(0)[:-5] + b"1;x=", b"x"), id="words about a chunk"
        ),
    ],
)
def test_what_never_ends_is_cut(
    service: Service, endless: tuple[bytes, bytes]
) -> None:
    start, more = endless
    with caller(service) as connection:
        with pytest.raises(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(more * 8192)


def test_too_many_requests_ahead_of_their_answers(service: Service) -> None:
    with caller(service) as connection:
        connection.sendall(head("GET /live") * 1000)
        answers = received(connection)
    assert {answer.status for answer in answers} == {200}
    assert 1 <= len(answers) < 40


def test_one_request_too_many_at_once(service: Service) -> None:
    with ExitStack() as stack:
        callers = [stack.enter_context(caller(service)) for _ in range(3)]
        start, last = plain(10)[:-1], plain(10)[-1:]
        for connection in callers:
            connection.sendall(start)
        while (
            answer := httpx.post(f"{service.url}/unread")
        ).status_code != 503:
            assert answer.status_code == 200
        assert int(answer.headers["retry-after"]) > 0
        ErrorResponse.model_validate(answer.json())
        for path in ("/live", "/health"):
            probe = httpx.get(f"{service.url}{path}")
            assert probe.status_code == 200
        for connection in callers:
            connection.sendall(last)
            assert [each.status for each in received(connection)] == [200]
    assert httpx.post(f"{service.url}/unread").status_code == 200


def test_too_many_bytes_of_bodies_at_once(service: Service) -> None:
    with caller(service) as first, caller(service) as second:
        for connection in (first, second):
            connection.sendall(plain(LARGEST)[:-1])
        # One is refused; its bytes no longer count, and the other may end.
        assert select([first, second], [], [], PATIENCE_SECONDS)[0]
        for connection in (first, second):
            connection.sendall(b"x")
        answers = [*received(first), *received(second)]
    assert sorted(answer.status for answer in answers) == [200, 503]


def test_more_connections_than_are_of_use(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(caller(service))
        assert httpx.get(f"{service.url}/live").status_code == 200


@pytest.mark.parametrize(
    "slow", [b"GET /live HTTP/1.1\r\nHost:", plain(9)[:-1], chunked(9)[:-1]]
)
def test_a_request_that_does_not_come(hasty: Service, slow: bytes) -> None:
    assert_refused(ask(hasty, slow), 408)


def test_a_body_nobody_reads_that_does_not_come(hasty: Service) -> None:
    request = head("POST /unread", "Content-Length: 9") + b"x"
    assert ask(hasty, request).status == 200


def test_a_connection_without_a_request(hasty: Service) -> None:
    with caller(hasty) as connection:
        assert received(connection) == []


def test_a_connection_without_another_request(hasty: Service) -> None:
    assert ask(hasty, head("GET /live")).status == 200


def test_a_refusal_is_logged(service: Service) -> None:
    ask(service, plain(LARGEST + 1))
    ask(service, b"no\r\n\r\n")
    for words in ("POST /bodies 413", "refused: 400 Bad Request"):
        while not any(words in line for line in service.log):
            assert service.process.poll() is None
