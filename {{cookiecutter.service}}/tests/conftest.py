"""A real PostgreSQL, a database for each worker, a rollback for each test.

The server is the one that DATABASE__HOST names; where none is named, the
tests start one of their own and remove it at the end.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import asyncpg
import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from src.dependencies.config import Settings, get_config
from src.dependencies.database import create_engine
from src.main import create_app, lifespan
from tests.sessions import SessionsOfOne

if TYPE_CHECKING:
    from infra.emulator.postgres import Server

ROOT = Path(__file__).parent.parent

SERVER: "pytest.StashKey[Server]" = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Starts the server before the workers, who inherit its address, and
    names each worker's own database."""
    if not os.environ.get("DATABASE__HOST"):
        from infra.emulator.postgres import Server

        server = Server(password=token_hex(), durable=False)
        server.start()
        config.stash[SERVER] = server
        os.environ |= {
            "DATABASE__HOST": server.host,
            "DATABASE__PORT": str(server.port),
            "DATABASE__USER": server.user,
            "DATABASE__PASSWORD": server.password,
        }
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["DATABASE__NAME"] = f"{{ cookiecutter.__database }}_test_{worker}"
    get_config.cache_clear()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops the server that we started."""
    if (server := config.stash.get(SERVER, None)) is not None:
        server.stop()


@asynccontextmanager
async def temporary_database(name: str) -> AsyncIterator[None]:
    """An empty database, dropped at the end."""
    given = get_config().database
    admin = await asyncpg.connect(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.password.get_secret_value(),
        database="postgres",
    )
    await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


@pytest.fixture(scope="session")
def alembic() -> AlembicConfig:
    """Alembic as its command line has it."""
    return AlembicConfig(ROOT / "db/alembic.ini")


@pytest.fixture(scope="session")
async def settings(alembic: AlembicConfig) -> AsyncIterator[Settings]:
    """The configuration, whose database Alembic has migrated."""
    settings = get_config()
    async with temporary_database(settings.database.name):
        await asyncio.to_thread(command.upgrade, alembic, "head")
        yield settings


@pytest.fixture(scope="session")
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine on the worker's database."""
    engine = create_engine(settings.database)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def started_app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started once for the worker."""
    app = create_app(settings)
    async with lifespan(app):
        yield app


@pytest.fixture
async def app(
    started_app: FastAPI, engine: AsyncEngine
) -> AsyncIterator[FastAPI]:
    """The application, on one connection that is rolled back at the end.

    Its sessions commit and roll back as ever, within that transaction.
    """
    own = started_app.state.sessions
    async with engine.connect() as connection, connection.begin() as all_of_it:
        started_app.state.sessions = SessionsOfOne(connection)
        yield started_app
        await all_of_it.rollback()
    started_app.state.sessions = own


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A caller of the application."""
    async with AsyncClient(
        transport=ASGITransport(app, raise_app_exceptions=False),
        base_url="http://test",
    ) as client:
        yield client
