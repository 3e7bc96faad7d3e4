"""An entity's migrations, as the service's own Alembic writes them, without a database."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from infra.project import ProjectError, environment, find_uv

PROGRAM = Path(__file__).with_name("migration_program.py")
LAST_LINES = 15


@dataclass(frozen=True)
class Migration:
    """What one migration does to a table: `step` is one of migration_program.STEPS."""

    step: str
    table: str
    message: str
    date: str
    """In ISO format: when it is written."""
    columns: tuple[str, ...] = ()
    revision: str = ""
    """Its id; made of what it does and what it comes after, when it is empty."""
    up: str = ""
    """What it does, in Python, where `step` is "text"; and what undoes it."""
    down: str = ""


def write(room: Path, folder: Path, migrations: Sequence[Migration]) -> dict[str, str]:
    """Writes the migrations, one after the other, in the room, a copy of the service in `folder`
    that has the new models. Returns the text of each by its path there; one with nothing to do is
    left out. Raises ProjectError with what the service's Python said.
    """
    given = json.dumps([asdict(each) for each in migrations])
    done = run(room, folder, str(PROGRAM), text=given)
    if done.returncode:
        said = "\n".join(f"  {line}" for line in done.stderr.strip().splitlines()[-LAST_LINES:])
        listed = ", ".join(f"“{each.message}”" for each in migrations)
        raise ProjectError(f"{folder}: its Alembic can't write {listed}:\n{said}")
    # The service's own env.py may print too.
    paths = [line for line in done.stdout.splitlines() if (room / line).is_file()]
    return {path: (room / path).read_text("utf-8") for path in paths}


def run(
    room: Path, folder: Path, *words: str, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Python of the service, in the room, where it finds the room's modules before its own."""
    own = os.environ.get("UV_PROJECT_ENVIRONMENT") or folder / ".venv"
    if Path(sys.prefix).resolve() == Path(own).resolve():
        python = [sys.executable]
    else:
        python = [find_uv(), "run", "--quiet", "--project", str(folder), "python"]
    return subprocess.run(
        [*python, *words],
        cwd=room,
        env=environment(PYTHONPATH=str(room)),
        input=text,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def formatted(room: Path, folder: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """The texts as the service's own ruff has them. Raises ProjectError where it can't."""
    paths = [*texts]
    for path, text in texts.items():
        place = room / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8", newline="\n")
    check = ("check", "--fix", "--quiet", "--select", "I,RUF022", "--ignore", "E,F")
    for words in (check, ("format", "--quiet")):
        done = run(room, folder, "-m", "ruff", *words, *paths)
        if done.returncode:
            raise ProjectError(
                f"{folder}: its ruff can't format the new files:\n{done.stderr}{done.stdout}"
            )
    return {path: (room / path).read_text("utf-8") for path in paths}


def now() -> datetime:
    """The time, to the minute, as names of migrations have it."""
    return datetime.now().astimezone().replace(second=0, microsecond=0)
