"""What the docs take from the code is what the code says."""

from pathlib import Path

import pytest

from infra.tasks.docs import BEGIN, DOCS, END, PAGES, up_to_date


@pytest.mark.parametrize("page", PAGES)
def test_a_generated_page_is_up_to_date(page: str) -> None:
    assert up_to_date(DOCS / page, PAGES[page](), check=True), "run: uv run invoke docs"


def test_a_page_that_is_behind_is_noticed_and_mended(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{BEGIN}\nold\n{END}\nend\n")
    assert not up_to_date(page, "new\n", check=True)
    assert "old" in page.read_text()
    assert not up_to_date(page, "new\n", check=False)
    assert page.read_text() == f"# Title\n{BEGIN}\nnew\n{END}\nend\n"
    assert up_to_date(page, "new\n", check=True)


def test_every_field_and_product_is_on_its_page() -> None:
    fields = PAGES["environments.md"]()
    assert "| `database.tier` | `db-g1-small` |" in fields
    products = PAGES["emulator.md"]()
    for product in ("run", "sqladmin", "cloudbuild", "secretmanager", "storage", "logging"):
        assert f"| {product} |" in products


def test_every_room_is_on_the_page_of_the_rooms() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    infra = DOCS.parent / "infra"
    files = [path.name for path in infra.iterdir() if path.suffix in {".py", ".yaml"}]
    folders = [
        f"infra/{path.name}/`" for path in infra.iterdir() if (path / "__init__.py").exists()
    ]
    rooms = {f"{name}`" for name in files if name != "__init__.py"} | set(folders)
    assert [room for room in sorted(rooms) if room not in page] == []
