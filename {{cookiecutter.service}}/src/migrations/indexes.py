"""Indexes that CREATE INDEX CONCURRENTLY left half made when it was
interrupted: each write pays for them, and no query uses them.

https://www.postgresql.org/docs/current/sql-createindex.html
"""

import logging
import re

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from src.migrations.progress import say

# What REINDEX CONCURRENTLY calls those that it makes for a while.
TEMPORARY = re.compile(r"_cc(new|old)\d*$")
# None, too, while another user makes an index: which one, we are not shown.
INVALID = text(
    "SELECT n.nspname, c.relname FROM pg_index i "
    "JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE NOT i.indisvalid AND c.relkind = 'i' "
    r"AND n.nspname NOT LIKE 'pg\_%' AND i.indexrelid NOT IN "
    "(SELECT index_relid FROM pg_stat_progress_create_index "
    "WHERE datname = current_database()) "
    "ORDER BY 1, 2"
)


async def mend(keeper: AsyncConnection, pending: str) -> None:
    """Drops such an index when a migration that is pending, whose source is
    given, is going to make it; else makes it anew."""
    for row in (await keeper.execute(INVALID)).all():
        name: str = row.relname
        quoted = ".".join(map(quote, (row.nspname, name)))
        is_remade = re.search(rf"\b{re.escape(name)}\b", pending) is not None
        if is_remade or TEMPORARY.search(name):
            await keeper.execute(
                text(f"DROP INDEX CONCURRENTLY IF EXISTS {quoted}")
            )
            why = "a pending migration makes it" if is_remade else "temporary"
            say(
                f"the index {name} was half made, and is dropped: {why}",
                event="repaired",
                index=name,
            )
            continue
        try:
            await keeper.execute(text(f"REINDEX INDEX CONCURRENTLY {quoted}"))
        except DBAPIError as error:
            # Its rows may not be unique, say: no reason not to migrate.
            say(
                f"the index {name} is half made, and can't be made anew: "
                f"{error.orig}",
                logging.WARNING,
                event="invalid",
                index=name,
            )
        else:
            say(
                f"the index {name} was half made, and is made anew",
                event="repaired",
                index=name,
            )


def quote(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
