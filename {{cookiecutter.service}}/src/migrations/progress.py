"""What a migration says while it runs: lines of the service's log, with fields
that `invoke migrate` reads back from the log of the job."""

import logging
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from alembic.runtime.migration import MigrationInfo
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError

from src.dependencies.config import Settings
from src.dependencies.logger import handler_of

logger = logging.getLogger("src.migrations")


class MigrationError(Exception):
    """The migrations can't run; the text says why, and what to do."""


def open_log(settings: Settings) -> None:
    """Sends what a migration says to standard output."""
    logger.handlers = [handler_of(settings, sys.stdout)]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def say(message: str, level: int = logging.INFO, **fields: object) -> None:
    """A line of the log."""
    logger.log(level, {"message": message, "migration": fields})


class Progress:
    """What of the history is done."""

    def __init__(self, script: ScriptDirectory) -> None:
        self.script = script

    def begin(self, heads: tuple[str, ...]) -> str:
        """Says where the database is, and what it lacks. Returns the source of
        what it lacks. Raises MigrationError when it is beyond these files."""
        pending = self.pending(heads)
        names = [each.revision for each in pending]
        say(
            f"the database is at {spell(heads)}, "
            f"pending: {', '.join(names) or 'none'}",
            event="before",
            revision=" ".join(heads),
            pending=names,
        )
        return "\n".join(Path(each.path).read_text("utf-8") for each in pending)

    def pending(self, heads: tuple[str, ...]) -> list[Script]:
        """The migrations that did not run yet, the oldest first."""
        try:
            done = {
                each.revision
                for each in self.script.iterate_revisions(heads, "base")
            }
        except (CommandError, RevisionError):
            raise MigrationError(
                f"the database is at {spell(heads)}, a revision that these "
                "migrations do not have: they are older than the database. "
                "Release the commit that has it, or a newer one"
            ) from None
        every = reversed(list(self.script.walk_revisions()))
        return [each for each in every if each.revision not in done]

    def end(self, heads: tuple[str, ...]) -> None:
        """Says where the database is now."""
        say(
            f"the database is at {spell(heads)} now",
            event="after",
            revision=" ".join(heads),
        )

    def lose(self) -> None:
        """Says that the database does not say where it is."""
        say("the database no longer answers", logging.ERROR, event="lost")


class Stopwatch:
    """Says each migration as it has run, and how long it took."""

    def __init__(self) -> None:
        self.since = perf_counter()

    def tell(self, *, step: MigrationInfo, **others: Any) -> None:
        """A migration has run, and is about to be committed."""
        seconds = round(perf_counter() - self.since, 3)
        self.since = perf_counter()
        script = step.up_revision
        if isinstance(script, Script):
            done = "applied" if step.is_upgrade else "undone"
            say(
                f"{done} {script.revision}: {script.doc}",
                event=done,
                revision=script.revision,
                seconds=seconds,
            )


def spell(heads: tuple[str, ...]) -> str:
    """Where a database is, in words."""
    return ", ".join(heads) or "no revision"
