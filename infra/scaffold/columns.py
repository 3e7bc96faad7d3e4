"""What migrations did to columns, read from their syntax: which are about them, and those again.

The migration that drops columns is written from it, and so is the way back.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infra.scaffold import dropped
from infra.scaffold.existing import Existing, Migration

UNKNOWN = "?"
KEY = re.compile(r"(?:VALIDATE CONSTRAINT|ADD CONSTRAINT) (\w+)")
NEW_TYPE = re.compile(r"CREATE TYPE (\w+) AS ENUM")
# Where a call has its table, and its column or columns, behind its name.
PLACES = {
    "add_column": (0, 1),
    "drop_column": (0, 1),
    "alter_column": (0, 1),
    "create_index": (1, 2),
    "create_unique_constraint": (1, 2),
    "create_foreign_key": (1, 3),
}
LET_BE_EMPTY = {"nullable", "existing_type", "existing_nullable", "schema"}
UNDOING = {"drop_index", "drop_constraint"}


@dataclass(frozen=True)
class Call:
    """One `op.…(…)` of an upgrade, and the columns that it is about."""

    node: ast.Call
    name: str
    columns: frozenset[str]


def calls(migration: Migration, table: str) -> list[Call]:
    """What a migration's upgrade does; a call that is not understood is about UNKNOWN."""
    found: list[ast.Call] = []
    for each in ast.parse(migration.text).body:
        if isinstance(each, ast.FunctionDef) and each.name == "upgrade":
            found += [one for statement in each.body for one in operations(statement)]
    types = {name: column for one in found for column, name in enums(one)}
    return [Call(one, name_of(one), frozenset(about(one, table, types))) for one in found]


