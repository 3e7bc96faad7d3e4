"""PostgreSQL, asked through psql: once, or again and again on one connection.

Neither the password nor a statement is in an argument list.
"""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

PARTED = "\t"


class PsqlError(Exception):
    """PostgreSQL refused; the text is its message."""


@dataclass(frozen=True)
class Psql:
    """A program, and the variables that lead it to a database."""

    program: str
    variables: Mapping[str, str] = field(repr=False)

    @property
    def command(self) -> list[str]:
        """Rows and nothing else, a line each."""
        return [
            self.program,
            *("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--no-password"),
            *("--set=ON_ERROR_STOP=1", f"--field-separator={PARTED}"),
        ]

    def ask(self, sql: str) -> list[list[str]]:
        """The rows of a query. Raises PsqlError."""
        done = subprocess.run(
            self.command,
            capture_output=True,
            check=False,
            encoding="utf-8",
            env=self.variables,
            errors="replace",
            input=sql,
        )
        if done.returncode:
            raise PsqlError(done.stderr.strip())
        return [line.split(PARTED) for line in done.stdout.splitlines() if line]

    def watch(self, sql: str, seconds: float) -> subprocess.Popen[str]:
        """Asks the same every so many seconds until it is ended; its output has the rows."""
        process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.variables,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(f"{sql} \\watch {seconds}\n")
        process.stdin.close()
        return process
