"""Who called and how, as the front end says it and nobody else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from src.middleware import ForwardedMiddleware
from tests.exposing import PROGRAM
from tests.processes import running

FORGED = [
    ("X-Forwarded-For", "1.1.1.1"),
    ("X-Forwarded-For", "2.2.2.2, 203.0.113.7"),
    ("X-Forwarded-Proto", "https"),
    ("Forwarded", "for=4.4.4.4;proto=https"),
    ("X-Real-IP", "5.5.5.5"),
]


@pytest.fixture(params=["on Cloud Run", "elsewhere"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[str, str]]:
    """A process's address, and where it runs."""
    place: str = request.param
    variables = {"K_SERVICE": "orders"} if place == "on Cloud Run" else {}
    variables["FORWARDED_ALLOW_IPS"] = "*"  # uvicorn's, which must not count
    with running(variables, tmp_path, PROGRAM) as process:
        yield process.url, place


def test_headers_count_on_cloud_run_alone(service: tuple[str, str]) -> None:
    url, place = service
    plain = httpx.get(f"{url}/client").json()
    forged = httpx.get(f"{url}/client", headers=FORGED)
    assert plain == ["127.0.0.1", "http"]
    if place == "on Cloud Run":
        assert forged.json() == ["203.0.113.7", "https"]
        assert "strict-transport-security" in forged.headers
    else:
        assert forged.json() == plain
        assert "strict-transport-security" not in forged.headers


PEER = ("10.0.0.1", 1234)


@pytest.mark.parametrize(
    ("hops", "headers", "client", "scheme"),
    [
        (1, [], PEER, "http"),
        (1, [("for", "9.9.9.9")], ("9.9.9.9", 0), "http"),
        (1, [("for", "1.1.1.1, 9.9.9.9")], ("9.9.9.9", 0), "http"),
        (1, [("for", "1.1.1.1"), ("for", "9.9.9.9")], ("9.9.9.9", 0), "http"),
        (2, [("for", "1.1.1.1,9.9.9.9,8.8.8.8")], ("9.9.9.9", 0), "http"),
        (2, [("for", "9.9.9.9")], PEER, "http"),
        (1, [("for", "2001:DB8::7")], ("2001:db8::7", 0), "http"),
        (1, [("for", "nonsense\x1b[31m")], None, "http"),
        (1, [("for", "")], None, "http"),
        (1, [("proto", "http, https")], PEER, "https"),
        (1, [("proto", "https"), ("proto", "http")], PEER, "http"),
        (1, [("proto", "javascript")], PEER, "http"),
    ],
)
async def test_the_end_of_the_list_is_the_front_end_s(
    hops: int,
    headers: list[tuple[str, str]],
    client: tuple[str, int] | None,
    scheme: str,
) -> None:
    seen: list[object] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([scope["client"], scope["scheme"]])

    async def nothing(*message: object) -> None:
        raise AssertionError

    scope: Scope = {
        "type": "http",
        "client": PEER,
        "scheme": "http",
        "headers": [
            (f"x-forwarded-{name}".encode(), value.encode())
            for name, value in headers
        ],
    }
    middleware = ForwardedMiddleware(application, hops)
    await middleware(scope, nothing, nothing)  # type: ignore[arg-type]
    assert seen == [client, scheme]
