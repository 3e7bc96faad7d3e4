"""Fields out of an entity: its files are as without them, and its columns go in two releases."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.scaffold import add, columns, existing, judge, put, remove_field, words
from infra.scaffold.entity import Entity, Field, OnDelete, Type
from infra.scaffold.leaving import ALEMBIC, leaving
from infra.scaffold.remove import Removal
from infra.scaffold.write import room, write_all
from tests.infra.scaffold.entities import CATEGORY, MORE, PRODUCT, TABLES, TEN
from tests.infra.scaffold.services import a_generated_service

NAME = Field("name", Type.STR, unique=True, maximum=80)
# Words that the code of every entity has, and one that is its own target.
WORDS = [
    *(
        Field(name, Type.STR, optional=True, index=True, maximum=9)
        for name in ("data", "message", "index", "field", "answer")
    ),
    Field("boss", Type.REF, target="Product", optional=True),
]
LISTED = {field.name: field for entity in (*TEN, MORE) for field in entity.fields}
HAND = """

async def test_of_ours(client: AsyncClient) -> None:
    assert (await create(client))["weight"] is None
"""


def addable() -> tuple[Field, ...]:
    """A field of each type in each way that changes its code, as rows that are there can have it,
    and a few that are called as something else is."""
    found = (
        replace(
            each,
            name=f"{each.name}_2" if each.name in {"name", "price", "category"} else each.name,
            target="Category" if each.target else "",
            optional=each.optional or not each.has_default,
        )
        for each in LISTED.values()
    )
    ways = {
        (each.type, each.is_list, each.unique, each.index, each.has_default, each.on_delete): each
        for each in found
    }
    return (*ways.values(), *WORDS)


def python_of(folder: Path) -> dict[str, str]:
    """All Python of a service but its migrations."""
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*.py"))
        if "db" not in path.parts
    }


def give(folder: Path, entity: Entity, *fields: Field) -> None:
    """Adds the fields to the files of the entity."""
    with room(folder) as place:
        added = replace(entity, fields=fields, unique=())
        write_all(folder, add.layer_texts(added, TABLES, folder, place))


def take(folder: Path, name: str, *fields: str) -> Removal:
    """Takes the fields out of the service, by the command's own way."""
    removal = remove_field.removal(name, fields, existing.read(folder))
    put.put(folder, removal.texts)
    return removal


def migration(folder: Path, number: int, *steps: str) -> Path:
    """Writes a migration after the one before."""
    lines = [f'revision = "{number:04}"', f'down_revision = "{number - 1:04}"', "", ""]
    lines += ["def upgrade():", *(f"    {step}" for step in steps)]
    path = folder / f"db/versions/{number:04}.py"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def in_git(folder: Path, *, committed: bool = True) -> None:
    """Makes the service a repository."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    if committed:
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", "all"], check=True)


@pytest.fixture(autouse=True)
def own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formatter is ours."""
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", sys.prefix)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A service of categories, and of products with a weight that is optional."""
    weight = Field("weight", Type.FLOAT, optional=True)
    product = Entity("product", "products", (NAME, Field("amount", Type.INT), weight))
    return a_generated_service(tmp_path, CATEGORY, product)


@pytest.mark.parametrize(
    ("part", "entity"), [(0, replace(PRODUCT, fields=(NAME,), unique=())), (1, PRODUCT)]
)
def test_what_was_added_leaves_the_files_as_they_were(
    tmp_path: Path, part: int, entity: Entity
) -> None:
    folder = a_generated_service(tmp_path, CATEGORY, entity)
    before = python_of(folder)
    have = {each.name for each in entity.fields}
    fields = [each for each in addable()[part::2] if each.name not in have]
    give(folder, entity, *fields)
    assert python_of(folder) != before
    take_by_layers(folder, entity, *(each.attribute for each in fields))
    assert python_of(folder) == before


@pytest.mark.parametrize("field", PRODUCT.fields, ids=lambda each: each.name)
def test_what_was_there_from_the_beginning_leaves_no_trace(tmp_path: Path, field: Field) -> None:
    entity = replace(PRODUCT, unique=())
    kept = tuple(each for each in entity.fields if each is not field)
    folders = [tmp_path / "with", tmp_path / "without"]
    for folder, one in zip(folders, (entity, replace(entity, fields=kept)), strict=True):
        folder.mkdir()
        a_generated_service(folder, CATEGORY, one)
    take_by_layers(folders[0], entity, field.attribute)
    assert python_of(folders[0]) == python_of(folders[1])


def take_by_layers(folder: Path, entity: Entity, *attributes: str) -> None:
    """Takes columns out of the files alone: those of a test have no migration."""
    there = existing.read(folder)
    gone = remove_field.Going(there.by_class[entity.class_name], entity, attributes, there)
    with room(folder) as place:
        write_all(folder, remove_field.layer_texts(gone, place))


def test_migrations_that_only_we_have_go_too(service: Path) -> None:
    in_git(service)
    paths = [
        migration(service, 1, 'op.add_column("products", sa.Column("weight", sa.Float()))'),
        migration(service, 2, 'op.create_index("products_weight_idx", "products", ["weight"])'),
    ]
    removal = take(service, "Product", "weight")
    assert "migrations for it, which git does not have" in removal.then
    assert not any(path.exists() for path in paths)
    assert leaving(service) == []


