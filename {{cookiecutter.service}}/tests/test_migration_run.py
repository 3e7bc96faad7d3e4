"""Migrations that are blocked, killed or too slow, on a real PostgreSQL: they
never harm, they say why, and the next run finishes."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, Table
from sqlmodel import SQLModel

from src.dependencies.config import Settings, get_config
from src.migrations.blocking import HIDDEN, describe
from tests.conftest import ROOT, temporary_database

PATIENCE_SECONDS = 60
HEAD = ScriptDirectory(str(ROOT / "db")).get_current_head() or ""
type Add = Callable[..., AlembicConfig]

MIGRATION = '''"""{revision}

What a test needs.
"""

from alembic import op

revision = "{revision}"
down_revision = "{after}"


def upgrade() -> None:
    {code}


def downgrade() -> None:
    """Nothing."""
'''


@pytest.fixture
async def database(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncpg.Connection]:
    """A database that is migrated, with a table of its own, and whoever else
    uses it; what blocks is shown at once."""
    name = f"{settings.database.name}_run"
    for key, value in {
        "DATABASE__NAME": name,
        "MIGRATIONS__LOCK_SECONDS": "0.3",
        "MIGRATIONS__ATTEMPTS": "2",
        "MIGRATIONS__PAUSE_SECONDS": "0.05",
    }.items():
        monkeypatch.setenv(key, value)
    get_config.cache_clear()
    async with temporary_database(name):
        await upgrade(AlembicConfig(ROOT / "db/alembic.ini"))
        other = await connect(name)
        await other.execute("CREATE TABLE things (word text)")
        yield other
        await other.close()
    get_config.cache_clear()


async def connect(name: str) -> asyncpg.Connection:
    """A connection of whoever else uses the database."""
    given = get_config().database
    return await asyncpg.connect(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.password.get_secret_value(),
        database=name,
        server_settings={"application_name": "somebody else"},
    )


@pytest.fixture
def add(tmp_path: Path) -> Add:
    """Adds a migration behind the service's own, in a copy of db/."""
    folder = tmp_path / "db"
    shutil.copytree(ROOT / "db", folder)

    def migration(
        *lines: str, revision: str = "next", after: str = HEAD
    ) -> AlembicConfig:
        code = "\n    ".join(lines)
        (folder / "versions" / f"{revision}.py").write_text(
            MIGRATION.format(revision=revision, after=after, code=code)
        )
        return AlembicConfig(folder / "alembic.ini")

    return migration


class Ended(Exception):
    """Alembic has ended with an error. A task that ended with SystemExit would
    end the event loop."""


async def upgrade(alembic: AlembicConfig) -> None:
    """Brings the database to the newest revision. Raises Ended."""
    try:
        await asyncio.to_thread(command.upgrade, alembic, "head")
    except SystemExit as error:
        raise Ended(str(error.code)) from error


async def revision_of(database: asyncpg.Connection) -> str:
    """Where the database is."""
    found: str = await database.fetchval("SELECT * FROM alembic_version")
    return found


