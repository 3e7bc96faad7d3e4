"""The migration that drops a table: it undoes those that made it, and its downgrade redoes them."""

import ast
import json
import re
from textwrap import dedent

from infra.project import ProjectError
from infra.scaffold import names
from infra.scaffold.existing import Existing, Migration
from infra.scaffold.migration import PROGRAM, formatted, now, run
from infra.scaffold.write import room

TYPE = re.compile(r"DROP TYPE (?:IF EXISTS )?(\w+)")
OTHER_TABLE = re.compile(r"op\.(?:create_table|drop_table|add_column|drop_column)\(\s*['\"](\w+)")
DIALECT = "from sqlalchemy.dialects import postgresql"


def of_table(table: str, existing: Existing) -> list[Migration]:
    """The migrations that are about the table, the newest first."""
    by_revision = {each.revision: each for each in existing.migrations}
    ordered: list[Migration] = []
    rest = [each.revision for each in existing.heads]
    while rest:
        each = by_revision.get(rest.pop(0))
        if each is not None and each not in ordered:
            ordered.append(each)
            rest.extend(each.down)
    about = re.compile(rf"['\"]{table}['\"]|ALTER TABLE {table}\b")
    return [each for each in ordered if about.search(each.text)]


def is_about_others(migration: Migration, table: str) -> bool:
    """Whether a migration changes other tables too."""
    return bool({*OTHER_TABLE.findall(migration.text)} - {table})


def migration(name: str, table: str, existing: Existing) -> tuple[str, str]:
    """The path and the text of the new migration. Raises ProjectError."""
    mine = of_table(table, existing)
    types = dict.fromkeys(found for each in mine for found in TYPE.findall(each.text))
    drops = [f'op.drop_table("{table}")', *(f'op.execute("DROP TYPE {each}")' for each in types)]
    again = redone(mine, table)
    return written(f"remove {names.snake(name).replace('_', ' ')}", drops, again, existing)


def written(message: str, drops: list[str], again: str, existing: Existing) -> tuple[str, str]:
    """The path and the text of a migration that drops, and how it is undone. Raises
    ProjectError."""
    words = {
        "message": message,
        "date": now().isoformat(),
        "upgrade": "\n    ".join(drops),
        "downgrade": again.strip().replace("\n", "\n    "),
        "imports": DIALECT if "postgresql." in again else "",
    }
    with room(existing.folder) as place:
        program = PROGRAM.with_name("drop_program.py")
        done = run(place, existing.folder, str(program), text=json.dumps(words))
        if done.returncode:
            raise ProjectError(f"{existing.folder}: its Alembic can't write it:\n{done.stderr}")
        path = done.stdout.strip().splitlines()[-1]
        text = (place / path).read_text("utf-8")
        return path, formatted(place, existing.folder, {path: text})[path]


def redone(mine: list[Migration], table: str) -> str:
    """The steps that made the table; an error that says so, where they can't be taken alone."""
    bodies = [body_of(each) for each in reversed(mine)]
    others = any(is_about_others(each, table) for each in mine)
    if not bodies or others or any("autocommit_block" in body for body in bodies):
        said = f"{table} was dropped with its rows; restore it from a backup"
        # There is no way back by statements alone: whoever tries has to learn why.
        return f'raise RuntimeError(\n    "{said}"\n)'
    return "\n".join(bodies)


def body_of(migration: Migration) -> str:
    """What a migration's upgrade does, without its docstring."""
    for each in ast.parse(migration.text).body:
        if isinstance(each, ast.FunctionDef) and each.name == "upgrade":
            steps = [
                step
                for step in each.body
                if not (isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant))
            ]
            if not steps:
                return ""
            lines = migration.text.splitlines()[steps[0].lineno - 1 : steps[-1].end_lineno]
            return dedent("\n".join(lines))
    return ""
