"""The files that build and deploy a service: which they are, and what they declare."""

from pathlib import Path
from typing import Any

import yaml

from tests.template.checkers import CHECKS

DELIVERY = [
    *CHECKS,
    ".dockerignore",
    ".editorconfig",
    ".gcloudignore",
    ".gitattributes",
    ".gitignore",
    "ci/uv.txt",
    "environments/local.yaml",
    "environments/dev.yaml",
    "environments/stg.yaml",
    "environments/prd.yaml",
]
# What cookiecutter.json offers first, and the repository of the `folder` that tests get.
REGION = "asia-southeast2"
REPOSITORY_NAME = "acme/orders"
# Projects whose names do not follow from the service's.
OWN_PROJECTS = {
    "project_dev": "acme-one",
    "project_stg": "acme-two",
    "project_prd": "acme-three",
}


def load(path: Path) -> Any:
    """What a YAML file says."""
    return yaml.safe_load(path.read_text("utf-8"))


def environment(folder: Path, name: str) -> Any:
    """What a service declares for one of its environments."""
    return load(folder / f"environments/{name}.yaml")
