"""Writes the migration that drops a table, by the service's own Alembic and its template.

Runs in a copy of the service. Standard library and Alembic only: nothing of infra is there. Reads a
JSON object, and prints the migration's path.
"""

import hashlib
import json
import sys
from datetime import datetime
from pathlib import Path

from alembic.config import Config  # type: ignore[import-not-found,unused-ignore]
from alembic.script import ScriptDirectory  # type: ignore[import-not-found,unused-ignore]


def main() -> None:
    """Does it."""
    given = json.load(sys.stdin)
    script = ScriptDirectory.from_config(Config("db/alembic.ini"))
    bodies = (given["upgrade"], given["downgrade"])
    derived = hashlib.sha256("\n".join([*script.get_heads(), *bodies]).encode()).hexdigest()
    date = datetime.fromisoformat(given["date"])
    script._generate_create_date = lambda: date
    made = script.generate_revision(
        derived[:12],
        given["message"],
        refresh=False,
        upgrades=bodies[0],
        downgrades=bodies[1],
        imports=given["imports"],
    )
    print(Path(made.path).relative_to(Path.cwd()).as_posix())


if __name__ == "__main__":
    main()
