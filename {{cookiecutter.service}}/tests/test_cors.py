"""Which sites' scripts may call from a browser: none, or those configured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient

from src.dependencies.config import CorsSettings, Settings
from src.main import create_app

SITE = "https://shop.example"
PREFLIGHT = {"Origin": SITE, "Access-Control-Request-Method": "PATCH"}
ALLOWED = "access-control-allow-origin"


@asynccontextmanager
async def calling(
    settings: Settings, **rules: object
) -> AsyncIterator[AsyncClient]:
    """A caller of an application with these rules, and a crash."""
    cors = CorsSettings.model_validate(rules)
    app = create_app(settings.model_copy(update={"cors": cors}))

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("why")

    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


async def test_no_site_is_let_in_by_default(settings: Settings) -> None:
    async with calling(settings) as client:
        answer = await client.get("/live", headers={"Origin": SITE})
        asked = await client.options("/live", headers=PREFLIGHT)
    assert ALLOWED not in answer.headers
    assert ALLOWED not in asked.headers
    assert asked.status_code == 405


@pytest.mark.parametrize(
    ("path", "status"), [("/live", 200), ("/nowhere", 404), ("/crash", 500)]
)
async def test_a_configured_site_may_read_any_answer(
    settings: Settings, path: str, status: int
) -> None:
    async with calling(settings, origins=[SITE]) as client:
        answer = await client.get(path, headers={"Origin": SITE})
    assert answer.status_code == status
    assert answer.headers[ALLOWED] == SITE
    assert "Origin" in answer.headers["vary"]
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "site",
    [
        "https://else.example",
        "http://shop.example",
        f"{SITE}.else.example",
        f"{SITE}:8443",
        "null",
    ],
)
async def test_another_site_may_not(settings: Settings, site: str) -> None:
    async with calling(settings, origins=[SITE]) as client:
        answer = await client.get("/live", headers={"Origin": site})
        asked = await client.options(
            "/live", headers=PREFLIGHT | {"Origin": site}
        )
    assert ALLOWED not in answer.headers
    # A cache must not give this answer to the site that may.
    assert "Origin" in answer.headers["vary"]
    assert asked.status_code == 400
    assert ALLOWED not in asked.headers


async def test_a_browser_is_told_what_it_may_send(settings: Settings) -> None:
    rules = {"origins": [SITE], "credentials": True, "max_age_seconds": 60}
    async with calling(settings, **rules) as client:
        wanted = {"Access-Control-Request-Headers": "authorization"}
        answer = await client.options("/live", headers=PREFLIGHT | wanted)
    assert answer.status_code == 200
    assert answer.headers[ALLOWED] == SITE
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-max-age"] == "60"


@pytest.mark.parametrize(
    "wanted",
    [
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Headers": "x-secret"},
    ],
)
async def test_what_is_not_configured_may_not_be_sent(
    settings: Settings, wanted: dict[str, str]
) -> None:
    async with calling(settings, origins=[SITE]) as client:
        answer = await client.options("/live", headers=PREFLIGHT | wanted)
    assert answer.status_code == 400


async def test_any_site_may_be_let_in_without_credentials(
    settings: Settings,
) -> None:
    async with calling(settings, origins=["*"]) as client:
        answer = await client.get("/live", headers={"Origin": SITE})
    assert answer.headers[ALLOWED] == "*"
