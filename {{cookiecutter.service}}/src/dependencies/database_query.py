"""A statement of SQLAlchemy's, compiled once, and run by asyncpg itself.

SQLAlchemy looks up, binds and wraps anew at each execution, which costs three
times what asyncpg does. What it knows of a statement does not change: its
text, the order of its parameters, and how values of its types are converted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Dialect,
    Float,
    Select,
    TextClause,
    UpdateBase,
)
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

type Values = Mapping[str, Any]
type Process = Callable[[Any], Any]

_dialect: Any = PGDialect_asyncpg
DIALECT: Dialect = _dialect(dbapi=_dialect.import_dbapi())
# pg_type.oid, which a number's conversion depends on.
FLOAT8, NUMERIC = 701, 1700


class Query:
    """What to send for a statement, and how to read what comes back."""

    def __init__(self, statement: Any, written: Iterable[str] = ()) -> None:
        """Compiles it. `written` names the columns that an INSERT or UPDATE
        is given. Lists (`IN`) can't be parameters, but arrays can (`ANY`)."""
        compiled = statement.compile(
            dialect=DIALECT, column_keys=list(written) or None
        )
        if compiled.post_compile_params:
            raise TypeError("a list's length is not known before it is given")
        self.sql: str = compiled.string
        self.reads = is_plain_select(statement)
        self._fixed: Values = {
            name: value
            for name, value in compiled.params.items()
            if value is not None or not compiled.binds[name].required
        }
        self._defaults = defaults_of(compiled)
        self._order = [
            (name, processor(compiled.binds[name].type))
            for name in compiled.positiontup or ()
        ]
        self._results = [
            (column.keyname, process)
            for column in compiled._result_columns
            if (process := result_processor(column.type)) is not None
        ]

    def arguments(self, values: Values) -> list[Any]:
        """The values in the order of `$1`, `$2`, …; the rest by default.
        Raises KeyError for one that is missing."""
        if self._fixed or self._defaults:
            made = {name: make() for name, make in self._defaults}
            values = {**self._fixed, **made, **values}
        return [
            values[name] if process is None else process(values[name])
            for name, process in self._order
        ]

    def rows(self, records: Iterable[Any]) -> list[dict[str, Any]]:
        """Each record by the names of its columns."""
        rows = [dict(record) for record in records]
        for name, process in self._results:
            for row in rows:
                row[name] = process(row[name])
        return rows


def is_plain_select(statement: Any) -> bool:
    """Whether it changes nothing, and locks no row, in no part of it. A text
    may do anything, and so may a function, but whoever calls one knows."""
    return isinstance(statement, Select) and not any(
        isinstance(part, UpdateBase | TextClause)
        or getattr(part, "_for_update_arg", None) is not None
        for part in visitors.iterate(statement)
    )


def processor(kind: TypeEngine[Any]) -> Process | None:
    """How a value of the type is sent; None as it is."""
    return kind.dialect_impl(DIALECT).bind_processor(DIALECT)


def result_processor(kind: TypeEngine[Any]) -> Process | None:
    """How a value of the type is read; None as it is."""
    oid = FLOAT8 if isinstance(kind, Float) else NUMERIC
    return kind.dialect_impl(DIALECT).result_processor(DIALECT, oid)


def defaults_of(
    compiled: SQLCompiler,
) -> Sequence[tuple[str, Callable[[], Any]]]:
    """The values that are made here where none are given: of the columns
    with a default that is Python's."""
    made = [(column, column.default) for column in compiled.insert_prefetch]
    made += [(column, column.onupdate) for column in compiled.update_prefetch]
    return [(name_of(column), maker(default)) for column, default in made]


def name_of(column: Column[Any]) -> str:
    """The name of its parameter."""
    return str(column.key)


def maker(default: Any) -> Callable[[], Any]:
    """A function that makes the default's value."""
    if default.is_callable:
        return lambda: default.arg(None)
    return lambda: default.arg
