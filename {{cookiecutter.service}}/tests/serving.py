"""The application with a few more routes, which do what a test wants: read a
body, ask the database, wait in it, fail in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text

from src.dependencies.config import Settings, get_config
from src.dependencies.database import Database
from src.dependencies.logger import configure_logging
from src.main import create_app, lifespan

router = APIRouter()


@router.post("/bodies")
async def read_body(request: Request) -> int:
    """Reads the body. Returns its size."""
    return len(await request.body())


@router.post("/unread")
async def leave_body() -> str:
    """Leaves the body where it is."""
    return "unread"


@router.get("/backend")
async def backend(database: Database) -> int:
    """The process of PostgreSQL that serves us."""
    connection = await database.connection()
    answer = await connection.execute(text("SELECT pg_backend_pid()"))
    return int(answer.scalar_one())


@router.post("/run")
async def run(statement: str, database: Database) -> str:
    """Runs a statement."""
    connection = await database.connection()
    await connection.exec_driver_sql(statement)
    return "done"


def build(settings: Settings) -> FastAPI:
    """The application of these settings."""
    app = create_app(settings)
    app.include_router(router)
    return app


@asynccontextmanager
async def serving(
    settings: Settings, **database: Any
) -> AsyncIterator[tuple[FastAPI, AsyncClient]]:
    """The test's application and a caller of it, with other settings of the
    database."""
    changed = settings.database.model_copy(update=database)
    app = build(settings.model_copy(update={"database": changed}))
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with (
        lifespan(app),
        AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        yield app, client


def __getattr__(name: str) -> FastAPI:
    """`app`, when the server asks for it."""
    if name != "app":
        raise AttributeError(name)
    settings = get_config()
    configure_logging(settings)
    return build(settings)
