"""A request's session: SQLAlchemy's, with a short way beside it.

Of a session's round trips three in four are BEGIN, ROLLBACK and a ping, and
most of its time goes to entities that an answer does not need. So a request
that reads stays out of transactions, and `fetch` gives rows of columns.
"""

from collections.abc import Sequence
from typing import Any, NoReturn, override

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from src.dependencies.database_faults import is_final, is_lost, raise_failure
from src.dependencies.database_query import Query, Values
from src.exceptions import DatabaseUnavailableError

NOTHING: Values = {}


class JoinedSession(Session):
    """The ORM's half of a session: it works where `fetch` does."""

    owner: "DatabaseSession"

    @override
    def get_bind(self, *arguments: Any, **options: Any) -> Connection:
        return self.owner.join()


class DatabaseSession(AsyncSession):
    """An `AsyncSession` with `fetch`.

    In a request that may write, all is one transaction, which begins at the
    first statement. In one that reads (GET, HEAD, OPTIONS) a `fetch` that only
    reads runs outside of any, and gives its connection back at once; whatever
    else is asked begins the transaction there too.
    """

    sync_session_class = JoinedSession

    def __init__(self, engine: AsyncEngine, *, may_write: bool = True) -> None:
        super().__init__(
            expire_on_commit=False,
            # What is begun by `fetch` the session may commit and roll back.
            join_transaction_mode="control_fully",
        )
        self.sync_session.owner = self  # type: ignore[attr-defined]
        self.engine = engine.sync_engine
        self.may_write = may_write
        self.held: PoolProxiedConnection | None = None
        self.joined: Connection | None = None
        self.failure: Exception | None = None
        self.is_finished = False

    async def fetch(
        self, query: Query, values: Values = NOTHING
    ) -> Sequence[dict[str, Any]]:
        """The rows that a query gives, by the names of its columns, without
        entities. What the session has not yet written is written first.
        Raises SQLAlchemy's errors."""
        arguments = query.arguments(values)
        if self.may_write or not query.reads or self.is_busy:
            records = await greenlet_spawn(self._fetch, query, arguments)
        else:
            records = await self._read(query, arguments)
        return query.rows(records)

    @property
    def is_busy(self) -> bool:
        """Whether something has begun, here or in the ORM's half."""
        return self.has_begun or self.sync_session.in_transaction()

    async def _read(self, query: Query, arguments: list[Any]) -> list[Any]:
        """A round trip, on any connection."""
        connection = await greenlet_spawn(self._connect)
        try:
            driver: Any = connection.driver_connection
            records: list[Any] = await driver.fetch(query.sql, *arguments)
        except BaseException as error:
            give_up(connection, error, query.sql)
        finally:
            connection.close()
        return records

    def _connect(self) -> PoolProxiedConnection:
        if self.is_finished:
            raise InvalidRequestError("the request's session has ended")
        try:
            return self.engine.pool.connect()
        except Exception as error:
            lost = is_final(error) or isinstance(error, asyncpg.InterfaceError)
            raise_failure(error, lost=lost)

    def _fetch(self, query: Query, arguments: list[Any]) -> list[Any]:
        """In the transaction."""
        session = self.sync_session
        if session.in_transaction():
            session.flush()
            session.connection()  # is then in the same transaction
        connection = self.begun()
        try:
            cursor = connection.cursor()
            cursor.execute(query.sql, arguments)
            return list(cursor.fetchall())
        except BaseException as error:
            try:
                give_up(connection, error, query.sql)
            except Exception as raised:
                self.note(raised)
                raise
            except BaseException:  # the task's end, or a time limit's
                self.note(DatabaseUnavailableError())
                raise

    def note(self, failure: Exception) -> None:
        """Remembers what makes a commit impossible, unless a savepoint does
        away with it."""
        if not self.sync_session.in_nested_transaction():
            self.failure = failure

    @property
    def has_begun(self) -> bool:
        """Whether there is a transaction."""
        return self.held is not None

    def begun(self) -> PoolProxiedConnection:
        """The connection of the transaction, which begins if need be. Raises
        DatabaseUnavailableError when it is lost."""
        if self.held is None:
            connection = self._connect()
            if self.held is None:
                self.held = connection
            else:  # another task of the request was first
                connection.close()
        if not self.held.is_valid:
            raise DatabaseUnavailableError
        return self.held

    def join(self) -> Connection:
        """The same connection as SQLAlchemy has it."""
        held = self.begun()
        if self.joined is None:
            self.joined = Connection(self.engine, held)
        return self.joined

    def end(self, *, commit: bool) -> None:
        """Ends the transaction, if there is one, and lets its connection go."""
        if self.held is None:
            return
        held, joined = self.held, self.joined
        self.held = self.joined = None
        try:
            if commit and not held.is_valid:
                raise DatabaseUnavailableError
            if commit:
                held.commit()
        except BaseException as error:
            give_up(held, error)
        finally:
            (joined or held).close()

    @override
    async def commit(self) -> None:
        await greenlet_spawn(self._commit)

    def _commit(self) -> None:
        if self.failure is not None:
            # PostgreSQL would answer COMMIT with a ROLLBACK, and no error.
            failed = self.failure
            self._rollback()
            raise failed
        if self.sync_session.in_transaction():
            self.sync_session.commit()
        self.end(commit=True)

    @override
    async def rollback(self) -> None:
        await greenlet_spawn(self._rollback)

    def _rollback(self) -> None:
        self.failure = None
        if self.sync_session.in_transaction():
            self.sync_session.rollback()
        self.end(commit=False)

    @override
    async def close(self) -> None:
        await greenlet_spawn(self._close)

    def _close(self) -> None:
        self.failure = None
        self.sync_session.close()
        self.end(commit=False)

    async def finish(self, *, commit: bool) -> None:
        """Commits or not, and closes for good. Raises what the commit does."""
        if self.is_busy:
            await greenlet_spawn(self._finish, commit)
        self.is_finished = True

    def _finish(self, commit: bool) -> None:
        try:
            if commit:
                self._commit()
        finally:
            if self.is_busy:
                self._close()


def give_up(
    connection: PoolProxiedConnection,
    error: BaseException,
    sql: str | None = None,
) -> NoReturn:
    """Raises the error. A connection that is lost goes out of the pool."""
    lost = is_lost(connection, error)
    if lost:
        connection.invalidate(error)
    raise_failure(error, sql, lost=lost)


class Sessions:
    """Makes the sessions of an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    def open(self, *, may_write: bool = True) -> DatabaseSession:
        """A session, which is to be finished."""
        return DatabaseSession(self.engine, may_write=may_write)
