"""The probes, with the database there and away."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from src.dependencies.database import create_engine
from src.dependencies.database_session import Sessions


@pytest.fixture
async def without_database(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> AsyncIterator[None]:
    """The application's database is where nothing listens."""
    settings = app.state.settings.database.model_copy(
        update={"host": "127.0.0.1", "port": unused_tcp_port}
    )
    engine = create_engine(settings)
    monkeypatch.setattr(app.state, "sessions", Sessions(engine))
    yield
    await engine.dispose()


async def test_ready_when_the_database_answers(client: AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": 200, "message": "Ready", "data": None}


@pytest.mark.usefixtures("without_database")
async def test_not_ready_without_the_database(client: AsyncClient) -> None:
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "status_code": 503,
        "message": "The database does not answer",
        "data": None,
    }


@pytest.mark.usefixtures("without_database")
async def test_alive_without_the_database(client: AsyncClient) -> None:
    answer = await client.get("/live")
    assert answer.status_code == 200
    assert answer.json()["message"] == "Alive"
