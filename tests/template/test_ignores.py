"""The ignore files: secrets stay on this machine, and what a build needs does not."""

from pathlib import Path

from tests.template.delivery import DELIVERY
from tests.template.ignores import (
    dockerignore_rules,
    gcloudignore_rules,
    gitignore_rules,
    left_out,
)

SECRETS = [
    ".env",
    ".env.local",
    ".local/postgres/PG_VERSION",
    ".venv/pyvenv.cfg",
    "config.json",
    "config.toml",
    "config.yaml",
    "src/.env",
]
SOURCES = [
    "LICENSE",
    "README.md",
    "db/alembic.ini",
    "db/versions/0001_item.py",
    "pyproject.toml",
    "src/__init__.py",
    "src/dependencies/config.py",
    "uv.lock",
]


def test_secrets_are_in_all_three_ignore_files(folder: Path) -> None:
    secrets = set(SECRETS)
    assert left_out(gitignore_rules(folder), secrets) == secrets
    assert left_out(gcloudignore_rules(folder), secrets) == secrets
    assert left_out(dockerignore_rules(folder), secrets) == secrets


def test_the_sources_are_in_none(folder: Path) -> None:
    committed = [*DELIVERY, ".env.example", ".python-version", "config.example.yaml"]
    uploaded = ["ci/Dockerfile", "ci/cloud-build.yaml", ".dockerignore"]
    assert not left_out(gitignore_rules(folder), [*SOURCES, *committed])
    assert not left_out(gcloudignore_rules(folder), [*SOURCES, *uploaded])
    assert not left_out(dockerignore_rules(folder), SOURCES)


def test_the_origin_is_committed_and_stays_here(folder: Path) -> None:
    origin = {".template.json"}
    assert not left_out(gitignore_rules(folder), origin)
    assert left_out(gcloudignore_rules(folder), origin) == origin
    assert left_out(dockerignore_rules(folder), origin) == origin


def test_the_history_is_not_uploaded(folder: Path) -> None:
    assert ".git" in (folder / ".gcloudignore").read_text().splitlines()
    assert left_out(dockerignore_rules(folder), [".git/config"])


def test_an_ignore_file_that_forgets_a_secret_is_caught(folder: Path) -> None:
    rules = gcloudignore_rules(folder).replace("/config.toml", "")
    assert set(SECRETS) - left_out(rules, SECRETS) == {"config.toml"}
