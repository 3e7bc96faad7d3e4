"""Migrations, one run at a time, that never make the service wait for long.

A statement that waits for its lock makes everybody behind it wait too. So it
gives up soon, its migration is rolled back whole, and is tried again later.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    create_async_engine,
)

from src.about import NAME
from src.dependencies.config import MigrationSettings, Settings
from src.dependencies.database import database_url
from src.dependencies.database_connection import milliseconds
from src.dependencies.database_faults import sqlstate
from src.migrations.blocking import Watch
from src.migrations.indexes import mend
from src.migrations.progress import MigrationError, Progress

# Which lock of the database's advisory locks is ours; any number will do.
LOCK = 7_205_310_842
LOCK_POLL_SECONDS = 0.1
MAX_PAUSE_SECONDS = 30
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
STATEMENT_TIMEOUT = "57014"
# A backend that works does not see that its client is gone, and keeps its locks
# to the end, unless it is told to look. PostgreSQL on Windows can't.
NOTICE = text(
    "SELECT set_config('client_connection_check_interval', '1000', false) "
    "WHERE version() !~* 'windows|mingw|msvc|visual'"
)


async def run(
    settings: Settings,
    script: ScriptDirectory,
    migrate: Callable[[Connection], None],
    *,
    moves: bool,
) -> None:
    """Runs an Alembic command on a connection, while nobody else does. It
    `moves` the database when it is an upgrade or a downgrade: then what it
    does is said. Raises MigrationError."""
    engine = create_engine(settings)
    try:
        async with engine.connect() as keeper, alone(keeper):
            progress = Progress(script)
            if not moves:
                await attempt(engine, migrate)
                return
            heads = await current(keeper)
            pending = progress.begin(heads)
            try:
                await attempts(
                    engine, keeper, settings.migrations, migrate, pending
                )
            finally:
                await tell_end(keeper, progress)
    finally:
        await engine.dispose()


def create_engine(settings: Settings) -> AsyncEngine:
    """An engine whose connections give up waiting for a lock, unless for an
    index that is made CONCURRENTLY: nobody waits for who waits for that."""
    limits = settings.migrations
    engine = create_async_engine(
        database_url(settings.database),
        poolclass=NullPool,
        connect_args={
            "timeout": settings.database.connect_seconds,
            "server_settings": {
                "application_name": f"{NAME} migrate",
                "lock_timeout": milliseconds(limits.lock_seconds),
                "statement_timeout": milliseconds(limits.statement_seconds),
            },
        },
    )

    def set_limit(connection: Connection, limit: str) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(f"SET lock_timeout = {limit}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def before(connection: Connection, cursor: Any, sql: str, *_: Any) -> None:
        if is_concurrent(sql):
            set_limit(connection, "0")

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def after(connection: Connection, cursor: Any, sql: str, *_: Any) -> None:
        if is_concurrent(sql):
            set_limit(connection, milliseconds(limits.lock_seconds))

    return engine


def is_concurrent(sql: str) -> bool:
    """Whether PostgreSQL runs the statement beside all others."""
    return "CONCURRENTLY" in sql.upper()


@asynccontextmanager
async def alone(keeper: AsyncConnection) -> AsyncIterator[None]:
    """Holds the lock of migrations, on a connection that does nothing else:
    of two upgrades at once the second waits, and finds nothing to do.

    It asks again and again instead of waiting inside PostgreSQL: a statement
    that waits keeps its snapshot, and CREATE INDEX CONCURRENTLY in the first
    upgrade would wait for that without end.
    """
    await keeper.execution_options(isolation_level="AUTOCOMMIT")
    take = text(f"SELECT pg_try_advisory_lock({LOCK})")
    while not (await keeper.execute(take)).scalar_one():  # noqa: ASYNC110
        await asyncio.sleep(LOCK_POLL_SECONDS)
    yield  # the lock goes with the connection


async def current(keeper: AsyncConnection) -> tuple[str, ...]:
    """The revisions the database is at; none when it is empty."""
    return await keeper.run_sync(
        lambda sync: MigrationContext.configure(sync).get_current_heads()
    )


async def tell_end(keeper: AsyncConnection, progress: Progress) -> None:
    """Says where the database is now, when it still answers."""
    try:
        progress.end(await current(keeper))
    except (DBAPIError, OSError):
        progress.lose()


async def attempts(
    engine: AsyncEngine,
    keeper: AsyncConnection,
    limits: MigrationSettings,
    migrate: Callable[[Connection], None],
    pending: str,
) -> None:
    """Migrates, and tries again when a lock was not to be had. What was done
    stays done: each migration is a transaction. Raises MigrationError."""
    pause = limits.pause_seconds
    for count in range(1, limits.attempts + 1):
        watch = Watch(keeper, limits.lock_seconds)
        try:
            await mend(keeper, pending)
            await attempt(engine, migrate, watch)
            return
        except DBAPIError as error:
            explain(error, limits)
            if sqlstate(error) not in {LOCK_NOT_AVAILABLE, DEADLOCK}:
                raise
            watch.tell(count, limits.attempts)
            if count == limits.attempts:
                raise MigrationError(watch.summary(limits)) from error
        await asyncio.sleep(pause)
        pause = min(pause * 2, MAX_PAUSE_SECONDS)


async def attempt(
    engine: AsyncEngine,
    migrate: Callable[[Connection], None],
    watch: Watch | None = None,
) -> None:
    """Migrates once, on a connection of its own."""
    async with engine.connect() as connection:
        if watch is None:
            await connection.run_sync(migrate)
        else:
            await connection.execute(NOTICE)
            pid = await connection.execute(text("SELECT pg_backend_pid()"))
            waits: int = pid.scalar_one()
            await connection.commit()
            async with watch.over(waits):
                await connection.run_sync(migrate)
        await connection.commit()


def explain(error: DBAPIError, limits: MigrationSettings) -> None:
    """Raises MigrationError for an error that says too little by itself."""
    if sqlstate(error) == STATEMENT_TIMEOUT:
        raise MigrationError(
            "a statement of the migration took longer than "
            f"{limits.statement_seconds:g} s, so it was rolled back: give it "
            "more by MIGRATIONS__STATEMENT_SECONDS, or make it do less"
        ) from error
    if error.connection_invalidated:
        raise MigrationError(
            "the connection to the database was lost in the middle of a "
            "migration, which is rolled back: run it again"
        ) from error
