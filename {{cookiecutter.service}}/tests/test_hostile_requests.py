"""What nobody sends by mistake: refused in the error's shape, never a crash.

First bodies and addresses to the application, then bytes to a process,
which only a socket can send.
"""

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from src.dependencies.config import Settings
from src.main import create_app
from src.models import BaseInput, Text
from src.routers.allow import METHODS
from src.schemas import ErrorResponse, Paging
from src.schemas.faults import LONGEST_NAME, MOST_FAULTS
from tests.processes import Service, running

JSON = {"content-type": "application/json"}
DEEP = 100_000
# Python itself reads no longer number: sys.set_int_max_str_digits.
LONG = b"9" * 4301


class Thing(BaseInput):
    """What the application below takes: a field of each kind."""

    name: Text
    number: int = 0
    share: float = 0.0
    inner: dict[str, int] | None = None


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of an application with a body, an id and a page."""
    app: FastAPI = create_app(settings)

    @app.post("/things")
    async def create(thing: Thing) -> Thing:
        return thing

    @app.get("/things/{id}")
    async def get(id: UUID) -> UUID:
        return id

    @app.get("/things")
    async def list_them(page: Paging) -> int:
        return page.offset

    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(
            AsyncClient(transport=transport, base_url="http://test")
        )


def check(status: int, body: Any) -> ErrorResponse:
    """The error, if it is one: of the caller's, in the one shape."""
    assert 400 <= status < 500, body
    error = ErrorResponse.model_validate(body)
    assert error.status_code == status
    return error


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "half of it": b'{"name": ',
    "two of it": b'{"name": "a"}{"name": "b"}',
    "no JSON": b"name=a",
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "NUL bytes": b"\x00" * 100,
    "a raw NUL in a string": b'{"name": "a\x00b"}',
    "an escaped NUL in a string": rb'{"name": "a\u0000b"}',
    "half a character": rb'{"name": "\ud800"}',
    "half a character in a field's name": rb'{"name": "a", "\udfff": 1}',
    "half a character deeper": rb'{"name": "a", "inner": {"\ud800": "x"}}',
    "a long number": b'{"name": "a", "number": ' + LONG + b"}",
    "a long number as text": b'{"name": "a", "number": "' + LONG + b'"}',
    "a number with a huge exponent": b'{"name": "a", "number": 1e999}',
    "NaN": b'{"name": "a", "share": NaN}',
    "Infinity": b'{"name": "a", "share": -Infinity}',
    "NaN as text": b'{"name": "a", "share": "nan"}',
    "more than a float holds": b'{"name": "a", "share": 1e999}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"name":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a field": b'{"name": "a", "inner": ' + b"[" * DEEP,
    "an unknown field": b'{"name": "a", "admin": true}',
    "Python's own fields": b'{"name": "a", "__class__": "x"}',
    "the wrong types": b'{"name": {}, "number": [], "inner": "x"}',
    "a list": b'[{"name": "a"}]',
    "a string": b'"name"',
    "null": b"null",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_bad_body_is_refused(client: AsyncClient, body: bytes) -> None:
    answer = await client.post("/things", content=body, headers=JSON)
    check(answer.status_code, answer.json())


async def test_a_field_given_twice_is_the_last_one(client: AsyncClient) -> None:
    body = b'{"name": "first", "name": "last"}'
    answer = await client.post("/things", content=body, headers=JSON)
    assert answer.json()["name"] == "last"


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json-but-not",
        "nonsense",
        ";;;=",
        "application/json; charset=utf-16",
    ],
)
async def test_another_type_of_body_is_refused_or_read_as_json(
    client: AsyncClient, content_type: str
) -> None:
    body = b'{"name": "a"}'
    headers = {"content-type": content_type}
    answer = await client.post("/things", content=body, headers=headers)
    if answer.status_code != 200:
        check(answer.status_code, answer.json())
    assert (answer.status_code == 200) == content_type.startswith(
        "application/json;"
    )


async def test_the_answer_to_many_faults_is_short(client: AsyncClient) -> None:
    body = {"x" * 900 + str(number): 1 for number in range(1000)}
    answer = await client.post("/things", json={"name": "a"} | body)
    error = check(answer.status_code, answer.json())
    assert error.data is not None
    assert sum(len(said) for said in error.data.values()) == MOST_FAULTS
    assert max(map(len, error.data)) == LONGEST_NAME


