"""Asks a server through psql, the password in its environment, the statements on its input.

Neither ever appears in an argument list, which other users of the machine can read.
"""

import os
import subprocess
from dataclasses import dataclass, field

from infra.emulator.postgres.binaries import Binaries, environment
from infra.emulator.postgres.errors import QueryError

PASSWORD_REFUSED = "password authentication failed"  # noqa: S105
LONGEST_NAME = 63


@dataclass(frozen=True)
class Login:
    """Where a server is and who asks it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    def variables(self, database: str) -> dict[str, str]:
        """libpq's variables for this login; a database named here is no connection string."""
        return {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": database,
            "PGPASSFILE": os.devnull,
            "PGCLIENTENCODING": "UTF8",
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
            "PGCONNECT_TIMEOUT": "10",
        }


def ask(binaries: Binaries, login: Login, sql: str, database: str = "postgres") -> str:
    """Runs statements up to the first error; returns their rows, a line each, parted by `|`.

    Raises QueryError with what psql said.
    """
    done = subprocess.run(
        [
            binaries.program("psql"),
            *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
            "--set=ON_ERROR_STOP=1",
        ],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env=environment() | login.variables(database),
        errors="replace",
        input=sql,
    )
    if done.returncode != 0:
        raise QueryError(done.stderr.strip() or f"psql ended with status {done.returncode}")
    return done.stdout.rstrip("\r\n")


def identifier(name: str) -> str:
    """The name as SQL takes it, whatever is in it.

    Raises ValueError when PostgreSQL would refuse it, or cut it off and so mean another.
    """
    if not name or "\0" in name or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"a name in PostgreSQL takes 1 to {LONGEST_NAME} bytes, none of them 0: {name!r}"
        )
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
