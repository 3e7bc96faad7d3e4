"""A request's session: SQLAlchemy's, with a short way beside it.

Three round trips of four are BEGIN, ROLLBACK and a ping, and most of the time
goes to entities that an answer does not need. So a session that reads stays
out of transactions, and `fetch` gives rows of columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any, override

from sqlalchemy import Connection, Engine, Executable, Row
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import Select
from sqlalchemy.util import greenlet_spawn
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

Parameters = Mapping[str, Any]


class JoinedSession(Session):
    """The ORM's half of a session: it works where `fetch` does."""

    owner: "DatabaseSession"

    @override
    def get_bind(
        self, mapper: Any = None, *, clause: Any = None, **options: Any
    ) -> Engine | Connection:
        return self.owner.bind_of(clause)


class DatabaseSession(AsyncSession):
    """An `AsyncSession` with `fetch`.

    In a request that may write, all is one transaction, which begins at the
    first statement. In one that reads (GET, HEAD, OPTIONS) a plain SELECT runs
    outside of any, and gives its connection back at once; whatever else is
    asked begins the transaction there too.
    """

    sync_session_class = JoinedSession

    def __init__(
        self, writing: AsyncEngine, reading: AsyncEngine | None = None
    ) -> None:
        super().__init__(
            expire_on_commit=False,
            # What is begun by `fetch` the session may commit and roll back.
            join_transaction_mode="control_fully",
        )
        self.sync_session.owner = self  # type: ignore[attr-defined]
        self.engine = writing.sync_engine
        self.reading = None if reading is None else reading.sync_engine
        self.transaction: Connection | None = None

    async def fetch(
        self, statement: Executable, parameters: Parameters | None = None
    ) -> Sequence[Row[Any]]:
        """The rows that a statement on columns gives, without entities. What
        the session has not yet written is written first.

        Build a statement once and give it parameters: then it is compiled
        once too. Raises what SQLAlchemy does.
        """
        return await greenlet_spawn(self._fetch, statement, parameters)

    def _fetch(
        self, statement: Executable, parameters: Parameters | None
    ) -> Sequence[Row[Any]]:
        session = self.sync_session
        bind: Engine | Connection
        if session.in_transaction():
            session.flush()
            bind = session.connection(bind_arguments={"clause": statement})
        else:
            bind = self.bind_of(statement)
        if isinstance(bind, Connection):
            return bind.execute(statement, parameters).fetchall()
        with bind.connect() as connection:
            return connection.execute(statement, parameters).fetchall()

    def bind_of(self, statement: Any) -> Engine | Connection:
        """Where a statement runs: in the transaction, or outside of any."""
        if (
            self.reading is not None
            and not self.has_begun
            and is_plain_select(statement)
        ):
            return self.reading
        return self.begun()

    @property
    def has_begun(self) -> bool:
        """Whether there is a transaction."""
        return self.transaction is not None

    def begun(self) -> Connection:
        """The connection of the transaction, which begins if need be."""
        if self.transaction is None:
            self.transaction = self.engine.connect()
        return self.transaction

    def end(self, *, commit: bool) -> None:
        """Ends the transaction, if there is one, and lets its connection go."""
        if self.transaction is None:
            return
        try:
            if commit:
                self.transaction.commit()
        finally:
            self.transaction.close()
            self.transaction = None

    @override
    async def commit(self) -> None:
        await greenlet_spawn(self._commit)

    def _commit(self) -> None:
        self.sync_session.commit()
        self.end(commit=True)

    @override
    async def rollback(self) -> None:
        await greenlet_spawn(self._rollback)

    def _rollback(self) -> None:
        self.sync_session.rollback()
        self.end(commit=False)

    @override
    async def close(self) -> None:
        await greenlet_spawn(self._close)

    def _close(self) -> None:
        self.sync_session.close()
        self.end(commit=False)

    async def finish(self, *, commit: bool) -> None:
        """Commits or not, and closes. Raises what the commit does."""
        session = self.sync_session
        if self.has_begun or session.in_transaction():
            await greenlet_spawn(self._finish, commit)

    def _finish(self, commit: bool) -> None:
        try:
            if commit:
                self._commit()
        finally:
            self._close()


class Sessions:
    """Makes the sessions of an engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.writing = engine
        # The same pool, without transactions.
        self.reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    def open(self, *, may_write: bool = True) -> DatabaseSession:
        """A session, which is to be finished."""
        return DatabaseSession(
            self.writing, None if may_write else self.reading
        )


def is_plain_select(statement: Any) -> bool:
    """Whether it changes nothing, and locks no row. A text may do anything."""
    return isinstance(statement, Select) and statement._for_update_arg is None
