"""A small service as `invoke entity` reads it: nothing of it runs."""

from pathlib import Path

from infra.scaffold import layers
from infra.scaffold.entity import Entity
from infra.scaffold.existing import LAYERS
from infra.scaffold.migration import formatted
from infra.scaffold.write import registered, room, write_all
from tests.infra.scaffold.entities import TABLES

CATEGORY = '''"""Categories."""

from sqlmodel import Field, SQLModel

from src.models.base_model import BaseInput, BaseRow, Text


class CategoryBase(SQLModel):
    name: Text = Field(max_length=80, unique=True)


class Category(CategoryBase, BaseRow, table=True):
    __tablename__ = "categories"


class CategoryCreate(BaseInput, CategoryBase):
    """A new category."""
'''
MIGRATION = '''"""add category

Revision: aaa, after 0000
"""

import sqlalchemy as sa
from alembic import op

revision: str = "aaa"
down_revision: str | None = "0000"


def upgrade() -> None:
    """To this revision."""
    op.create_table("categories", sa.Column("name", sa.Text(), nullable=False))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_table("categories")
    op.execute("DROP TYPE category_kind")
'''
KINDS = {
    "models": ("model", ("Category", "CategoryBase", "CategoryCreate")),
    "exceptions": ("error", ("CategoryAlreadyExistsError", "CategoryNotFoundError")),
    "schemas": ("query", ("CategoryQuery",)),
    "repositories": ("repository", ("CategoryRepository",)),
    "services": ("service", ("CategoryService",)),
    "routers": ("router", ("router as category_router",)),
}


def a_service(folder: Path, *, tests: str = "async def create(client): ...\n") -> Path:
    """A service with a Category, and nothing else."""
    files = {"db/alembic.ini": "[alembic]\n# Tables.\nleaving =\n\n[post_write_hooks]\n"}
    for layer in LAYERS:
        kind, found = KINDS[layer]
        bound = [name.rpartition(" as ")[2] for name in found]
        text = f"from src.{layer}.category_{kind} import {', '.join(found)}\n\n"
        text += "".join(["__all__ = [\n", *(f'    "{name}",\n' for name in bound), "]\n"])
        if layer == "routers":
            text += "\nrouters = (category_router,)\n"
        files[f"src/{layer}/__init__.py"] = text
        files[f"src/{layer}/category_{kind}.py"] = f'"""The {kind}."""\n'
    files["src/models/category_model.py"] = CATEGORY
    files["tests/test_category.py"] = tests
    files["db/versions/0000.py"] = 'revision = "0000"\ndown_revision = None\n'
    files["db/versions/aaa.py"] = MIGRATION
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


RUFF = """[tool.ruff]
line-length = 80
target-version = "py313"

[tool.ruff.lint]
select = ["ASYNC", "F", "FAST", "I", "RUF", "UP"]
"""


A_LAYER = """\"\"\"A layer.\"\"\"

from src.first import first, second

__all__ = [
    "first",
    "second",
]
"""


def a_generated_service(folder: Path, *entities: Entity) -> Path:
    """A service with the entities as `invoke entity` writes them, but for their migrations."""
    bare = {f"src/{layer}/__init__.py": A_LAYER for layer in LAYERS}
    bare["src/routers/__init__.py"] += "\nrouters = (\n    first,\n    second,\n)\n"
    bare |= {"pyproject.toml": RUFF, "db/alembic.ini": "[alembic]\nleaving =\n"}
    bare["tests/__init__.py"] = ""
    bare["db/versions/0000.py"] = 'revision = "0000"\ndown_revision = None\n'
    write_all(folder, bare)
    for entity in entities:
        write_all(folder, registered(entity, folder))
        with room(folder) as place:
            write_all(folder, formatted(place, folder, layers.texts(entity, TABLES)))
    return folder
