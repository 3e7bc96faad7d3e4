"""The queries every entity needs, and what their failures mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from src.dependencies.database import Database
from src.dependencies.database_query import Query, Values
from src.exceptions import BaseError, StillReferencedError
from src.models import BaseRow
from src.repositories.statements import ID, LIMIT, OFFSET, TOTAL, Statements
from src.schemas import PageQuery

# PostgreSQL's codes, appendix A. A row that others refer to is the last, or
# the first where its key says RESTRICT.
RESTRICT_VIOLATION = "23001"
FOREIGN_KEY_VIOLATION = "23503"
UNIQUE_VIOLATION = "23505"


class BaseRepository[Public: SQLModel]:
    """Create, read, update and delete the rows of one table.

    A subclass names its table, what a caller sees of a row, its two errors,
    and for each column that refers to another row the error that says there
    is none. Nothing commits here: the session does when the endpoint returns.
    Queries of its own go through `self.database`: `fetch` for columns, as
    here, or whatever an `AsyncSession` does, for entities.
    """

    table: ClassVar[type[BaseRow]]
    public: type[Public]
    not_found: Callable[[UUID], BaseError]
    already_exists: Callable[[], BaseError]
    references: ClassVar[Mapping[str, Callable[[UUID], BaseError]]] = {}
    statements: Statements[Public]

    def __init_subclass__(cls) -> None:
        cls.statements = Statements(cls.table, cls.public)

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, new: SQLModel) -> Public:
        """Inserts a row. Raises the entity's already-exists error, and the
        not-found error of what it refers to."""
        values = new.model_dump()
        rows = await self._write(self.statements.insert(*values), values)
        return self.statements.one(rows[0])

    async def get(self, id: UUID) -> Public:
        """The row with the id. Raises the entity's not-found error."""
        rows = await self.database.fetch(self.statements.get, {ID: id})
        return self._the_only(rows, id)

    async def list(self, page: PageQuery) -> tuple[Sequence[Public], int]:
        """A page of the rows that are asked for, by default the oldest first,
        and the number of all of them."""
        chosen = page.chosen
        rows = await self.database.fetch(
            self.statements.list(page.order, *chosen),
            {OFFSET: page.offset, LIMIT: page.size, **chosen},
        )
        if rows:
            return self.statements.many(rows), rows[0][TOTAL]
        # Behind the last page there is no row to tell the number.
        query = self.statements.total(*chosen)
        total = await self.database.fetch(query, chosen)
        return [], total[0][TOTAL]

    async def update(self, id: UUID, changes: SQLModel) -> Public:
        """Writes the fields that were given. Raises both errors, and the
        not-found error of what it refers to."""
        given = changes.model_dump(exclude_unset=True)
        if not given:
            return await self.get(id)
        query = self.statements.update(*given)
        rows = await self._write(query, {ID: id, **given})
        return self._the_only(rows, id)

    async def delete(self, id: UUID) -> Public:
        """Removes the row and returns it. Raises the not-found error, and
        StillReferencedError."""
        rows = await self._write(self.statements.delete, {ID: id})
        return self._the_only(rows, id)

    async def _write(
        self, query: Query, values: Values
    ) -> Sequence[dict[str, Any]]:
        """Runs the query, and says what a broken rule means."""
        try:
            return await self.database.fetch(query, values)
        except IntegrityError as error:
            meaning = self._meaning(error, values)
            if meaning is None:
                raise
            raise meaning from error

    def _meaning(
        self, error: IntegrityError, values: Values
    ) -> BaseError | None:
        """What a violation of the database's rules is to a caller."""
        assert error.orig is not None
        code = getattr(error.orig, "sqlstate", None)
        if code == UNIQUE_VIOLATION:
            return self.already_exists()
        if code not in {FOREIGN_KEY_VIOLATION, RESTRICT_VIOLATION}:
            return None
        if [*values] == [ID]:
            return StillReferencedError()
        broken = getattr(error.orig.__cause__, "constraint_name", "")
        for column, not_found in self.references.items():
            if broken == f"{self.table.__tablename__}_{column}_fkey":
                return not_found(values[column])
        return None

    def _the_only(self, rows: Sequence[dict[str, Any]], id: UUID) -> Public:
        """The row that was found by its id. Raises the not-found error."""
        if not rows:
            raise self.not_found(id)
        return self.statements.one(rows[0])
