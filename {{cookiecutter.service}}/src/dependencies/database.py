"""The database: one engine for the process, one session for the request.

Only repositories may import this module (the import contract in
pyproject.toml), so the package does not export it.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    async_sessionmaker,
    create_async_engine,
)
from sqlmodel.ext.asyncio.session import AsyncSession

from src.dependencies.config import DatabaseSettings
from src.dependencies.database_faults import discard_what_is_lost
from src.dependencies.database_session import connect_args
from src.dependencies.metrics import MeasuredPool


def database_url(settings: DatabaseSettings) -> URL:
    """The address, every part escaped by SQLAlchemy; hides its password."""
    by_socket = settings.host.startswith("/")
    return URL.create(
        "postgresql+asyncpg",
        username=settings.user,
        password=settings.password.get_secret_value(),
        host=None if by_socket else settings.host,
        port=None if by_socket else settings.port,
        database=settings.name,
        query={"host": settings.host} if by_socket else {},
    )


def create_engine(settings: DatabaseSettings) -> AsyncEngine:
    """The engine and its pool. It connects at the first query, not here."""
    engine = create_async_engine(
        database_url(settings),
        poolclass=MeasuredPool,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_wait_seconds,
        pool_recycle=settings.pool_recycle_seconds,
        pool_pre_ping=True,
        hide_parameters=True,  # in errors, which are logged
        connect_args=connect_args(settings),
    )
    discard_what_is_lost(engine)
    return engine


def create_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Makes sessions whose entities stay readable after the commit."""
    return async_sessionmaker(
        engine, class_=AsyncSession, expire_on_commit=False
    )


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """The request's session: committed when the endpoint returns, rolled
    back when it raises.

    The scope "function" below makes FastAPI do so before it sends the
    response, so a failed commit is an error and never hides behind a 200.
    """
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    async with sessions.begin() as session:
        yield session


Database = Annotated[AsyncSession, Depends(get_session, scope="function")]
