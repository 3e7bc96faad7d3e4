"""A generated service's migrations, printed by its own Alembic and judged, without a database."""

from pathlib import Path

import pytest

from infra.release import ReleaseError, pending, schema, service_python
from tests.conftest import Bake

ASKS = """\
from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
{comment}


def upgrade() -> None:
    for row in op.get_bind().execute(text("SELECT id FROM items")).all():
        op.execute(f"UPDATE items SET name = 'x' WHERE id = '{{row.id}}'")
"""


@pytest.fixture
def folder(baked: Bake) -> Path:
    """A service whose settings can't be read: none of this is to need them."""
    folder = baked(service="pending").folder
    (folder / "config.yaml").write_text("database: [this is no mapping]\n")
    return folder


def test_the_template_s_own_migrations_are_safe_and_are_what_its_models_have(folder: Path) -> None:
    assert pending.check_all(folder) == []
    chain = schema.read(folder)
    sql = service_python.by_revision(service_python.print_upgrade(folder, "base"))
    assert list(sql) == [each.revision for each in chain] == ["0001", "0002"]
    assert sql["0002"].startswith("BEGIN;")
    assert "CREATE TABLE items" in sql["0002"]
    assert "CREATE TABLE items" not in sql["0001"]
    assert service_python.columns(folder) == {
        "items": {
            "id": "UUID",
            "created_at": "TIMESTAMP WITH TIME ZONE",
            "updated_at": "TIMESTAMP WITH TIME ZONE",
            "name": "VARCHAR(255)",
            "description": "VARCHAR(1000)?",
        }
    }
    down = service_python.print_downgrade(folder, "0002", "0001")
    assert "DROP TABLE items" in down


def test_a_migration_that_asks_a_database_has_to_say_so(folder: Path) -> None:
    asks = folder / "db/versions/20260301_0000_asks.py"
    try:
        asks.write_text(ASKS.format(comment=""))
        with pytest.raises(ReleaseError) as refused:
            pending.check_all(folder)
        assert "20260301_0000_asks.py: Alembic can't print its SQL" in str(refused.value)
        assert "# lint: allow unprintable because ..." in str(refused.value)
        asks.write_text(ASKS.format(comment="# lint: allow unprintable because it is read through"))
        assert pending.check_all(folder) == []
    finally:
        asks.unlink()


def test_models_that_can_not_be_imported_are_said(folder: Path) -> None:
    model = folder / "src/models/item_model.py"
    text = model.read_text("utf-8")
    try:
        model.write_text("raise RuntimeError('half done')\n")
        with pytest.raises(ReleaseError, match="half done"):
            service_python.columns(folder)
    finally:
        model.write_text(text, "utf-8")
