"""A service's folder and its environment, as much of both as the engine reads."""

import shutil
from pathlib import Path

from infra.environment import Environment
from tests.infra.test_manifest import write

SETTINGS = "src/dependencies/config.py"
TEMPLATE = Path(__file__).parents[2] / "{{cookiecutter.service}}"
TRIGGER = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}


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