@pytest.mark.parametrize(
    "more",
    [
        pytest.param('op.add_column("products", sa.Column("other", sa.Float()))', id="a column"),
        pytest.param('op.execute("UPDATE products SET weight = 1")', id="a statement of ours"),
    ],
)
def test_a_migration_that_does_more_is_kept(service: Path, more: str) -> None:
    in_git(service)
    path = migration(service, 1, 'op.add_column("products", sa.Column("weight", sa.Float()))', more)
    removal = take(service, "Product", "weight")
    assert path.exists()
    assert leaving(service) == ["products.weight"]
    assert "--remove Product weight again writes the migration that drops them" in removal.then


def test_a_column_stays_until_the_command_is_given_again(service: Path) -> None:
    migration(
        service,
        1,
        "op.create_table(",
        '    "products",',
        '    sa.Column("id", sa.Uuid(), nullable=False),',
        '    sa.Column("weight", sa.Float(), nullable=False, server_default="1"),',
        ")",
    )
    in_git(service)
    take(service, "Product", "weight")
    assert leaving(service) == ["products.weight"]
    with pytest.raises(ProjectError, match=r"no field “wieght”; it has name, amount"):
        take(service, "Product", "wieght")
    with pytest.raises(Exception, match=r"the database still has products\.weight"):
        judge.added_to("Product", [words.parse("weight:float?")], existing.read(service))
    there = existing.read(service)
    assert columns.dropping("products", ["weight"], there) == [
        'op.drop_column("products", "weight")'
    ]
    column = "sa.Column('weight', sa.Float(), nullable=False, server_default='1')"
    assert columns.redone("products", ["weight"], there) == f'op.add_column("products", {column})'


def test_a_column_comes_back_with_its_index_and_its_type(service: Path) -> None:
    migration(
        service,
        1,
        "op.execute(\"CREATE TYPE product_weight AS ENUM ('a', 'b')\")",
        'kind = sa.Enum("a", "b", name="product_weight")',
    )
    migration(
        service,
        2,
        'op.add_column("products", sa.Column("weight", sa.Enum("a", "b", name="product_weight"),'
        " nullable=False))",
    )
    concurrently = "postgresql_concurrently=True"
    migration(
        service,
        3,
        "with op.get_context().autocommit_block():",
        f'    op.create_index("i", "products", ["weight"], {concurrently})',
    )
    there = existing.read(service)
    assert columns.dropping("products", ["weight"], there)[1:] == [
        'op.execute("DROP TYPE product_weight")'
    ]
    assert columns.redone("products", ["weight"], there).splitlines() == [
        "op.execute(\"CREATE TYPE product_weight AS ENUM ('a', 'b')\")",
        "op.add_column(\"products\", sa.Column('weight', "
        "sa.Enum('a', 'b', name='product_weight'), nullable=True))",
        "op.create_index('i', 'products', ['weight'])",
    ]


def test_what_cant_be_made_again_says_so(service: Path) -> None:
    migration(service, 1, 'op.add_column("products", sa.Column("weight", sa.Float()))')
    migration(service, 2, 'op.create_index("i", "products", ["weight", "name"])')
    again = columns.redone("products", ["weight"], existing.read(service))
    assert again.startswith("raise RuntimeError(")
    assert "products.weight was dropped with its values; restore it from a backup" in again


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (["name", "amount", "weight"], "remove the entity: uv run invoke entity --remove Product"),
        (["weight", "height"], "no field “height”; it has name, amount, weight"),
        (["id"], "no field “id”"),
    ],
)
def test_what_cant_go_is_refused(service: Path, fields: list[str], said: str) -> None:
    with pytest.raises(ProjectError, match=re.escape(said)):
        take(service, "Product", *fields)


def test_one_of_a_unique_group_is_refused(tmp_path: Path) -> None:
    product = replace(PRODUCT, unique=(("category_id", "name"),))
    service = a_generated_service(tmp_path, CATEGORY, product)
    with pytest.raises(ProjectError, match=r"product_model\.py: name is in a unique group; take"):
        take(service, "Product", "name")


def test_what_our_own_code_uses_is_named_with_its_line(service: Path) -> None:
    path = service / "tests/test_product.py"
    path.write_text(path.read_text("utf-8") + HAND, "utf-8")
    line = path.read_text("utf-8").count("\n")
    before = python_of(service)
    with pytest.raises(ProjectError, match=rf"tests/test_product\.py:{line}: it uses weight; take"):
        take(service, "Product", "weight")
    assert python_of(service) == before


def test_a_table_that_is_leaving_is_not_made_again(service: Path) -> None:
    (service / ALEMBIC).write_text("[alembic]\nleaving = parcels\n", "utf-8")
    with pytest.raises(ProjectError, match="still has the table parcels"):
        judge.entity_of("Parcel", [words.parse("a:int")], existing.read(service), "", [])


def test_a_reference_is_named_as_it_was_declared(tmp_path: Path) -> None:
    owner = Field("owner", Type.REF, target="Category", optional=True, on_delete=OnDelete.SET_NULL)
    service = a_generated_service(
        tmp_path, CATEGORY, replace(PRODUCT, fields=(NAME, owner), unique=())
    )
    in_git(service, committed=False)
    take(service, "Product", "owner")
    assert leaving(service) == ["products.owner_id"]
    for layer in ("repositories/product_repository", "services/product_service"):
        assert "CategoryNotFoundError" not in (service / f"src/{layer}.py").read_text("utf-8")
