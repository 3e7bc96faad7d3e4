"""The docs pages: there for developers, without the internet, not in prd."""

import re

import pytest
from httpx import ASGITransport, AsyncClient

from src.about import DESCRIPTION, TITLE
from src.dependencies.config import Settings
from src.main import create_app


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_page_takes_nothing_from_elsewhere(
    client: AsyncClient, page: str
) -> None:
    answer = await client.get(page)
    assert answer.status_code == 200
    assets = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert assets
    for asset in assets:
        assert asset.startswith("/static-offline-docs/")
        assert (await client.get(asset)).status_code == 200


async def test_the_document_says_what_the_service_is(
    client: AsyncClient,
) -> None:
    info = (await client.get("/openapi.json")).json()["info"]
    assert (info["title"], info["description"]) == (TITLE, DESCRIPTION)


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/openapi.json"])
async def test_prd_has_none(settings: Settings, page: str) -> None:
    app = create_app(settings.model_copy(update={"environment": "prd"}))
    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get(page)
    assert answer.status_code == 404
    assert answer.json()["message"] == "Not Found"
