"""Writes migrations, in the service's own Python, by its own Alembic and db/env.py; no database.

Runs in a copy of the service that has the new models. Standard library, Alembic and SQLAlchemy
only: nothing of infra is there. Reads a JSON list of objects, and prints each migration's path.
"""

import hashlib
import json
import re
import sys
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import render_python_code
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import load_python_file
from sqlmodel import SQLModel

DIALECT = "from sqlalchemy.dialects import postgresql"
NAMED = re.compile(r"(name=op\.f\('[^']*'\))\)")


def main() -> None:
    """Does it."""
    config = Config("db/alembic.ini")
    script = ScriptDirectory.from_config(config)
    environment = load_environment(config, script)
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"target_metadata": SQLModel.metadata},
    )
    for given in json.load(sys.stdin):
        if given["step"] == "text":
            bodies = [given["up"], given["down"]]
        else:
            table = SQLModel.metadata.tables[given["table"]]
            up, down = STEPS[given["step"]](table, given["columns"])
            if not up:
                continue
            bodies = rendered(environment, context, (up, down))
        # Read anew: it comes after the one that was just written.
        write(ScriptDirectory.from_config(config), given, bodies)


def load_environment(config: Config, script: ScriptDirectory) -> ModuleType:
    """The service's db/env.py, run as for `--sql` without a migration: it asks no database."""
    config.output_buffer = StringIO()
    with EnvironmentContext(config, script, fn=lambda *_: [], as_sql=True, starting_rev=None):
        module: ModuleType = load_python_file(script.dir, "env.py")
    return module


def new_types(table: sa.Table, columns: list[str]) -> list[sa.Enum]:
    """PostgreSQL's own types that come with the columns; all of the table's, when none is named."""
    kinds = [column.type for column in table.columns if not columns or column.name in columns]
    items = [kind.item_type if isinstance(kind, sa.ARRAY) else kind for kind in kinds]
    found = {kind.name: kind for kind in items if isinstance(kind, sa.Enum)}
    return [*found.values()]


type Step = tuple[list[ops.MigrateOperation], list[ops.MigrateOperation]]


def create(table: sa.Table, columns: list[str]) -> Step:
    """A new table with its indexes."""
    new = ops.CreateTableOp.from_table(table)
    indexes = [ops.CreateIndexOp.from_index(index) for index in sorted_indexes(table)]
    dropped = [ops.DropIndexOp.from_index(index) for index in sorted_indexes(table)]
    down = [*reversed(dropped), ops.DropTableOp.from_table(table), *drop_types(table, columns)]
    return [new, *indexes], down


def drop_types(table: sa.Table, columns: list[str]) -> list[ops.MigrateOperation]:
    """The steps that drop PostgreSQL's own types."""
    return [ops.ExecuteSQLOp(f"DROP TYPE {each.name}") for each in new_types(table, columns)]


def sorted_indexes(table: sa.Table) -> list[sa.Index]:
    """The table's indexes, always in one order."""
    return sorted(table.indexes, key=lambda index: str(index.name))


def add(table: sa.Table, columns: list[str]) -> Step:
    """New columns, with the checks of what they refer to for what is written from now on."""
    up: list[ops.MigrateOperation] = []
    for each in new_types(table, columns):
        values = ", ".join(f"'{value}'" for value in each.enums)
        up.append(ops.ExecuteSQLOp(f"CREATE TYPE {each.name} AS ENUM ({values})"))
    new = [column for column in table.columns if column.name in columns]
    up += [ops.AddColumnOp.from_column(column) for column in new]
    keys = [key for column in new for key in column.foreign_keys]
    for key in keys:
        made = ops.CreateForeignKeyOp.from_constraint(key.constraint)
        made.kw["postgresql_not_valid"] = True
        up.append(made)
    down = [ops.DropColumnOp(table.name, column.name) for column in reversed(new)]
    return up, [*down, *drop_types(table, columns)]


def let_be_empty(table: sa.Table, columns: list[str]) -> Step:
    """Columns that nobody fills any more: none must have a value, nor all the same unique one.
    No step where that is so already."""
    up: list[ops.MigrateOperation] = []
    down: list[ops.MigrateOperation] = []
    for column in (each for each in table.columns if each.name in columns):
        default = column.server_default is not None
        clashes = default and is_unique(column)
        if (column.nullable or default) and not clashes:
            continue
        have = {
            "existing_type": column.type,
            "existing_nullable": column.nullable,
            "existing_server_default": column.server_default,
        }
        old = {"modify_nullable": column.nullable} if not column.nullable else {}
        new = {"modify_nullable": True} if not column.nullable else {}
        without = {"modify_server_default": None} if clashes else {}
        again = {"modify_server_default": column.server_default} if clashes else {}
        up.append(ops.AlterColumnOp(table.name, column.name, **have, **new, **without))
        down.append(ops.AlterColumnOp(table.name, column.name, **have, **old, **again))
    return up, down


def is_unique(column: sa.Column[Any]) -> bool:
    """Whether no two rows have the same of it."""
    return any(
        [*each.columns] == [column]
        for each in column.table.constraints
        if isinstance(each, sa.UniqueConstraint)
    )


STEPS = {"create": create, "add": add, "empty": let_be_empty}


def rendered(environment: ModuleType, context: MigrationContext, step: Step) -> list[str]:
    """The upgrade and the downgrade in Python, after what db/env.py does to them."""
    up, down = step
    draft = ops.MigrationScript(
        rev_id=None,
        upgrade_ops=ops.UpgradeOps(up),
        downgrade_ops=ops.DowngradeOps(down),
        imports=set(),
    )
    if (rewrite := getattr(environment, "writer", None)) is not None:
        rewrite.process_revision_directives(context, (), [draft])
    return [
        by_line(render_python_code(each, migration_context=context))
        for each in (draft.upgrade_ops, draft.downgrade_ops)
    ]


def write(script: ScriptDirectory, given: dict[str, Any], bodies: list[str]) -> None:
    """Writes the file."""
    uses_dialect = any("postgresql." in each for each in bodies)
    heads = script.get_heads()
    revision = given["revision"] or derived(heads, bodies)
    date = datetime.fromisoformat(given["date"])
    script._generate_create_date = lambda: date
    made = script.generate_revision(
        revision,
        given["message"],
        head="head",
        refresh=False,
        upgrades=bodies[0],
        downgrades=bodies[1],
        imports=DIALECT if uses_dialect else "",
    )
    print(Path(made.path).relative_to(Path.cwd()).as_posix())


def by_line(body: str) -> str:
    """The operations without Alembic's remarks; names of keys, which may be long, on lines of
    their own."""
    kept = [line for line in body.splitlines() if not line.lstrip().startswith("# ###")]
    return NAMED.sub(r"\1,)", "\n".join(kept).strip())


def derived(heads: list[str], bodies: list[str]) -> str:
    """The same id for the same migration after the same ones."""
    return hashlib.sha256("\n".join([*heads, *bodies]).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main()
