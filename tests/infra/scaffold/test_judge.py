"""An entity among those that a service has already."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.project import ProjectError
from infra.scaffold import existing, judge
from infra.scaffold.entity import Entity
from infra.scaffold.words import parse
from tests.infra.scaffold.services import CATEGORY, a_service


def judged(
    folder: Path, name: str, *fields: str, plural: str = "", unique: Sequence[str] = ()
) -> Entity:
    declared = [parse(text) for text in fields]
    return judge.entity_of(name, declared, existing.read(folder), plural, unique)


@pytest.fixture
def service(tmp_path: Path) -> Path:
    return a_service(tmp_path)


def test_what_a_service_has_is_read(service: Path) -> None:
    found = existing.read(service)
    (category,) = found.models
    assert category.class_name == "Category"
    assert found.tables == {"Category": "categories"}
    assert category.attributes == ("name",)
    assert [each.revision for each in found.heads] == ["aaa"]
    assert found.can_create("category")
    assert "CategoryNotFoundError" in found.exported["exceptions"]
    assert "category_router" in found.exported["routers"]


def test_an_entity_has_its_plural_and_its_groups_by_column(service: Path) -> None:
    made = judged(
        service,
        "LineItem",
        "name:str max=80",
        "category:ref Category",
        unique=["category,name"],
    )
    assert (made.name, made.plural, made.path) == ("line_item", "line_items", "line-items")
    assert made.unique == (("category_id", "name"),)


def test_a_plural_can_be_given(service: Path) -> None:
    assert judged(service, "Person", "name:str", plural="persons").plural == "persons"


def test_an_entity_can_refer_to_itself(service: Path) -> None:
    assert judged(service, "Part", "whole:ref Part?").fields[0].target == "Part"


# The name, its fields, options, and what is said.
REFUSED: list[tuple[str, list[str], dict[str, object], str]] = [
    ("product", ["name:str"], {}, "did you mean Product?"),
    ("SKU", ["name:str"], {}, "did you mean Sku?"),
    ("line_item", ["name:str"], {}, "did you mean LineItem?"),
    ("Product", [], {}, "has no field"),
    ("Category", ["name:str"], {}, "--add Category"),
    ("Categorie", ["name:str"], {"plural": "categories"}, "Category has the table categories"),
    ("CategoryBase", ["name:str"], {}, "its own CategoryBase"),
    ("Product", ["name:str"], {"plural": "My Things"}, "did you mean my_things?"),
    ("Class", ["name:str"], {}, "one of Python's own"),
    ("List", ["name:str"], {}, "one of Python's own"),
    ("Health", ["name:str"], {}, "the service has its own health"),
    ("Response", ["name:str"], {}, "the service has its own response"),
    ("Number", ["name:str"], {}, "the service has its own Number"),
    ("Thing", ["name:str"], {"plural": "user"}, "PostgreSQL reserves user"),
    ("AnEntityWithALongName", ["name:str"], {}, "2 to 20 letters"),
    ("Product", ["id:int"], {}, "every entity has its own id"),
    ("Product", ["class:str"], {}, "is a word of Python's; did you mean product_class?"),
    ("Product", ["user:str"], {}, "PostgreSQL reserves user; did you mean product_user?"),
    ("Product", ["metadata:JSON"], {}, "a model has its own metadata"),
    ("Product", ["model_dump:str"], {}, "a model has its own model_dump"),
    ("Product", ["copy:int"], {}, "a model has its own copy"),
    ("Product", ["size:int index"], {}, "a list's query has its own size"),
    (
        "Product",
        ["date:date", "until:date default=2026-01-31"],
        {},
        "did you mean product_date?",
    ),
    ("Product", ["name:str", "name:int"], {}, "has name already"),
    ("Product", ["category_id:int", "category:ref Category"], {}, "has category_id already"),
    ("Product", ["name:str unique"], {}, "did you mean max=255?"),
    ("Product", ["base:enum[a,b]"], {}, "its class would be ProductBase"),
    ("Product", ["c:ref Categorie"], {}, "did you mean Category?"),
    ("Product", ["p:ref Product"], {}, "did you mean Product??"),
    ("Product", ["a:int"], {"unique": ["a"]}, "at least"),
    ("Product", ["aa:int", "bb:int"], {"unique": ["aa,bbb"]}, "did you mean bb?"),
    ("Product", ["a:int", "b:int"], {"unique": ["a,a"]}, "in it twice"),
    ("Product", ["a:int", "b:int"], {"unique": ["a,b", "b,a"]}, "said twice"),
    ("Product", ["a:str", "b:int"], {"unique": ["a,b"]}, "give it max="),
    ("Product", ["a:list[str]", "b:int"], {"unique": ["a,b"]}, "can't be unique"),
    ("Product", ["a:int unique", "b:int"], {"unique": ["a,b"]}, "is unique already"),
    ("Product", ["a:str max=400", "b:str max=400"], {"unique": ["a,b"]}, "together"),
]


@pytest.mark.parametrize(("name", "fields", "options", "said"), REFUSED)
def test_what_the_service_has_no_room_for_is_refused(
    service: Path, name: str, fields: list[str], options: dict[str, object], said: str
) -> None:
    before = {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}
    with pytest.raises(ProjectError) as refusal:
        judged(service, name, *fields, **options)  # type: ignore[arg-type]
    assert said in str(refusal.value)
    assert before == {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}


def added(folder: Path, name: str, *fields: str) -> Entity:
    return judge.added_to(name, [parse(text) for text in fields], existing.read(folder))


def test_fields_are_added_to_the_table_that_is_there(service: Path) -> None:
    made = added(service, "Category", "weight:float?", "rank:int default=0")
    assert (made.name, made.plural) == ("category", "categories")
    assert [each.name for each in made.fields] == ["weight", "rank"]


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("Categorie", ["weight:float?"], "did you mean Category?"),
        ("Category", [], "which fields?"),
        ("Category", ["name:str?"], "Category has name already"),
        ("Category", ["weight:float"], "write ? behind the type, or default="),
        ("Category", ["id:int?"], "every entity has its own id"),
    ],
)
def test_a_field_that_cant_be_added_is_refused(
    service: Path, name: str, fields: list[str], said: str
) -> None:
    with pytest.raises(ProjectError) as refusal:
        added(service, name, *fields)
    assert said in str(refusal.value)


def test_references_in_a_circle_are_refused(service: Path) -> None:
    models = service / "src/models"
    text = (models / "category_model.py").read_text()
    for name, target in (("Shop", "categories"), ("Mall", "shops")):
        line = f'    other_id: UUID = Field(foreign_key="{target}.id")\n'
        made = text.replace("Category", name).replace('"categories"', f'"{name.lower()}s"')
        made = made.replace("    name: Text", f"{line}    name: Text")
        (models / f"{name.lower()}_model.py").write_text(made)
    for target, way in (("Shop", "Shop → Category"), ("Mall", "Mall → Shop → Category")):
        with pytest.raises(ProjectError, match=f"{way} refers back"):
            added(service, "Category", f"main:ref {target}?")
    # To itself it may.
    added(service, "Category", "parent:ref Category?")


def test_a_file_that_is_there_is_not_overwritten(service: Path) -> None:
    (service / "tests/test_product.py").write_text("mine")
    with pytest.raises(ProjectError, match=r"tests/test_product\.py: it is there already"):
        judged(service, "Product", "name:str")


def test_a_parent_whose_tests_make_none_is_refused(tmp_path: Path) -> None:
    service = a_service(tmp_path, tests="")
    with pytest.raises(ProjectError, match="has no “async def create"):
        judged(service, "Product", "category:ref Category")


def test_several_heads_are_refused_with_the_way_out(service: Path) -> None:
    (service / "db/versions/bbb.py").write_text('revision = "bbb"\ndown_revision = "0000"\n')
    with pytest.raises(ProjectError, match="merge heads"):
        judged(service, "Product", "name:str")


def test_a_file_that_is_no_python_is_named_with_its_line(service: Path) -> None:
    (service / "src/models/category_model.py").write_text(CATEGORY + "\n\ndef :\n")
    with pytest.raises(ProjectError, match=r"category_model\.py:\d+: this is no Python"):
        existing.read(service)


def test_a_folder_that_is_no_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="run this in a generated service"):
        existing.read(tmp_path)
