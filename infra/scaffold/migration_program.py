"""Writes one migration, in the service's own Python, by its own Alembic and db/env.py; no database.

Runs in a copy of the service that has the new models. Standard library, Alembic and SQLAlchemy
only: nothing of infra is there. Reads a JSON object, and prints the migration's path.
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
    given = json.load(sys.stdin)
    config = Config("db/alembic.ini")
    script = ScriptDirectory.from_config(config)
    environment = load_environment(config, script)
    context = MigrationContext.configure(
        dialect_name="postgresql",
        opts={"target_metadata": SQLModel.metadata},
    )
    table = SQLModel.metadata.tables[given["table"]]
    types = new_types(table, given["columns"])
    up, down = STEPS[given["step"]](table, given["columns"])
    down = [*down, *(ops.ExecuteSQLOp(f"DROP TYPE {each.name}") for each in types)]
    write(script, environment, context, given, (up, down))


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
    return [new, *indexes], [*reversed(dropped), ops.DropTableOp.from_table(table)]


def sorted_indexes(table: sa.Table) -> list[sa.Index]:
    """The table's indexes, always in one order."""
    return sorted(table.indexes, key=lambda index: str(index.name))


STEPS = {"create": create}


def write(
    script: ScriptDirectory,
    environment: ModuleType,
    context: MigrationContext,
    given: dict[str, Any],
    step: Step,
) -> None:
    """Renders the operations and writes the file."""
    up, down = step
    draft = ops.MigrationScript(
        rev_id=None,
        upgrade_ops=ops.UpgradeOps(up),
        downgrade_ops=ops.DowngradeOps(down),
        imports=set(),
    )
    if (rewrite := getattr(environment, "writer", None)) is not None:
        rewrite.process_revision_directives(context, (), [draft])
    bodies = [
        by_line(render_python_code(each, migration_context=context))
        for each in (draft.upgrade_ops, draft.downgrade_ops)
    ]
    uses_dialect = any("postgresql." in each for each in bodies)
    heads = script.get_heads()
    revision = given["revision"] or derived(heads, bodies)
    date = datetime.fromisoformat(given["date"])
    script._generate_create_date = lambda: date
    made = script.generate_revision(
        revision,
        given["message"],
        head=given["after"] or "head",
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