async def until(database: asyncpg.Connection, condition: str) -> None:
    """Waits until somebody in the database is seen so."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = "
        f"current_database() AND pid <> pg_backend_pid() AND {condition}"
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await database.fetchval(sql):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def said(output: str) -> list[dict[str, object]]:
    """What the lines of a log say for a program."""
    lines = [
        json.loads(each) for each in output.splitlines() if each[:1] == "{"
    ]
    return [each["migration"] for each in lines]


async def test_it_says_where_the_database_was_and_is(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    await upgrade(add("op.execute('ALTER TABLE things ADD size int')"))
    before, applied, after = said(capsys.readouterr().out)
    assert (before["revision"], before["pending"]) == (HEAD, ["next"])
    assert (applied["event"], applied["revision"]) == ("applied", "next")
    assert after == {"event": "after", "revision": "next"}


async def test_a_lock_that_is_not_to_be_had_names_who_holds_it(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    alembic = add("op.execute('ALTER TABLE things ADD size int')")
    async with database.transaction():
        await database.execute("LOCK TABLE things")
        with pytest.raises(Ended, match="1"):
            await upgrade(alembic)
    error = capsys.readouterr().err
    pid = await database.fetchval("SELECT pg_backend_pid()")
    assert "a lock was not to be had in 2 attempts of 0.3 s each" in error
    assert f"pid {pid} (somebody else, user " in error
    assert "idle in transaction" in error
    assert "query: LOCK TABLE things" in error
    assert await revision_of(database) == HEAD
    await upgrade(alembic)
    assert await revision_of(database) == "next"


async def test_it_is_tried_again_until_the_lock_is_free(
    database: asyncpg.Connection, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATIONS__ATTEMPTS", "100")
    get_config.cache_clear()
    watcher = await connect(get_config().database.name)
    first = database.transaction()
    await first.start()
    await database.execute("LOCK TABLE things")
    migrating = asyncio.create_task(
        upgrade(add("op.execute('ALTER TABLE things ADD size int')"))
    )
    # Blocked once, it comes back with another backend.
    waits = "application_name LIKE '%migrate' AND wait_event_type = 'Lock'"
    await until(watcher, waits)
    pid = await watcher.fetchval(
        f"SELECT pid FROM pg_stat_activity WHERE {waits}"
    )
    await until(watcher, f"{waits} AND pid <> {pid}")
    await first.rollback()
    await migrating
    await watcher.close()
    assert await revision_of(database) == "next"


async def test_an_index_made_concurrently_may_wait_for_long(
    database: asyncpg.Connection, add: Add
) -> None:
    alembic = add(
        "with op.get_context().autocommit_block():",
        "    op.execute('CREATE INDEX CONCURRENTLY by_word ON things (word)')",
    )
    watcher = await connect(get_config().database.name)
    async with database.transaction():
        await database.execute("INSERT INTO things VALUES ('a')")
        migrating = asyncio.create_task(upgrade(alembic))
        waits = "query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"
        longer = "query_start < clock_timestamp() - interval '1 s'"
        await until(watcher, f"{waits} AND {longer}")
    await migrating
    await watcher.close()
    assert await revision_of(database) == "next"


async def test_a_statement_that_takes_too_long_is_said(
    database: asyncpg.Connection,
    add: Add,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MIGRATIONS__STATEMENT_SECONDS", "0.2")
    get_config.cache_clear()
    with pytest.raises(Ended, match="1"):
        await upgrade(add("op.execute('SELECT pg_sleep(60)')"))
    error = capsys.readouterr().err
    assert "took longer than 0.2 s" in error
    assert "MIGRATIONS__STATEMENT_SECONDS" in error


async def test_a_connection_lost_in_the_middle_leaves_nothing_behind(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = add(
        "op.execute('CREATE TABLE half (id int)')",
        "op.execute('SELECT pg_sleep(60)')",
    )
    migrating = asyncio.create_task(upgrade(lost))
    await until(database, "query LIKE 'SELECT pg_sleep%'")
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE '%migrate'"
    )
    with pytest.raises(Ended, match="1"):
        await migrating
    assert "lost in the middle of a migration" in capsys.readouterr().err
    assert await revision_of(database) == HEAD
    assert await database.fetchval("SELECT to_regclass('half')") is None
    await upgrade(add("op.execute('CREATE TABLE half (id int)')"))
    assert await revision_of(database) == "next"


@pytest.mark.skipif(
    sys.platform == "win32",
    reason="PostgreSQL there does not notice that a client is gone",
)
async def test_a_run_that_is_killed_leaves_nothing_behind(
    database: asyncpg.Connection, add: Add
) -> None:
    alembic = add(
        "op.execute('ALTER TABLE things ADD size int')",
        "op.execute('SELECT pg_sleep(60)')",
    )
    ini = alembic.config_file_name
    assert ini is not None
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "alembic", "-c", ini, "upgrade", "head"),
        cwd=ROOT,
        env=os.environ.copy(),
    )
    await until(database, "query LIKE 'SELECT pg_sleep%'")
    process.kill()
    await process.wait()
    assert await revision_of(database) == HEAD
    # The backend sees that nobody is there, and gives the table back.
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await database.fetch("SELECT * FROM things") == []
    await upgrade(add("op.execute('ALTER TABLE things ADD size int')"))
    assert await revision_of(database) == "next"


async def test_an_index_left_half_made_is_mended(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.execute("INSERT INTO things VALUES ('same'), ('same')")
    for name in ("by_word", "other_word"):
        with pytest.raises(asyncpg.UniqueViolationError):
            await database.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON things (word)"
            )
    await database.execute("DELETE FROM things")
    await upgrade(
        add(
            "with op.get_context().autocommit_block():",
            "    op.create_index(",
            "        'by_word', 'things', ['word'], unique=True,",
            "        postgresql_concurrently=True,",
            "    )",
        )
    )
    output = capsys.readouterr().out
    assert "by_word was half made, and is dropped" in output
    assert "other_word was half made, and is made anew" in output
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert await database.fetchval(invalid) == 0
    assert await database.fetchval("SELECT to_regclass('by_word')") is not None


async def test_an_index_that_can_not_be_mended_stops_nothing(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.execute("INSERT INTO things VALUES ('same'), ('same')")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(
            "CREATE UNIQUE INDEX CONCURRENTLY by_word ON things (word)"
        )
    await upgrade(add("op.execute('ALTER TABLE things ADD size int')"))
    assert "by_word is half made, and can't be" in capsys.readouterr().out
    assert await revision_of(database) == "next"


async def test_a_database_newer_than_the_migrations_is_said(
    database: asyncpg.Connection, add: Add, capsys: pytest.CaptureFixture[str]
) -> None:
    await database.execute("UPDATE alembic_version SET version_num = 'later'")
    with pytest.raises(Ended, match="1"):
        await upgrade(AlembicConfig(ROOT / "db/alembic.ini"))
    error = capsys.readouterr().err
    assert "the database is at later" in error
    assert "Release the commit that has it" in error


async def test_what_leaves_in_a_later_release_is_no_difference(
    database: asyncpg.Connection, add: Add
) -> None:
    await database.execute("DROP TABLE things")
    alembic = add("op.execute('CREATE TABLE old (id int)')")
    await upgrade(alembic)
    with pytest.raises(Exception, match="remove_table"):
        await asyncio.to_thread(command.check, alembic)
    alembic.set_main_option("leaving", "gone.column old")
    await asyncio.to_thread(command.check, alembic)


@pytest.fixture
def part() -> Iterator[None]:
    """A model of the test's own."""
    table = Table(
        "parts_here", SQLModel.metadata, Column("id", Integer, primary_key=True)
    )
    yield
    SQLModel.metadata.remove(table)


@pytest.mark.usefixtures("part")
async def test_indexes_and_keys_leave_with_their_column(
    database: asyncpg.Connection, add: Add
) -> None:
    await database.execute("DROP TABLE things")
    alembic = add(
        "op.execute('CREATE TABLE parts_here (id int PRIMARY KEY, "
        "word text UNIQUE, whole int REFERENCES parts_here)')",
        "op.execute('CREATE INDEX by_both ON parts_here (id, word)')",
    )
    await upgrade(alembic)
    alembic.set_main_option("leaving", "parts_here.whole parts_here.word")
    await asyncio.to_thread(command.check, alembic)
    await database.execute("CREATE INDEX by_id ON parts_here (id)")
    with pytest.raises(Exception, match=r"remove_index.*by_id"):
        await asyncio.to_thread(command.check, alembic)


@pytest.mark.parametrize("query", [HIDDEN, None])
def test_a_query_that_is_not_shown_says_what_shows_it(
    query: str | None,
) -> None:
    line = describe(7, None, "app", None, query, None)
    assert "pid 7 (no name, user app)" in line
    assert "GRANT pg_read_all_stats" in line
