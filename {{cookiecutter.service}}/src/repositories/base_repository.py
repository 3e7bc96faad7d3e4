"""The queries every entity needs, and what their failures mean."""

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlmodel import SQLModel, col, func, select

from src.dependencies.database import Database
from src.exceptions import BaseError
from src.models import BaseRow
from src.schemas import PageQuery

UNIQUE_VIOLATION = "23505"


class BaseRepository[Row: BaseRow]:
    """Create, read, update and delete the rows of one table.

    A subclass names its table and its two errors. Nothing commits here: the
    session does when the endpoint returns.
    """

    table: type[Row]
    not_found: Callable[[UUID], BaseError]
    already_exists: Callable[[], BaseError]

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, new: SQLModel) -> Row:
        """Inserts a row. Raises the entity's already-exists error."""
        row = self.table.model_validate(new)
        self.database.add(row)
        await self._flush()
        return row

    async def get(self, id: UUID) -> Row:
        """The row with the id. Raises the entity's not-found error."""
        query = select(self.table).where(col(self.table.id) == id)
        try:
            row = (await self.database.exec(query)).one()
        except NoResultFound:
            raise self.not_found(id) from None
        return row

    async def list(self, page: PageQuery) -> tuple[Sequence[Row], int]:
        """A page of rows, the oldest first, and the number of all."""
        total = await self.database.exec(
            select(func.count()).select_from(self.table)
        )
        rows = await self.database.exec(
            select(self.table)
            .order_by(col(self.table.created_at), col(self.table.id))
            .offset(page.offset)
            .limit(page.size)
        )
        return rows.all(), total.one()

    async def update(self, id: UUID, changes: SQLModel) -> Row:
        """Writes the fields that were given. Raises both errors."""
        row = await self.get(id)
        row.sqlmodel_update(changes.model_dump(exclude_unset=True))
        await self._flush()
        return row

    async def delete(self, id: UUID) -> Row:
        """Removes the row and returns it. Raises the not-found error."""
        row = await self.get(id)
        await self.database.delete(row)
        await self._flush()
        return row

    async def _flush(self) -> None:
        """Sends the changes, and says what a unique violation means."""
        try:
            await self.database.flush()
        except IntegrityError as error:
            if getattr(error.orig, "sqlstate", None) == UNIQUE_VIOLATION:
                raise self.already_exists() from error
            raise
