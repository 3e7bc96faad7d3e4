"""A service's folder and its environment, as much of both as the engine reads."""

import shutil
from pathlib import Path

from infra.environment import Environment

SETTINGS = "src/dependencies/config.py"
TEMPLATE = Path(__file__).parents[2] / "{{cookiecutter.service}}"
MANIFEST = TEMPLATE / "ci" / "cloud-run.yaml"
TRIGGER = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}


def write(folder: Path, text: str | None = None) -> Path:
    """A service's folder with a manifest, the template's."""
    (folder / "ci").mkdir()
    (folder / "ci" / "cloud-run.yaml").write_text(text or MANIFEST.read_text("utf-8"))
    return folder


def make_folder(folder: Path) -> Path:
    """A folder with the template's manifest and settings."""
    folder.mkdir(exist_ok=True)
    write(folder)
    (folder / SETTINGS).parent.mkdir(parents=True)
    shutil.copy(TEMPLATE / SETTINGS, folder / SETTINGS)
    return folder


def declare(**fields: object) -> Environment:
    """An environment called stg, of a service called orders."""
    given: dict[str, object] = {"name": "stg", "project": "acme-stg", "region": "europe-west1"}
    return Environment.model_validate({**given, "service": {"name": "orders"}, **fields})
