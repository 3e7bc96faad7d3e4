"""Ten entities that refer to each other, of every type of field, in one service."""

import re
import subprocess
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies  # type: ignore[import-untyped]

from tests.end_to_end.rehearsals import commit
from tests.infra.scaffold.entities import MORE, TEN
from tests.infra.scaffold.generating import add, generate
from tests.infra.scaffold.ten import OPTION
from tests.template.bakes import Baked, bake

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
        await asyncio.to_thread(command.downgrade, alembic, "0001")
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


OURS = "    # What we sell it for.\n"


def edit_as_a_team_would(folder: Path) -> None:
    """Comments, a line of our own, a test of our own."""
    path = folder / "src/models/product_model.py"
    text = path.read_text("utf-8").replace("    price:", f"{OURS}    price:", 1)
    text = text.replace("import Annotated\n", "import Annotated, ClassVar\n")
    text = text.replace('"""The table."""\n', '"""The table."""\n\n    ours: ClassVar[int] = 1\n')
    path.write_text(text, "utf-8")
    with (folder / "tests/test_product.py").open("a", encoding="utf-8") as file:
        file.write("\n\ndef test_of_ours() -> None:\n    assert URL\n")


def come_and_go(service: Baked) -> None:
    """An entity by the command as a person types it: made, given a field, and taken out again."""
    words = ("Gadget", "name:str unique max=80", "other:ref Gadget? on_delete=set_null")
    shown = service.passes("invoke", "entity", *words, "--dry-run")
    assert "+class GadgetBase(SQLModel):" in shown
    assert changed(service) == []
    made = service.passes("invoke", "entity", *words, "--no-checks")
    assert "gadget_router.py" in made
    assert "uv run invoke migrate" in made
    service.passes("invoke", "entity", "--add", "Gadget", "weight:float?", "--no-checks")
    model = (service.folder / "src/models/gadget_model.py").read_text("utf-8")
    assert "weight: Float | None" in model
    again = service.run("invoke", "entity", *words, "--no-checks")
    assert again.returncode == 2 and "Gadget" in again.stdout
    service.passes("invoke", "entity", "--remove", "Gadget", "--yes")
    assert changed(service) == []


def a_field_comes_and_goes(service: Baked) -> None:
    """A field that was released: out of the code first, and then out of the database."""
    commit(service.folder, "Before")
    service.passes(
        "invoke", "entity", "--add", "Product", "fleeting:int default=1 index", "--no-checks"
    )
    commit(service.folder, "Add a field")
    out = ("invoke", "entity", "--remove", "Product", "fleeting", "--yes", "--no-checks")
    assert "the table products keeps the values" in service.passes(*out)
    assert not any(path.endswith(".py") and "/versions/" in path for path in changed(service))
    assert "The migration drops products.fleeting" in service.passes(*out)
    assert "fleeting" not in (service.folder / "src/models/product_model.py").read_text("utf-8")


def changed(service: Baked) -> list[str]:
    """What differs from the last commit."""
    git = ("git", "-C", str(service.folder), "status", "--porcelain", "--untracked-files=all")
    return subprocess.check_output(git, text=True).splitlines()


@pytest.mark.long
def test_the_service_of_ten_entities_passes_all_there_is(
    cookies: Cookies, shared: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    service = bake(cookies, shared, entity="none")
    come_and_go(service)
    generate(service, TEN, tmp_path)
    edit_as_a_team_would(service.folder)
    add(service, MORE, tmp_path)
    model = (service.folder / "src/models/product_model.py").read_text("utf-8")
    assert OURS in model and "ours: ClassVar[int] = 1" in model
    a_field_comes_and_goes(service)
    service.passes("invoke", "lint")
    names = [each.name for each in TEN]
    text = POPULATED.format(names=names, tables=[each.plural for each in TEN])
    (service.folder / "tests/test_populated.py").write_text(text, "utf-8")
    if request.config.getoption(OPTION):
        output = service.passes("invoke", "test")
        assert "Required test coverage of 95.0% reached" in output
        return
    chosen = (*names, "api_contract", "layers", "populated")
    files = [f"tests/test_{each}.py" for each in chosen]
    output = service.passes("pytest", "-q", "-n", "2", *files, CONTRACT_EXAMPLES="1")
    assert re.search(r"\d{3} passed", output)
    assert "failed" not in output
