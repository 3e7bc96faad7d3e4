"""Ten entities that refer to each other, of every type of field, in one service."""

import re
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies  # type: ignore[import-untyped]

from tests.infra.scaffold.entities import TEN
from tests.infra.scaffold.generating import generate
from tests.template.bakes import bake

# Creates a row of each by the tests' own helpers, then goes down and up again.
POPULATED = '''"""The ten on a database that has rows."""

import asyncio
from importlib import import_module

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text

from src.dependencies.config import Settings, get_config
from src.dependencies.database import create_engine
from src.main import create_app, lifespan
from tests.conftest import temporary_database

NAMES = {names}


async def test_down_and_up_again_with_rows(
    settings: Settings, alembic: AlembicConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{{settings.database.name}}_populated"
    async with temporary_database(name):
        monkeypatch.setenv("DATABASE__NAME", name)
        get_config.cache_clear()
        await asyncio.to_thread(command.upgrade, alembic, "head")
        await populate(get_config())
        for step in ["-1"] * len(NAMES):
            await asyncio.to_thread(command.downgrade, alembic, step)
        await asyncio.to_thread(command.upgrade, alembic, "head")
        await asyncio.to_thread(command.check, alembic)
        await populate(get_config())
    monkeypatch.undo()
    get_config.cache_clear()


async def populate(settings: Settings) -> None:
    """A row in each table."""
    app = create_app(settings)
    async with (
        lifespan(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://t") as client,
    ):
        for name in NAMES:
            await import_module(f"tests.test_{{name}}").create(client)
    engine = create_engine(settings.database)
    async with engine.connect() as connection:
        for table in {tables}:
            count = await connection.execute(text(f"SELECT count(*) FROM {{table}}"))
            assert count.scalar_one() > 0, table
    await engine.dispose()
'''


@pytest.mark.long
def test_the_service_of_ten_entities_passes_all_there_is(cookies: Cookies, tmp_path: Path) -> None:
    service = bake(cookies, tmp_path, entity="none")
    generate(service, TEN, tmp_path)
    service.passes("ruff", "check", ".")
    service.passes("ruff", "format", "--check", ".")
    service.passes("mypy")
    names = [each.name for each in TEN]
    text = POPULATED.format(names=names, tables=[each.plural for each in TEN])
    (service.folder / "tests/test_populated.py").write_text(text, "utf-8")
    chosen = (*names, "api_contract", "layers", "migrations", "migration_run", "populated")
    files = [f"tests/test_{each}.py" for each in chosen]
    output = service.passes("pytest", "-q", "-n", "2", *files, CONTRACT_EXAMPLES="2")
    assert re.search(r"\d{3} passed", output)
    assert "failed" not in output
