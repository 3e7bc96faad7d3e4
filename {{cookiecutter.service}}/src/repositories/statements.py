"""The statements of a table, compiled once."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import (
    ColumnElement,
    Numeric,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import SQLModel

from src.dependencies.database_query import Query
from src.models import BaseRow

# Their names begin with an underscore, so that no column has them.
ID = "_id"
OFFSET = "_offset"
LIMIT = "_limit"
TOTAL = "_total"
# Of each kind, for so many sets of columns that callers give.
KEPT = 64


class Statements[Public: SQLModel]:
    """Statements that give the columns of a model, and the way from their
    rows to it: pydantic reads each row once, and nothing copies it before."""

    def __init__(self, table: type[BaseRow], public: type[Public]) -> None:
        self._rows = cast("Table", table.__table__)  # type: ignore[attr-defined]
        self._columns = [
            self._rows.c[name].label(name) for name in public.model_fields
        ]
        self._this = self._rows.c.id == bindparam(ID)
        self.get = Query(select(*self._columns).where(self._this))
        self.delete = Query(
            delete(self._rows).where(self._this).returning(*self._columns)
        )
        keep = lru_cache(maxsize=KEPT)
        self.insert = keep(self._insert)
        self.update = keep(self._update)
        self.list = keep(self._list)
        self.total = keep(self._total)
        self._one = TypeAdapter(public)
        self._many = TypeAdapter(list[public])  # type: ignore[valid-type]

    def one(self, row: dict[str, Any]) -> Public:
        """The row as the model."""
        return self._one.validate_python(row)

    def many(self, rows: Iterable[dict[str, Any]]) -> list[Public]:
        """The rows as models."""
        return self._many.validate_python(rows)

    def _insert(self, *written: str) -> Query:
        """Adds a row of these columns."""
        return Query(insert(self._rows).returning(*self._columns), written)

    def _update(self, *written: str) -> Query:
        """Writes these columns of a row."""
        statement = update(self._rows).where(self._this)
        return Query(statement.returning(*self._columns), written)

    def _list(self, order: str, *chosen: str) -> Query:
        """A page of the rows that have what is given of these columns, and
        the number of all of them with each."""
        total = self._counted(chosen).scalar_subquery().label(TOTAL)
        return Query(
            select(*self._columns, total)
            .where(*self._have(chosen))
            .order_by(*self._sorted_by(order))
            .offset(bindparam(OFFSET))
            .limit(bindparam(LIMIT))
        )

    def _total(self, *chosen: str) -> Query:
        """The number of the rows that have what is given."""
        return Query(self._counted(chosen))

    def _counted(self, chosen: Iterable[str]) -> Any:
        total = select(func.count().label(TOTAL)).select_from(self._rows)
        return total.where(*self._have(chosen))

    def _have(self, chosen: Iterable[str]) -> list[ColumnElement[bool]]:
        return [
            self._rows.c[name] == bindparam(name, type_=self._asked(name))
            for name in chosen
        ]

    def _asked(self, name: str) -> TypeEngine[Any]:
        """The column's type, but a number is not rounded to its places."""
        kind: TypeEngine[Any] = self._rows.c[name].type
        return Numeric() if type(kind) is Numeric else kind

    def _sorted_by(self, order: str) -> list[ColumnElement[Any]]:
        """The column, if there is one, then the oldest first."""
        oldest = [self._rows.c.created_at, self._rows.c.id]
        if not order:
            return [*oldest]
        column = self._rows.c[order.removeprefix("-")]
        return [column.desc() if order.startswith("-") else column, *oldest]
