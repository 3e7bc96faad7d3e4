"""Asks the database whether it answers."""

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import select

from src.dependencies.database import Database
from src.dependencies.database_query import Query
from src.exceptions import DatabaseUnavailableError

PING = Query(select(1))


class HealthRepository:
    """The database's health."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def check(self) -> None:
        """Returns when the database answers, or raises
        DatabaseUnavailableError."""
        try:
            await self.database.fetch(PING)
        except (OSError, SQLAlchemyError) as error:
            raise DatabaseUnavailableError from error
