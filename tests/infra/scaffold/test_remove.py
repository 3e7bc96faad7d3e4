"""An entity that goes, and what stays until the next release."""

import subprocess
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.scaffold import dropped, existing, put, remove
from infra.scaffold.leaving import leaving
from tests.infra.scaffold.services import a_service

REFERS = """from sqlmodel import Field, SQLModel


class Product(SQLModel, table=True):
    category_id: int = Field(foreign_key="categories.id")
"""


@pytest.fixture
def service(tmp_path: Path) -> Path:
    made = a_service(tmp_path)
    subprocess.run(["git", "-C", str(made), "init", "-q"], check=True)
    return made


def commit(service: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", str(service), "add", "-A"], check=True)
    subprocess.run(["git", "-C", str(service), *who, "commit", "-qm", "all"], check=True)


def test_what_was_never_committed_goes_with_its_migration(service: Path) -> None:
    found = remove.removal("Category", existing.read(service))
    put.put(service, found.texts)
    left = {path.name for path in service.rglob("*.py")}
    assert left == {"__init__.py", "0000.py"}
    for layer in existing.LAYERS:
        assert "ategory" not in (service / f"src/{layer}/__init__.py").read_text()
    assert leaving(service) == []


def test_a_committed_table_leaves_in_the_next_release(service: Path) -> None:
    commit(service)
    found = remove.removal("Category", existing.read(service))
    put.put(service, found.texts)
    assert (service / "db/versions/aaa.py").is_file()
    assert leaving(service) == ["categories"]
    assert "# Tables." in (service / "db/alembic.ini").read_text()
    assert "--remove Category again" in found.then


def test_a_migration_that_another_follows_is_kept(service: Path) -> None:
    (service / "db/versions/bbb.py").write_text('revision = "bbb"\ndown_revision = "aaa"\n')
    found = remove.removal("Category", existing.read(service))
    assert "db/versions/aaa.py" not in found.texts


INDEX = """revision = "bbb"
down_revision = "aaa"


def upgrade():
    with op.get_context().autocommit_block():
        op.create_index(op.f("categories_name_idx"), "categories", ["name"])
"""


def test_fields_that_were_added_go_with_the_entity(service: Path) -> None:
    (service / "db/versions/bbb.py").write_text(INDEX)
    found = remove.removal("Category", existing.read(service))
    assert {"db/versions/aaa.py", "db/versions/bbb.py"} <= {*found.texts}


def test_a_migration_that_is_about_another_table_too_is_kept(service: Path) -> None:
    (service / "db/versions/bbb.py").write_text(INDEX + '    op.add_column("items", x)\n')
    found = remove.removal("Category", existing.read(service))
    assert not [path for path in found.texts if path.startswith("db/versions")]


def test_one_that_others_refer_to_is_kept(service: Path) -> None:
    (service / "src/models/product_model.py").write_text(REFERS)
    with pytest.raises(ProjectError, match=r"Product refers to it with category_id"):
        remove.removal("Category", existing.read(service))


def test_one_that_other_files_use_is_kept(service: Path) -> None:
    (service / "src/services/report.py").write_text("from src.services import CategoryService\n")
    with pytest.raises(ProjectError, match=r"src/services/report\.py: it uses CategoryService"):
        remove.removal("Category", existing.read(service))


def test_a_class_of_the_same_name_is_no_use_of_it(service: Path) -> None:
    (service / "tests/test_rows.py").write_text("class CategoryBase: ...\n")
    assert (
        remove.removal("Category", existing.read(service)).texts["tests/test_category.py"] is None
    )


def test_one_that_is_not_there_is_refused_with_those_that_are(service: Path) -> None:
    with pytest.raises(ProjectError, match=r"no such entity \(it has Category\)"):
        remove.removal("Product", existing.read(service))


def test_a_drop_can_be_undone_by_what_made_the_table(service: Path) -> None:
    mine = dropped.of_table("categories", existing.read(service))
    assert [each.revision for each in mine] == ["aaa"]
    again = dropped.redone(mine, "categories")
    assert again == 'op.create_table("categories", sa.Column("name", sa.Text(), nullable=False))'


def test_a_drop_that_cant_be_undone_alone_says_so(service: Path) -> None:
    mine = dropped.of_table("categories", existing.read(service))
    (both,) = mine
    both.path.write_text(
        both.text.replace("op.create_table", 'op.drop_table("x")\n    op.create_table')
    )
    again = dropped.redone(dropped.of_table("categories", existing.read(service)), "categories")
    assert again.startswith("raise RuntimeError")
