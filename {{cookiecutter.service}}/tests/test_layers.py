"""The import contract of pyproject.toml: kept, and able to be broken."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each line would skip a layer, or look up.
BREACHES = {
    "routers": [
        "import src.repositories.health_repository",
        "import src.dependencies.database",
        "import sqlalchemy",
        "import sqlmodel",
        "import asyncpg",
        "import src.main",
    ],
    "middleware": [
        "import src.main",
        "import src.routers.health_router",
    ],
    "services": [
        "import src.dependencies.database",
        "import sqlalchemy",
        "import sqlmodel",
        "import asyncpg",
        "import src.routers.health_router",
    ],
    "repositories": [
        "import fastapi",
        "import httpx",
        "import src.dependencies.http_client",
        "import src.services.health_service",
        "import src.routers.health_router",
    ],
    "dependencies": [
        "import src.repositories.health_repository",
        "import src.services.health_service",
    ],
    "models": [
        "import src.repositories.health_repository",
        "import src.schemas.response",
    ],
    "schemas": ["import src.services.health_service"],
    "exceptions": ["import src.models.base_model"],
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on the service in the folder."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_contract_is_kept() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What import-linter says of a copy with every breach."""
    copy = tmp_path_factory.mktemp("broken")
    shutil.copytree(ROOT / "src", copy / "src")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for layer, imports in BREACHES.items():
        for number, line in enumerate(imports):
            module = copy / "src" / layer / f"breach{number}.py"
            module.write_text(f"{line}\n")
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    return result.stdout


@pytest.mark.parametrize(
    ("layer", "target"),
    [
        (layer, line.removeprefix("import "))
        for layer, lines in BREACHES.items()
        for line in lines
    ],
)
def test_a_breach_is_named(broken: str, layer: str, target: str) -> None:
    number = BREACHES[layer].index(f"import {target}")
    assert f"src.{layer}.breach{number} -> {target} " in broken
