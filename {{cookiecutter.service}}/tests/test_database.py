"""What a request writes is there when it answers, or was never there."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Message, Receive, Scope, Send

from src.dependencies.config import DatabaseSettings, Settings
from src.dependencies.database import (
    Database,
    create_engine,
    database_url,
)
from src.dependencies.database_session import Sessions
from src.main import create_app


@pytest.fixture
async def writer(
    settings: Settings, engine: AsyncEngine
) -> AsyncIterator[FastAPI]:
    """An application whose sessions really commit, to a table whose words
    are checked to be unique at the commit only."""
    app = create_app(settings)
    app.state.sessions = Sessions(engine)

    @app.post("/words/{word}")
    async def write(word: str, database: Database, fail: bool = False) -> str:
        insert = text("INSERT INTO words VALUES (:word)")
        connection = await database.connection()
        await connection.execute(insert, {"word": word})
        if fail:
            raise HTTPException(418, "no")
        return word

    async with engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE TABLE words "
                "(word text UNIQUE DEFERRABLE INITIALLY DEFERRED)"
            )
        )
    yield app
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE words"))


async def written(engine: AsyncEngine) -> list[str]:
    """The table, as another connection sees it."""
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT word FROM words"))
        return list(rows.scalars())


async def post(app: FastAPI, url: str) -> int:
    """The status of a request."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        return (await client.post(url)).status_code


async def test_committed_before_the_answer_starts(
    writer: FastAPI, engine: AsyncEngine
) -> None:
    seen: list[list[str]] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.append(await written(engine))
            await send(message)

        await writer(scope, receive, look)

    transport = ASGITransport(watched)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.post("/words/kept")
    assert answer.status_code == 200
    assert seen == [["kept"]]


async def test_rolled_back_on_an_error(
    writer: FastAPI, engine: AsyncEngine
) -> None:
    assert await post(writer, "/words/lost?fail=true") == 418
    assert await written(engine) == []


async def test_a_failed_commit_is_an_error(
    writer: FastAPI, engine: AsyncEngine
) -> None:
    assert await post(writer, "/words/once") == 200
    assert await post(writer, "/words/once") == 500
    assert await written(engine) == ["once"]


async def test_a_password_may_hold_any_character(
    settings: Settings, engine: AsyncEngine
) -> None:
    password = "p@:/%?#[]&= '\"\\é"
    async with engine.begin() as connection:
        quoted = password.replace("'", "''")
        await connection.exec_driver_sql(
            f"CREATE ROLE odd LOGIN PASSWORD '{quoted}'"
        )
    odd = settings.database.model_copy(
        update={"user": "odd", "password": SecretStr(password)}
    )
    other = create_engine(odd)
    async with other.connect() as connection:
        user = await connection.execute(text("SELECT current_user"))
        assert user.scalar_one() == "odd"
    await other.dispose()
    assert password not in repr(odd) + str(database_url(odd)) + repr(other)
    async with engine.begin() as connection:
        await connection.execute(text("DROP ROLE odd"))


def test_a_host_that_is_a_path_is_a_unix_socket() -> None:
    url = database_url(DatabaseSettings(host="/cloudsql/p:r:i"))
    assert url.host is None
    assert url.query == {"host": "/cloudsql/p:r:i"}


async def test_connects_by_the_unix_socket(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.connect() as connection:
        shown = await connection.execute(text("SHOW unix_socket_directories"))
        folder = shown.scalar_one().split(",")[0].strip(' "')
    if not folder or settings.database.host not in {"127.0.0.1", "localhost"}:
        pytest.skip("the server given has no unix socket here")
    monkeypatch.setenv("PGPORT", str(settings.database.port))
    by_socket = settings.database.model_copy(update={"host": folder})
    other = create_engine(by_socket)
    async with other.connect() as connection:
        address = await connection.execute(text("SELECT inet_client_addr()"))
        assert address.scalar_one() is None
    await other.dispose()
