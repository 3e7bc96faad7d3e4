"""An entity that goes: its files, what hands them on, and its table, in two releases.

The version that runs still uses the table, so the code goes first (docs/migrations.md); a table
that no other checkout has ever seen goes with its migration.
"""

import ast
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from infra.project import ProjectError
from infra.scaffold import dropped, judge, names, write
from infra.scaffold.existing import Existing, Migration, Model, tree
from infra.scaffold.leaving import ALEMBIC, leaving, with_leaving
from infra.scaffold.put import Texts

OWN = {"src", "tests"}
NOTHING = "nothing was removed"


@dataclass(frozen=True)
class Removal:
    """What becomes of which file, and what to do then."""

    texts: Texts
    then: str


def removal(name: str, existing: Existing) -> Removal:
    """How an entity is removed, or, when only its table is left, that. Raises ProjectError."""
    snake = judge.class_of(name)
    model = existing.by_class.get(name)
    if model is None:
        return table_left(name, snake, existing)
    check_alone(model, existing)
    texts: dict[str, str | None] = dict(write.unregistered(model.name, existing.folder))
    texts |= dict.fromkeys(own_files(model, existing))
    fresh = fresh_migrations(model, existing)
    if fresh:
        paths = [each.path.relative_to(existing.folder).as_posix() for each in fresh]
        texts |= dict.fromkeys(paths)
        return Removal(
            texts,
            f"{name} is gone, and its migration, which git does not have, too. A local database"
            " that has the table already keeps it: undo the migration there first, or make it anew",
        )
    texts[ALEMBIC] = with_leaving(existing.folder, [*leaving(existing.folder), model.table])
    return Removal(
        texts,
        f"{name} is out of the code; its table {model.table} stays, as the version that runs uses"
        f" it. Release this; then uv run invoke entity --remove {name} again writes the migration"
        " that drops the table",
    )


def own_files(model: Model, existing: Existing) -> list[str]:
    """The files that are the entity's alone."""
    layers = [f"src/{layer}/{model.name}_{kind}.py" for layer, kind in write.LAYERS.items()]
    listed = [*layers, f"tests/test_{model.name}.py"]
    return [path for path in listed if existing.has(path)]


def check_alone(model: Model, existing: Existing) -> None:
    """Raises ProjectError when another entity refers to it, or other files use what is its."""
    for other in existing.models:
        for column, table in other.references:
            if table == model.table and other is not model:
                raise ProjectError(
                    f"{model.class_name}: {other.class_name} refers to it with {column}, in"
                    f" src/models/{other.name}_model.py; remove that first; {NOTHING}"
                )
    own = {*own_files(model, existing), *(f"src/{layer}/__init__.py" for layer in write.LAYERS)}
    modules = {f"src.{layer}.{model.name}_{kind}" for layer, kind in write.LAYERS.items()}
    modules.add(f"tests.test_{model.name}")
    ends = (*judge.SUFFIXES, "Query", "Repository", "Service", "NotFoundError")
    found = {f"{model.class_name}{end}" for end in (*ends, "AlreadyExistsError")}
    for folder in ("src", "tests"):
        for path in sorted((existing.folder / folder).rglob("*.py")):
            place = path.relative_to(existing.folder).as_posix()
            used = set() if place in own else imports(path, modules) & (found | modules)
            if used:
                raise ProjectError(f"{place}: it uses {min(used)}; take that out first; {NOTHING}")


def imports(path: Path, modules: set[str]) -> set[str]:
    """What a file imports of the service: names, and those of the modules."""
    names_of: set[str] = set()
    for each in ast.walk(tree(path)):
        if isinstance(each, ast.ImportFrom) and (each.module or "").split(".")[0] in OWN:
            names_of |= {alias.name for alias in each.names} | {each.module or ""}
            names_of |= {f"{each.module}.{alias.name}" for alias in each.names} & modules
        elif isinstance(each, ast.Import):
            names_of |= {alias.name for alias in each.names}
    return names_of


def fresh_migrations(model: Model, existing: Existing) -> list[Migration]:
    """The entity's migrations, the newest first, when nobody else can have them: no commit has one
    of them, and no other follows."""
    mine = dropped.of_table(model.table, existing)
    if not mine or not any(creates(each, model.table) for each in mine):
        return []
    followed: set[str] = set()
    for each in mine:
        after = {other.revision for other in existing.migrations if each.revision in other.down}
        is_shared = dropped.is_about_others(each, model.table)
        if after - followed or is_shared or is_known(each.path, existing.folder):
            return []
        followed.add(each.revision)
    return mine


def creates(migration: Migration, table: str) -> bool:
    """Whether the migration makes the table."""
    return re.search(rf"create_table\(\s*['\"]{table}['\"]", migration.text) is not None


def is_known(path: Path, folder: Path) -> bool:
    """Whether a commit has the file; without git nobody can say, and it may."""
    if shutil.which("git") is None:
        return True
    inside = ["git", "-C", str(folder), "rev-parse", "--is-inside-work-tree"]
    if subprocess.run(inside, capture_output=True, check=False).returncode:
        return True
    ask = ["git", "-C", str(folder), "log", "--all", "--format=%h", "-1", "--", str(path)]
    return bool(subprocess.run(ask, capture_output=True, check=False).stdout.strip())


def table_left(name: str, snake: str, existing: Existing) -> Removal:
    """The migration that drops the table of an entity whose code has gone."""
    tables = leaving(existing.folder)
    table = next(
        (
            each
            for each in tables
            if each == names.plural(snake)
            or any(
                creates(migration, each) and f'"""add {snake.replace("_", " ")}\n' in migration.text
                for migration in existing.migrations
            )
        ),
        None,
    )
    if table is None:
        known = ", ".join(existing.by_class) or "none"
        raise ProjectError(
            f"{name}: the service has no such entity (it has {known}), and no table of it is in"
            f" leaving, {ALEMBIC}"
        )
    path, text = dropped.migration(name, table, existing)
    kept = [each for each in tables if each != table and not each.startswith(f"{table}.")]
    return Removal(
        {path: text, ALEMBIC: with_leaving(existing.folder, kept)},
        f"The migration drops {table} with all its rows: release it once no version that uses the"
        " table serves any more; invoke deploy refuses it before",
    )