@pytest.mark.parametrize(
    "id",
    [
        "0",
        "-",
        "00000000-0000-0000-0000-00000000000",
        "00000000-0000-0000-0000-0000000000000",
        "00000000-0000-0000-0000-00000000000g",
        "%00",
        "00000000-0000-0000-0000-000000000000%00",
        "%ff%fe",
        "%ed%a0%80",
        "%zz",
        "..%2f..%2fetc%2fpasswd",
        "%0d%0aset-cookie:%20a=b",
        "' OR 1=1--",
        "x" * 10_000,
    ],
)
async def test_what_is_almost_an_id_is_refused(
    client: AsyncClient, id: str
) -> None:
    answer = await client.get(f"/things/{id}")
    check(answer.status_code, answer.json())
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=1000001",
        "page=9223372036854775808",
        f"page={LONG.decode()}",
        "page=1e3",
        "page=1.5",
        "page=",
        "page=%00",
        "page=%ff",
        "page=NaN",
        "size=501",
        "size=0&size=501",
        "page=1&unknown=1",
        "page[]=1",
        "%00=1",
        "%ff=1",
        "=1",
    ],
)
async def test_a_bad_query_is_refused(client: AsyncClient, query: str) -> None:
    answer = await client.get(f"/things?{query}")
    check(answer.status_code, answer.json())


async def test_the_last_page_is_within_what_postgresql_counts(
    client: AsyncClient,
) -> None:
    answer = await client.get("/things?page=1000000&size=500")
    assert answer.json() < 2**63


@pytest.mark.parametrize("method", [*METHODS, "TRACE", "CONNECT", "BREW"])
async def test_each_method_is_served_or_says_which_are(
    client: AsyncClient, method: str
) -> None:
    answer = await client.request(method, "/things")
    if method not in {"GET", "POST"}:
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, POST"


# On a process


@pytest.fixture(scope="module")
def service(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, with any free port."""
    folder = tmp_path_factory.mktemp("hostile")
    with running({}, folder) as service:
        yield service


def answered(service: Service, request: bytes) -> bytes:
    """What comes back until the service has nothing more to say."""
    address = ("127.0.0.1", service.port)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


CLOSE = b"Host: x\r\nConnection: close\r\n"
REQUESTS: dict[str, bytes] = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "NUL bytes": b"\x00" * 1000,
    "a version that is none": b"GET /live HTTP/9.9\r\n" + CLOSE + b"\r\n",
    "a NUL in the path": b"GET /li\x00ve HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "raw bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a half escape": b"GET /%f HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "an escaped surrogate": b"GET /%ed%a0%80 HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a line break in the path": b"GET /%0d%0a HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "another host's address": b"GET http://a/ HTTP/1.1\r\n" + CLOSE + b"\r\n",
    "a NUL in a header": b"GET / HTTP/1.1\r\nX: a\x00b\r\n" + CLOSE + b"\r\n",
    "raw bytes in a header": b"GET / HTTP/1.1\r\nX: \xff\r\n" + CLOSE + b"\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\n: x\r\n" + CLOSE + b"\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n" + CLOSE + b"\r\nab",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n" + CLOSE + b"\r\n0\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -1\r\n"
    + CLOSE
    + b"\r\n",
    "a chunk that is none": b"POST / HTTP/1.1\r\n"
    b"Transfer-Encoding: chunked\r\n" + CLOSE + b"\r\nxyz\r\n",
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_bytes_that_are_no_good_request_break_nothing(
    service: Service, request_: bytes
) -> None:
    head, _, body = answered(service, request_).partition(b"\r\n\r\n")
    # The parser's own refusal comes before the application, as plain text.
    if head and b"application/json" in head:
        check(int(head.split()[1]), json.loads(body))
    elif head:
        assert head.split()[1] == b"400"
    alive = b"GET /live HTTP/1.1\r\n" + CLOSE + b"\r\n"
    assert answered(service, alive).startswith(b"HTTP/1.1 200")
    assert not [line for line in service.log if "Traceback" in line]
