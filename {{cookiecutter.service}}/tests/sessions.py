"""Sessions that commit and roll back as ever, within a transaction that a
test rolls back at its end."""

from typing import override

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import PoolProxiedConnection

from src.dependencies.database_session import DatabaseSession, Sessions


class SavepointSession(DatabaseSession):
    """A session whose transaction is a savepoint of the test's."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection.engine)
        assert connection.sync_connection is not None
        self.root = connection.sync_connection
        self.savepoint: NestedTransaction | None = None

    @override
    def begun(self) -> PoolProxiedConnection:
        return self.join().connection

    @override
    def join(self) -> Connection:
        if not self.has_begun:
            self.savepoint = self.root.begin_nested()
        return self.root

    @property
    @override
    def has_begun(self) -> bool:
        return self.savepoint is not None and self.savepoint.is_active

    @override
    def end(self, *, commit: bool) -> None:
        if self.savepoint is not None and self.savepoint.is_active:
            if commit:
                self.savepoint.commit()
            else:
                self.savepoint.rollback()
        self.savepoint = None


class SessionsOfOne(Sessions):
    """Makes the sessions, all on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection

    @override
    def open(self, *, may_write: bool = True) -> DatabaseSession:
        return SavepointSession(self.connection)
