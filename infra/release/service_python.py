"""What only the service's own Python can say: the SQL of its migrations, the columns of its models.

Nothing here needs a database or a configuration, and nothing is changed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

from infra.project import environment, find_uv
from infra.release import ReleaseError

INI = "db/alembic.ini"
# Alembic prints it above the statements of each migration.
RUNNING = re.compile(r"^-- Running upgrade .*-> *(\S+)\s*$", re.MULTILINE)
COLUMNS = """
import json
import src.models
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel
dialect = postgresql.dialect()
print(json.dumps({
    table.fullname: {
        column.name: column.type.compile(dialect=dialect) + "?" * bool(column.nullable)
        for column in table.columns
    }
    for table in SQLModel.metadata.tables.values()
}, separators=(",", ":"), sort_keys=True))
"""
LAST_LINES = 15

type Columns = dict[str, dict[str, str]]


def print_upgrade(folder: Path, start: str, end: str = "head") -> str:
    """The SQL that brings a database from one revision to another; `start` may be "base".

    Raises ReleaseError with what Alembic said.
    """
    return alembic(folder, "upgrade", f"{start}:{end}", "--sql")


def print_downgrade(folder: Path, start: str, end: str) -> str:
    """The SQL that brings a database back. Raises ReleaseError."""
    return alembic(folder, "downgrade", f"{start}:{end}", "--sql")


def by_revision(sql: str) -> dict[str, str]:
    """The SQL of each migration of an upgrade, by its revision, from its BEGIN to its COMMIT."""
    found = list(RUNNING.finditer(sql))
    starts = [max(sql.rfind("BEGIN;", 0, each.start()), 0) for each in found]
    ends = [*starts[1:], len(sql)]
    return {
        match[1]: sql[start:end].strip()
        for match, start, end in zip(found, starts, ends, strict=True)
    }


def alembic(folder: Path, *words: str) -> str:
    """What Alembic prints, run in the service's folder. Raises ReleaseError with its last words."""
    done = run(folder, "-m", "alembic", "-c", INI, *words)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines()
        said = "\n".join(f"  {line}" for line in lines[-LAST_LINES:])
        raise ReleaseError(f"alembic {' '.join(words)} failed in {folder}:\n{said}")
    return done.stdout


def columns(folder: Path) -> Columns:
    """The tables of the service's models, and of each its columns: a type as PostgreSQL has it,
    with "?" behind it when it may be NULL. None where there are no models.

    Raises ReleaseError when they can't be imported.
    """
    if not (folder / "src/models").is_dir():
        return {}
    done = run(folder, "-c", COLUMNS)
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-LAST_LINES:])
        raise ReleaseError(f"the models of {folder} can't be imported:\n{said}")
    found: Columns = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python of the service, called in its folder. Raises ProjectError when there is no uv."""
    if Path(sys.prefix).resolve() == (folder / ".venv").resolve():
        python = [sys.executable]
    else:
        # Quiet: what it installs on the way is nobody's output.
        uv = [find_uv(), "run", "--quiet", "--frozen", "--no-dev", "--project", str(folder)]
        python = [*uv, "python"]
    return subprocess.run(
        [*python, *words],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder)),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
