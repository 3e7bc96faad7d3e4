"""What an answer's headers keep a browser from doing."""

from collections.abc import AsyncIterator

import pytest
from fastapi import Response
from httpx import ASGITransport, AsyncClient

from src.dependencies.config import Settings
from src.main import create_app

HTTPS = "strict-transport-security"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of an application with a crash, and with headers of its own."""
    app = create_app(settings)

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("why")

    @app.get("/picture")
    async def picture(response: Response) -> None:
        response.headers["Cache-Control"] = "public, max-age=60"

    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


@pytest.mark.parametrize(
    "path", ["/live", "/nowhere", "/crash", "/openapi.json"]
)
async def test_an_answer_is_no_page(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy == "default-src 'none'; frame-ancestors 'none'"
    assert HTTPS not in headers


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/static-offline-docs/swagger-ui-bundle.js"]
)
async def test_the_docs_pages_may_use_what_is_theirs(
    client: AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "://" not in policy and "*" not in policy
    assert headers["x-content-type-options"] == "nosniff"


async def test_an_endpoint_s_own_header_stands(client: AsyncClient) -> None:
    headers = (await client.get("/picture")).headers
    assert headers.get_list("cache-control") == ["public, max-age=60"]


async def test_https_is_asked_for_over_https_alone(
    client: AsyncClient,
) -> None:
    answer = await client.get("https://x/live")
    assert answer.headers[HTTPS] == "max-age=63072000"
