"""How Alembic runs here: on the service's own database, one at a time."""

import asyncio
import sys
from collections.abc import Iterable

from alembic import context
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations.ops import (
    CreateTableOp,
    ExecuteSQLOp,
    MigrateOperation,
)
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Column, Connection, NullPool, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

import src.models
from src.dependencies.config import get_config
from src.dependencies.config_error import ConfigError
from src.dependencies.database import database_url

# Which lock of the database's advisory locks is ours; any number will do.
LOCK = 7_205_310_842
LOCK_POLL_SECONDS = 0.1

# A migration that only mentions src.models would lose this import to a linter.
assert src.models.__all__

writer = Rewriter()


@writer.rewrites(CreateTableOp)
def keep_updated_at(
    context: MigrationContext, revision: object, create: CreateTableOp
) -> Iterable[MigrateOperation]:
    """Gives a new table with `updated_at` the trigger that moves it."""
    yield create
    names = [c.name for c in create.columns if isinstance(c, Column)]
    if "updated_at" in names:
        yield ExecuteSQLOp(
            f'CREATE TRIGGER touch BEFORE UPDATE ON "{create.table_name}" '
            "FOR EACH ROW EXECUTE FUNCTION touch_updated_at()"
        )


def tell(step: MigrationInfo, **others: object) -> None:
    """Says which migration has run: it is the log of the job that migrates."""
    script = step.up_revision
    if script is not None:
        done = "applied" if step.is_upgrade else "undone"
        print(f"{done} {script.revision}: {script.doc}", flush=True)


def migrate(connection: Connection) -> None:
    """Runs the migrations, each in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
        process_revision_directives=writer,
        on_version_apply=tell,
    )
    with context.begin_transaction():
        context.run_migrations()


async def migrate_alone() -> None:
    """Takes the lock first, on a connection that does nothing else: of two
    upgrades at once the second waits, and finds nothing to do.

    It asks again and again instead of waiting inside PostgreSQL: a statement
    that waits keeps its snapshot, and CREATE INDEX CONCURRENTLY in the first
    upgrade would wait for that without end.
    """
    engine = create_async_engine(
        database_url(get_config().database), poolclass=NullPool
    )
    async with engine.connect() as connection, engine.connect() as keeper:
        await keeper.execution_options(isolation_level="AUTOCOMMIT")
        take = text(f"SELECT pg_try_advisory_lock({LOCK})")
        while not (await keeper.execute(take)).scalar_one():  # noqa: ASYNC110
            await asyncio.sleep(LOCK_POLL_SECONDS)
        await connection.run_sync(migrate)
        await connection.commit()
    await engine.dispose()


def print_sql() -> None:
    """`--sql`: prints the statements; no database is asked."""
    context.configure(
        dialect_name="postgresql",
        target_metadata=SQLModel.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


try:
    print_sql() if context.is_offline_mode() else asyncio.run(migrate_alone())
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
except OSError as error:
    settings = get_config().database
    print(
        f"alembic: no database answers at {settings.host}:{settings.port} "
        f"({error}). Start one: uv run invoke dev",
        file=sys.stderr,
    )
    sys.exit(1)
