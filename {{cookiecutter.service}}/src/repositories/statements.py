"""The statements of a table, compiled once."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import Table, bindparam, delete, func, insert, select, update
from sqlmodel import SQLModel

from src.dependencies.database_query import Query
from src.models import BaseRow

# Their names begin with an underscore, so that no column has them.
ID = "_id"
OFFSET = "_offset"
LIMIT = "_limit"
TOTAL = "_total"
# Of each table, for so many sets of columns that callers give.
KEPT = 64


class Statements[Public: SQLModel]:
    """Statements that give the columns of a model, and the way from their
    rows to it: pydantic reads each row once, and nothing copies it before."""

    def __init__(self, table: type[BaseRow], public: type[Public]) -> None:
        rows = cast("Table", table.__table__)  # type: ignore[attr-defined]
        columns = [rows.c[name].label(name) for name in public.model_fields]
        this = rows.c.id == bindparam(ID)
        total = select(func.count().label(TOTAL)).select_from(rows)
        self.total = Query(total)
        self.get = Query(select(*columns).where(this))
        self.list = Query(
            select(*columns, total.scalar_subquery().label(TOTAL))
            .order_by(rows.c.created_at, rows.c.id)
            .offset(bindparam(OFFSET))
            .limit(bindparam(LIMIT))
        )
        self.delete = Query(delete(rows).where(this).returning(*columns))

        @lru_cache(maxsize=KEPT)
        def inserting(*names: str) -> Query:
            return Query(insert(rows).returning(*columns), names)

        @lru_cache(maxsize=KEPT)
        def updating(*names: str) -> Query:
            statement = update(rows).where(this).returning(*columns)
            return Query(statement, names)

        self.insert = inserting
        self.update = updating
        self._one = TypeAdapter(public)
        self._many = TypeAdapter(list[public])  # type: ignore[valid-type]

    def one(self, row: dict[str, Any]) -> Public:
        """The row as the model."""
        return self._one.validate_python(row)

    def many(self, rows: Iterable[dict[str, Any]]) -> list[Public]:
        """The rows as models."""
        return self._many.validate_python(rows)
