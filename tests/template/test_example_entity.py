"""The template's example entity is, byte for byte, what `invoke entity` writes for it."""

from pathlib import Path

from infra.scaffold import template
from infra.tasks.docs import DOCS, up_to_date
from tests.conftest import Bake
from tests.infra.scaffold.entities import ITEM
from tests.infra.scaffold.generating import generate


def test_the_example_is_what_is_written_for_it(baked: Bake, tmp_path: Path) -> None:
    given = baked().folder
    written = generate(baked(entity="none"), [ITEM], tmp_path, revision="0002", writes=False)
    assert {path: (given / path).read_text("utf-8") for path in written} == written
    assert {path for path in written if "item" in path} == {
        path.relative_to(given).as_posix()
        for path in given.rglob("*item*.py")
        if ".venv" not in path.parts
    }


def test_the_template_has_it_with_any_name() -> None:
    for path, text in template.texts().items():
        assert up_to_date(DOCS.parent / path, text, check=True), f"{path}: uv run invoke docs"
