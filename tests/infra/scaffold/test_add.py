"""Fields that an entity gets later: what is refused, and in which file."""

import pytest

from infra.project import ProjectError
from infra.scaffold.add import judge, migrations, query, router, service
from infra.scaffold.classes import Editor
from infra.scaffold.entity import Entity, Field, Type

INDEXED = Entity("thing", "things", (Field("code", Type.STR, optional=True, index=True),))
QUERY = '''"""How things are listed."""

from src.schemas.response import PageQuery


class ThingQuery(PageQuery):
    """Which things."""
'''


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (Field("code", Type.STR), r"code: .* optional with \?.* or give it a default="),
        (
            Field("code", Type.STR, unique=True, has_default=True, default="x"),
            r"code: .*unique; leave the default out",
        ),
    ],
)
def test_what_the_rows_that_are_there_cannot_have_is_refused(field: Field, said: str) -> None:
    with pytest.raises(ProjectError, match=said):
        judge(field)


def test_the_first_field_that_lists_are_sorted_by_makes_the_sort() -> None:
    text = query("q.py", QUERY, INDEXED, {})
    assert "    code: Text | None = None\n" in text
    assert '    sort: Literal["code", "-code"] | None = None\n' in text
    assert "from src.models import Text\n" in text


def test_a_file_without_the_class_is_refused_with_what_to_write_there() -> None:
    with pytest.raises(ProjectError, match=r"(?s)model\.py: .*no class ThingBase.*by hand.*code:"):
        Editor("model.py", QUERY).append("ThingBase", "class Snippet:\n    code: Text\n")


def test_a_router_that_documents_its_errors_otherwise_is_refused() -> None:
    added = Entity("thing", "things", (Field("other", Type.REF, target="Other", optional=True),))
    with pytest.raises(ProjectError, match=r"router\.py: .*document 404 there by hand"):
        router("router.py", "responses=mine(409)\n", added, {})
    before = "status_code=201, responses=errors(400, 409)"
    after = router("router.py", before, added, {})
    assert after == "status_code=201, responses=errors(400, 404, 409)"


def test_a_docstring_lists_the_errors_as_it_did() -> None:
    other = Field("other", Type.REF, target="Other", optional=True)
    source = (
        "class S:\n"
        "    async def create(self) -> None:\n"
        '        """Adds one. Raises ThingAlreadyExistsError."""\n'
        "    async def update(self) -> None:\n"
        '        """Changes one. Raises ThingNotFoundError and\n'
        '        ThingAlreadyExistsError."""\n'
        "    async def mine(self) -> None:\n"
        '        """Raises nothing."""\n'
        "class T:\n"
        "    async def create(self) -> None:\n"
        '        """Raises ThingAlreadyExistsError. Twice, that is."""\n'
    )
    text = service("s.py", source, Entity("thing", "things", (other,)), {})
    words = " ".join(text.split())
    assert '"""Adds one. Raises ThingAlreadyExistsError and OtherNotFoundError."""' in words
    assert "ThingNotFoundError, ThingAlreadyExistsError and OtherNotFoundError." in words
    assert "Raises nothing." in text
    assert '"""Raises ThingAlreadyExistsError. Twice, that is."""' in text
    assert service("s.py", text, Entity("thing", "things", (other,)), {}) == text


def test_what_would_hold_up_a_table_in_use_is_a_migration_of_its_own() -> None:
    unique = Entity("thing", "things", (Field("code", Type.STR, optional=True, unique=True),))
    messages = [each.message for each in migrations(unique, {}, "2026-01-01T00:00:00+00:00")]
    assert messages == [
        "add code to thing",
        "index code of thing",
        "require unique code of thing",
    ]
