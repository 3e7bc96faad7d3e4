"""Who keeps a migration from its lock: looked up while it waits, because
afterwards nobody knows.

https://www.postgresql.org/docs/current/functions-info.html
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from src.dependencies.config import MigrationSettings
from src.migrations.progress import say

POLL_SECONDS = 0.25
LONGEST_QUERY = 300
HIDDEN = "<insufficient privilege>"
BLOCKERS = text(
    "SELECT pid, application_name, usename, state, query, "
    "extract(epoch FROM clock_timestamp() - xact_start) AS seconds "
    "FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(:waits))"
)


class Watch:
    """Looks, on the connection that keeps others away, for whom the one that
    migrates waits."""

    def __init__(self, keeper: AsyncConnection, lock_seconds: float) -> None:
        self.keeper = keeper
        # Several times before it gives up.
        self.poll = min(POLL_SECONDS, lock_seconds / 4)
        self.blockers: list[str] = []

    @asynccontextmanager
    async def over(self, waits: int) -> AsyncIterator[None]:
        """Watches the backend with that pid for the length of the block."""
        ended = asyncio.Event()
        watching = asyncio.create_task(self.watch(waits, ended))
        try:
            yield
        finally:
            ended.set()
            await watching

    async def watch(self, waits: int, ended: asyncio.Event) -> None:
        """Keeps whoever blocked last, until the event."""
        while not ended.is_set():
            try:
                rows = await self.keeper.execute(BLOCKERS, {"waits": waits})
                found = [describe(**row) for row in rows.mappings()]
            except (DBAPIError, OSError):
                return  # gone, and then the migration says so
            self.blockers = found or self.blockers
            try:
                await asyncio.wait_for(ended.wait(), self.poll)
            except TimeoutError:
                continue

    def tell(self, count: int, attempts: int) -> None:
        """Says that it gave up, and because of whom."""
        say(
            f"a lock was not to be had, attempt {count} of {attempts}; "
            + self.by_whom(),
            logging.WARNING,
            event="blocked",
            blockers=self.blockers,
        )

    def summary(self, limits: MigrationSettings) -> str:
        """Why the migration did not run."""
        return (
            f"a lock was not to be had in {limits.attempts} attempts of "
            f"{limits.lock_seconds:g} s each; {self.by_whom()}\n"
            "Nothing of that migration is kept. Let it end, or end it "
            "(SELECT pg_terminate_backend(pid)), and run it again"
        )

    def by_whom(self) -> str:
        """Who blocked last."""
        if not self.blockers:
            return "who held it is not known"
        return "it is held by " + "; ".join(self.blockers)


def describe(
    pid: int,
    application_name: str | None,
    usename: str | None,
    state: str | None,
    query: str | None,
    seconds: float | None,
) -> str:
    """A backend that blocks, in a line."""
    if not query or query == HIDDEN:
        shown = (
            "its query is not shown to us: GRANT pg_read_all_stats to the "
            "user who migrates"
        )
    else:
        line = " ".join(query.split())
        shown = f"query: {line[:LONGEST_QUERY]}"
    since = f" for {seconds:.0f} s" if seconds is not None else ""
    return (
        f"pid {pid} ({application_name or 'no name'}, user {usename}), "
        f"{state or 'in a state not shown'}, in its transaction{since}, {shown}"
    )