def operations(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls of a statement, and of a block that commits by itself."""
    if isinstance(statement, ast.With):
        for each in statement.body:
            yield from operations(each)
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        yield statement.value
    elif not isinstance(statement, ast.Pass | ast.Expr):
        # Python of somebody's own: it may do anything.
        yield ast.Call(ast.Name("python"), [], [])


def name_of(call: ast.Call) -> str:
    """`add_column`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def about(call: ast.Call, table: str, types: dict[str, str]) -> set[str]:
    """The columns of the table that a call is about. `types` has the column of each type."""
    name = name_of(call)
    if name == "execute":
        return about_sql(text_of(call.args[0]) if call.args else "", table, types)
    if name == "create_table" and text_of(call.args[0]) == table:
        return {text_of(each.args[0]) for each in columns(call)}
    if name in UNDOING and call.args:
        key = re.fullmatch(rf"{table}_(\w+)_(?:fkey|key|idx)", text_of(call.args[0]))
        return {key.group(1)} if key else {UNKNOWN}
    if name not in PLACES or len(call.args) <= max(PLACES[name]):
        return {UNKNOWN}
    place, of = PLACES[name]
    if text_of(call.args[place]) != table:
        return {UNKNOWN}
    given = call.args[of]
    if isinstance(given, ast.Call):  # sa.Column("weight", …)
        given = given.args[0]
    listed = given.elts if isinstance(given, ast.List) else [given]
    return {text_of(each) or UNKNOWN for each in listed}


def about_sql(sql: str, table: str, types: dict[str, str]) -> set[str]:
    """The columns that a statement of the command's own is about."""
    if (new := NEW_TYPE.match(sql)) and new.group(1) in types:
        return {types[new.group(1)]}
    if sql.startswith(f"ALTER TABLE {table} ") and (key := KEY.search(sql)):
        named = re.fullmatch(rf"{table}_(\w+)_(?:fkey|key)", key.group(1))
        return {named.group(1)} if named else {UNKNOWN}
    return {UNKNOWN}


def text_of(node: ast.expr) -> str:
    """A text, also one in `op.f(…)`; "" when it is none."""
    if isinstance(node, ast.Call) and node.args:
        node = node.args[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def columns(call: ast.Call) -> list[ast.Call]:
    """Each `sa.Column(…)` of a call."""
    return [
        each
        for each in call.args
        if isinstance(each, ast.Call) and name_of(each) == "Column" and each.args
    ]


def enums(call: ast.Call) -> Iterator[tuple[str, str]]:
    """Each column that a call makes of PostgreSQL's own types, and the type."""
    for column in columns(call):
        for each in ast.walk(column):
            if isinstance(each, ast.Call) and name_of(each) in {"Enum", "ENUM"}:
                for keyword in each.keywords:
                    if keyword.arg == "name":
                        yield text_of(column.args[0]), text_of(keyword.value)


def touching(table: str, names: Sequence[str], existing: Existing) -> list[Migration]:
    """The table's migrations that are about one of the columns, the newest first."""
    return [
        each
        for each in dropped.of_table(table, existing)
        if any(call.columns & {*names} for call in calls(each, table))
    ]


def is_about(migration: Migration, table: str, names: Sequence[str]) -> bool:
    """Whether a migration changes nothing but these columns."""
    return all(call.columns <= {*names} for call in calls(migration, table))


def own_types(table: str, names: Sequence[str], existing: Existing) -> list[str]:
    """PostgreSQL's own types that no other column has."""
    mine: dict[str, None] = {}
    others: set[str] = set()
    for migration in existing.migrations:
        for call in ast.walk(ast.parse(migration.text)):
            if not isinstance(call, ast.Call) or name_of(call) not in {
                "create_table",
                "add_column",
            }:
                continue
            for column, name in enums(call):
                if text_of(call.args[0]) == table and column in names:
                    mine[name] = None
                else:
                    others.add(name)
    return [each for each in mine if each not in others]


def dropping(table: str, names: Sequence[str], existing: Existing) -> list[str]:
    """The steps that drop the columns, and the types that only they have."""
    return [
        *(f'op.drop_column("{table}", "{name}")' for name in names),
        *(f'op.execute("DROP TYPE {name}")' for name in own_types(table, names, existing)),
    ]


def redone(table: str, names: Sequence[str], existing: Existing) -> str:
    """The steps that made the columns; an error that says so, where they can't be taken alone.

    A column that had to have a value and has no default comes back without that: rows are there.
    """
    steps: list[str] = []
    types = own_types(table, names, existing)
    for name in names:
        done = [
            call
            for each in reversed(touching(table, [name], existing))
            for call in calls(each, table)
            if name in call.columns
        ]
        made = [i for i, call in enumerate(done) if call.name in {"create_table", "add_column"}]
        last = done[made[-1] :] if made else []
        found = [step for call in last for step in again(call, table, name, types)]
        if not found or None in found:
            said = f"{table}.{name} was dropped with its values; restore it from a backup"
            # There is no way back by statements alone: whoever tries has to learn why.
            return f'raise RuntimeError(\n    "{said}"\n)'
        steps += [each for each in found if each is not None]
    return "\n".join(steps)


def again(call: Call, table: str, name: str, types: list[str]) -> Iterator[str | None]:
    """The steps that do to a column what a call did; None for one that can't be repeated."""
    node = call.node
    if call.name in {"create_table", "add_column"}:
        (column,) = [each for each in columns(node) if text_of(each.args[0]) == name]
        yield from new_types(column, types)
        yield f'op.add_column("{table}", {ast.unparse(fillable(column))})'
        yield from keys(node, table, name)
    elif call.columns != {name} or call.name in {"drop_column", *UNDOING}:
        yield None
    elif call.name == "alter_column" and said(node, "nullable") == "False":
        yield None  # the rows have no value
    elif call.name == "alter_column" and {one.arg for one in node.keywords} <= LET_BE_EMPTY:
        return  # it is added so
    elif call.name == "execute":
        # The type is made where the column is, and the key is checked at once.
        sql = text_of(node.args[0])
        if "USING INDEX" in sql:
            yield f"op.execute({json.dumps(sql)})"
    else:
        leave = {"postgresql_concurrently", "postgresql_not_valid"}
        kept = [each for each in node.keywords if each.arg not in leave]
        yield ast.unparse(ast.Call(node.func, node.args, kept))


def new_types(column: ast.Call, types: list[str]) -> Iterator[str]:
    """The steps that make the types which went with a column."""
    for each in ast.walk(column):
        if isinstance(each, ast.Call) and name_of(each) in {"Enum", "ENUM"}:
            kind = next((text_of(one.value) for one in each.keywords if one.arg == "name"), "")
            values = ", ".join("'" + text_of(one).replace("'", "''") + "'" for one in each.args)
            if kind in types:
                yield f"op.execute({json.dumps(f'CREATE TYPE {kind} AS ENUM ({values})')})"


def fillable(column: ast.Call) -> ast.Call:
    """The column as rows that are there can have it."""
    if said(column, "server_default") not in {"", "None"}:
        return column
    kept = [each for each in column.keywords if each.arg != "nullable"]
    nullable = ast.keyword("nullable", ast.Constant(True))
    return ast.Call(column.func, column.args, [*kept, nullable])


def said(call: ast.Call, argument: str) -> str:
    """A named argument, as it is written."""
    return next((ast.unparse(each.value) for each in call.keywords if each.arg == argument), "")


def keys(call: ast.Call, table: str, name: str) -> Iterator[str | None]:
    """The steps that make the keys a table was made with for a column alone."""
    for each in call.args:
        if not isinstance(each, ast.Call):
            continue
        rest = [one for one in each.keywords if one.arg != "name"]
        key = said(each, "name") or "None"
        if name_of(each) == "UniqueConstraint":
            over = [text_of(one) for one in each.args]
            if over == [name]:
                yield f'op.create_unique_constraint({key}, "{table}", ["{name}"])'
        elif name_of(each) == "ForeignKeyConstraint" and ast.literal_eval(each.args[0]) == [name]:
            other, _, to = ast.literal_eval(each.args[1])[0].rpartition(".")
            more = "".join(f", {one.arg}={ast.unparse(one.value)}" for one in rest)
            ends = f'"{table}", "{other}", ["{name}"], ["{to}"]'
            yield f"op.create_foreign_key({key}, {ends}{more})"
