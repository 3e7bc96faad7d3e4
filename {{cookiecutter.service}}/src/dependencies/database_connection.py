"""What every connection to PostgreSQL is told when it is opened: who we are,
and how long a statement, a lock or an idle transaction may hold it."""

import os
from typing import Any

from src.about import NAME, VERSION
from src.dependencies.config import DatabaseSettings
from src.dependencies.database_faults import connect

# The server's own limit is to strike first; ours is for one that is gone.
GRACE_SECONDS = 5


def connect_args(settings: DatabaseSettings) -> dict[str, Any]:
    """What SQLAlchemy hands to asyncpg for each connection.

    A pooler in transaction mode gives each transaction another server, so
    there nothing may be kept on one: no prepared statement, no setting.
    """
    own: dict[str, Any]
    if settings.pooler:
        own = {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,  # "", the unnamed one
        }
    else:
        own = {"server_settings": server_settings(settings)}
    return own | {
        "async_creator_fn": connect,
        "timeout": settings.connect_seconds,
        "command_timeout": settings.statement_seconds + GRACE_SECONDS,
    }


def server_settings(settings: DatabaseSettings) -> dict[str, str]:
    """PostgreSQL's parameters. A DBA finds us in pg_stat_activity."""
    revision = os.environ.get("K_REVISION", VERSION)
    return {
        "application_name": f"{NAME} {revision}"[:63],
        "statement_timeout": milliseconds(settings.statement_seconds),
        "lock_timeout": milliseconds(settings.lock_seconds),
        "idle_in_transaction_session_timeout": milliseconds(
            settings.idle_in_transaction_seconds
        ),
    }


def milliseconds(seconds: float) -> str:
    """As PostgreSQL takes a time; at least 1, for 0 would be no limit."""
    return str(max(1, round(seconds * 1000)))
