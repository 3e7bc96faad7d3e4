"""The database: one engine for the process, one session for the request.

Only repositories may import this module (the import contract in
pyproject.toml), so the package does not export it.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy import URL, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from src.dependencies.config import DatabaseSettings
from src.dependencies.database_connection import connect_args
from src.dependencies.database_faults import discard_what_is_lost
from src.dependencies.database_pool import FairPool
from src.dependencies.database_session import DatabaseSession, Sessions

# HTTP's methods that change nothing (RFC 9110, section 9.2.1).
SAFE = {"GET", "HEAD", "OPTIONS"}
# Where a request's session is, for whoever asks for it a second time.
SESSION = "src.session"


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
        poolclass=FairPool,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_wait_seconds,
        pool_recycle=settings.pool_recycle_seconds,
        hide_parameters=True,  # in errors, which are logged
        connect_args=connect_args(settings),
    )
    event.listen(engine.sync_engine, "checkout", check)
    discard_what_is_lost(engine)
    return engine


def check(connection: Any, entry: ConnectionPoolEntry, proxy: Any) -> None:
    """Has the pool replace a connection that the server has closed. asyncpg
    knows; a ping would be three round trips before each statement."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


async def get_session(request: Request) -> AsyncIterator[DatabaseSession]:
    """The request's session: committed when the endpoint returns, rolled
    back when it raises.

    The scope "function" below has it end with the endpoint, before the
    response is sent: a failed commit is an error, and no 200 hides it.
    """
    shared: DatabaseSession | None = request.scope.get(SESSION)
    if shared is not None:
        yield shared
        return
    sessions: Sessions = request.app.state.sessions
    session = sessions.open(may_write=request.method not in SAFE)
    request.scope[SESSION] = session
    try:
        yield session
    except BaseException:
        await session.finish(commit=False)
        raise
    await session.finish(commit=True)


Database = Annotated[DatabaseSession, Depends(get_session, scope="function")]
