"""What an error of the database means: that it can't serve right now, which
the caller hears as a 503, or that we are wrong, which is a crash.

SQLSTATEs: PostgreSQL's documentation, appendix A.
"""

from typing import Any, NoReturn

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from src.dependencies.database_query import DIALECT
from src.exceptions import DatabaseUnavailableError

# What the application's handler is registered for.
DATABASE_ERRORS: tuple[type[Exception], ...] = (
    DatabaseUnavailableError,
    SQLAlchemyError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# The first two characters of an SQLSTATE are its class.
CLASSES = {
    "08",  # the connection failed
    "53",  # out of connections, memory or disk
    "58",  # its operating system failed
}
READ_ONLY = "25006"
# It could not write a file of its own, or find a type it knew.
INTERNAL = "XX000"
CODES = {
    "25P03",  # idle in transaction for too long
    "25P04",  # the transaction took too long
    "40001",  # rolled back: concurrent transactions
    "40P01",  # rolled back: deadlock
    "55P03",  # waited too long for a lock
    "57014",  # the statement took too long
    "57P01",  # it is being shut down
    "57P02",  # it crashed
    "57P03",  # it is starting up
    "57P05",  # idle for too long
    READ_ONLY,  # after a failover: a standby now, ask for the primary anew
}
OF_ASYNCPG = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# Errors after which a connection is of no use.
FINAL = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InternalClientError,
)


async def connect(*arguments: Any, **options: Any) -> Any:
    """Connects as asyncpg does, but says what a failing network means.

    Such an error could be any code's; here it is the database's for certain.
    """
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        raise DatabaseUnavailableError from error


def unavailable(error: Exception) -> DatabaseUnavailableError | None:
    """The error to tell a caller to come back with, where that helps."""
    if isinstance(error, DatabaseUnavailableError):
        return error
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    code = sqlstate(error)
    if (
        lost
        or code in CODES
        or code[:2] in CLASSES
        or isinstance(error, PoolTimeoutError)
    ):
        return DatabaseUnavailableError()
    return None


def raise_failure(
    error: BaseException, sql: str | None = None, *, lost: bool = False
) -> NoReturn:
    """Raises the error as SQLAlchemy has it, without values: of its driver,
    or of asyncpg itself. Another error stays what it is."""
    forget_values(error)
    driver = DIALECT.loaded_dbapi.Error
    if isinstance(error, driver):
        raise DBAPIError.instance(
            sql,
            None,
            error,
            driver,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=DIALECT,
        ) from error
    if isinstance(error, OF_ASYNCPG):
        raise DBAPIError(
            sql,
            None,
            error,
            hide_parameters=True,
            connection_invalidated=lost,
        ) from error
    raise error


def is_lost(connection: PoolProxiedConnection, error: BaseException) -> bool:
    """Whether the connection will not get well: it is closed, no longer
    answers, was left in the middle of something, is a standby's now, or what
    it has prepared is for a table that has changed."""
    driver: Any = connection.driver_connection
    return (
        driver is None
        or driver.is_closed()
        or not isinstance(error, Exception)
        or is_final(error)
    )


def is_final(error: BaseException) -> bool:
    """Whether it is an error of the connection, not of what was asked."""
    return (
        isinstance(error, FINAL)
        or isinstance(error.__cause__, FINAL)
        or sqlstate(error) in {READ_ONLY, INTERNAL}
    )


def sqlstate(error: BaseException | None) -> str:
    """PostgreSQL's code for the error; "" where it has none."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlstate", None) or ""


def cause(error: Exception) -> str:
    """A word for the log: no statement, no value, no address."""
    under = error.__cause__ or error
    if isinstance(under, DBAPIError) and under.orig is not None:
        under = under.orig.__cause__ or under.orig
    return f"{type(under).__name__} {sqlstate(under)}".rstrip()


def discard_what_is_lost(engine: AsyncEngine) -> None:
    """Makes the engine give up connections that will not get well: those of
    a server that turned into a standby, or that no longer answers."""

    @event.listens_for(engine.sync_engine, "handle_error")
    def discard(context: ExceptionContext) -> Exception | None:
        error = context.original_exception
        forget_values(error)
        if isinstance(error, OSError):
            context.is_disconnect = True
            return DatabaseUnavailableError()
        if sqlstate(error) == READ_ONLY:
            context.is_disconnect = True
        return None


def forget_values(error: BaseException | None) -> None:
    """Takes the row out of what PostgreSQL says: it would be in the log."""
    seen: set[int] = set()  # by identity: an error need not be hashable
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        error = error.__cause__
