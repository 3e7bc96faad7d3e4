"""How Alembic runs here: on the service's own database, by src.migrations."""

import asyncio
import sys
from collections.abc import Iterable
from typing import Any

from alembic import context
from alembic.autogenerate.rewriter import Rewriter
from alembic.operations.ops import (
    CreateTableOp,
    ExecuteSQLOp,
    MigrateOperation,
)
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection
from sqlmodel import SQLModel

import src.models
from src.dependencies.config import get_config
from src.dependencies.config_error import ConfigError
from src.migrations.progress import MigrationError, Stopwatch, open_log
from src.migrations.run import run

# A migration that only mentions src.models would lose this import to a linter.
assert src.models.__all__

writer = Rewriter()
leaving = (context.config.get_main_option("leaving") or "").split()


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


def is_ours(
    thing: Any, name: str | None, kind: str, reflected: bool, model: object
) -> bool:
    """Whether models and database are to agree on it: not when the code no
    longer uses it, and a later release drops it (`leaving` in alembic.ini);
    an index or a key goes with any of its columns."""
    if not reflected or model is not None:
        return True
    table = getattr(getattr(thing, "table", None), "name", None)
    if kind == "table":
        return name not in leaving
    names = [name] if kind == "column" else [c.name for c in thing.columns]
    return not any(f"{table}.{each}" in leaving for each in names)


def migrate(connection: Connection) -> None:
    """Runs the migrations, each in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=True,
        process_revision_directives=writer,
        include_object=is_ours,
        on_version_apply=Stopwatch().tell,
    )
    with context.begin_transaction():
        context.run_migrations()


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


def has_destination() -> bool:
    """Whether the command is to bring the database to a revision."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def main() -> None:
    """Alembic's command, on the database of the configuration."""
    settings = get_config()
    open_log(settings)
    moves = has_destination()
    asyncio.run(run(settings, context.script, migrate, moves=moves))


try:
    print_sql() if context.is_offline_mode() else main()
except ConfigError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
except MigrationError as error:
    print(f"alembic: {error}", file=sys.stderr)
    sys.exit(1)
except OSError as error:
    settings = get_config().database
    print(
        f"alembic: no database answers at {settings.host}:{settings.port} "
        f"({error}). Start one: uv run invoke dev",
        file=sys.stderr,
    )
    sys.exit(1)
