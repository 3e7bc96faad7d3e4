"""The migrations: one line of them, equal to the models, one at a time."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Protocol

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel

import src.models
from src.dependencies.config import Settings, get_config
from src.dependencies.database import create_engine
from tests.conftest import ROOT, temporary_database

LOCK = 7_205_310_842


class Choose(Protocol):
    """A function that sets environment variables."""

    def __call__(self, **variables: str) -> None: ...


@pytest.fixture
async def empty(settings: Settings) -> AsyncIterator[str]:
    """The name of a database in which nothing has run."""
    name = f"{settings.database.name}_empty"
    async with temporary_database(name):
        yield name


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Choose]:
    """Sets environment variables, and has the configuration read anew."""

    def choose(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_config.cache_clear()

    yield choose
    get_config.cache_clear()


async def run(database: str, *arguments: str) -> tuple[int, str]:
    """Alembic's command line, run in `db/` as the README says."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "alembic", *arguments),
        cwd=ROOT / "db",
        env=os.environ | {"DATABASE__NAME": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def test_there_is_one_head(alembic: AlembicConfig) -> None:
    assert len(ScriptDirectory.from_config(alembic).get_heads()) == 1


def test_every_model_is_exported() -> None:
    tables = {
        model.__tablename__
        for model in vars(src.models).values()
        if isinstance(model, type)
        and issubclass(model, SQLModel)
        and hasattr(model, "__table__")
    }
    assert tables == set(SQLModel.metadata.tables)
    files = {path.stem for path in (ROOT / "src/models").glob("*_model.py")}
    imported = {name for name in sys.modules if name.startswith("src.models.")}
    assert {f"src.models.{name}" for name in files} <= imported


async def test_models_and_migrations_agree(
    settings: Settings, alembic: AlembicConfig
) -> None:
    await asyncio.to_thread(command.check, alembic)


async def test_down_and_up_again(
    empty: str, alembic: AlembicConfig, chosen: Choose
) -> None:
    chosen(DATABASE__NAME=empty)
    await asyncio.to_thread(command.upgrade, alembic, "head")
    await asyncio.to_thread(command.downgrade, alembic, "base")
    await asyncio.to_thread(command.upgrade, alembic, "head")


async def test_they_may_take_longer_than_a_request(
    empty: str, alembic: AlembicConfig, chosen: Choose
) -> None:
    chosen(DATABASE__NAME=empty, DATABASE__STATEMENT_SECONDS="0.001")
    await asyncio.to_thread(command.upgrade, alembic, "head")


async def test_of_ten_at_once_one_runs_and_nine_find_nothing_to_do(
    empty: str,
) -> None:
    results = await asyncio.gather(
        *(run(empty, "upgrade", "head") for _ in range(10))
    )
    assert [status for status, _ in results] == [0] * 10, results
    outputs = [output for _, output in results]
    assert sum("applied 0001" in each for each in outputs) == 1
    assert sum("pending: none" in each for each in outputs) == 9


async def test_a_waiting_upgrade_does_not_block_an_index(
    empty: str, alembic: AlembicConfig, chosen: Choose
) -> None:
    chosen(DATABASE__NAME=empty)
    engine = create_engine(get_config().database)
    async with engine.connect() as first, engine.connect() as watcher:
        await first.execution_options(isolation_level="AUTOCOMMIT")
        await watcher.execution_options(isolation_level="AUTOCOMMIT")
        await first.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        await first.execute(text("CREATE TABLE indexed (word text)"))
        second = asyncio.create_task(
            asyncio.to_thread(command.upgrade, alembic, "head")
        )
        asked = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE query LIKE '%advisory_lock%' AND datname = :name "
            "AND pid NOT IN (pg_backend_pid(), :first)"
        )
        pid = await first.execute(text("SELECT pg_backend_pid()"))
        values = {"name": empty, "first": pid.scalar_one()}
        while (await watcher.execute(asked, values)).scalar_one() == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        index = text("CREATE INDEX CONCURRENTLY ON indexed (word)")
        async with asyncio.timeout(30):
            await first.execute(index)
        assert not second.done()
        await first.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
        await second
    await engine.dispose()


def test_the_sql_is_printed_without_a_database(
    alembic: AlembicConfig,
    chosen: Choose,
    unused_tcp_port: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen(DATABASE__PORT=str(unused_tcp_port))
    command.upgrade(alembic, "head", sql=True)
    output = capsys.readouterr().out
    assert "CREATE TABLE alembic_version" in output
    assert "touch_updated_at" in output


async def test_a_missing_database_is_said_in_a_line(
    alembic: AlembicConfig,
    chosen: Choose,
    unused_tcp_port: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = str(unused_tcp_port)
    chosen(DATABASE__HOST="127.0.0.1", DATABASE__PORT=port)
    with pytest.raises(SystemExit, match="1"):
        await asyncio.to_thread(command.current, alembic)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no database answers at 127.0.0.1:{port}" in line
    assert "uv run invoke dev" in line


def test_a_wrong_setting_is_said_in_a_line(
    alembic: AlembicConfig, chosen: Choose, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen(DATABASE__PORT="x")
    with pytest.raises(SystemExit, match="2"):
        command.current(alembic)
    error = capsys.readouterr().err
    assert error.startswith("config: database.port = 'x'")
