"""The statements of a table, built once, so that they are compiled once."""

from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import (
    Row,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlmodel import SQLModel

from src.models import BaseRow

# Their names begin with an underscore, so that no column has them.
ID = "_id"
OFFSET = "_offset"
LIMIT = "_limit"
TOTAL = "_total"


class Statements[Public: SQLModel]:
    """Statements that give the columns of a model, and the way from their
    rows to it: pydantic reads each row once, and nothing copies it before."""

    def __init__(self, table: type[BaseRow], public: type[Public]) -> None:
        rows = cast("Table", table.__table__)  # type: ignore[attr-defined]
        columns = [rows.c[name] for name in public.model_fields]
        this = rows.c.id == bindparam(ID)
        self.total = select(func.count()).select_from(rows)
        self.insert = insert(rows).returning(*columns)
        self.get = select(*columns).where(this)
        self.list = (
            select(*columns, self.total.scalar_subquery().label(TOTAL))
            .order_by(rows.c.created_at, rows.c.id)
            .offset(bindparam(OFFSET))
            .limit(bindparam(LIMIT))
        )
        self.update = update(rows).where(this).returning(*columns)
        self.delete = delete(rows).where(this).returning(*columns)
        self._one = TypeAdapter(public)
        self._many = TypeAdapter(list[public])  # type: ignore[valid-type]

    def one(self, row: Row[Any]) -> Public:
        """The row as the model."""
        return self._one.validate_python(row, from_attributes=True)

    def many(self, rows: Any) -> list[Public]:
        """The rows as models."""
        return self._many.validate_python(rows, from_attributes=True)
