"""A template of a few files in a repository with releases, and services that were made of it."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from invoke.context import Context

from infra.project import find_uv
from infra.rehearsal.facts import Ran
from infra.tasks.scene import call
from infra.tasks.upgrade import upgrade
from infra.upgrade.bake import Oven
from infra.upgrade.origin import FILE, Origin

type Files = Mapping[str, str | None]

ROOT = "{{cookiecutter.service}}"
QUESTIONS = {"service": "shop", "title": "{{ cookiecutter.service | capitalize }}"}
PACKAGE = '[project]\nname = "cookiecutter-cloudrun"\nversion = "{version}"\n'
SERVICE = """\
[project]
name = "{{ cookiecutter.service }}"
version = "0.1.0"
requires-python = ">=3.13"

[dependency-groups]
dev = ["cookiecutter-cloudrun"]

[tool.uv.sources]
cookiecutter-cloudrun = { path = "nowhere" }
"""
LINES = "".join(f"{number}\n" for number in range(1, 10))
FIRST: Files = {
    "cookiecutter.json": json.dumps(QUESTIONS),
    f"{ROOT}/pyproject.toml": SERVICE,
    f"{ROOT}/.python-version": "3.13\n",
    f"{ROOT}/README.md": "# {{ cookiecutter.title }}\n",
    f"{ROOT}/lines.txt": LINES,
    f"{ROOT}/src/models/item_model.py": "item = 1\n" * 20,
    f"{ROOT}/old name é.txt": "x\n",
}
PERSON = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in {"NAME": "ann", "EMAIL": "ann@example.com"}.items()
}


def git(folder: Path, *words: str) -> str:
    """What a git command prints, which must succeed."""
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        env=os.environ | PERSON,
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stdout.strip()


def write(folder: Path, files: Files) -> None:
    """Writes the files; None deletes one."""
    for name, text in files.items():
        file = folder / name
        if text is None:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())


def commit(folder: Path, message: str, files: Files) -> str:
    """Commits the files. Returns the commit."""
    write(folder, files)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass
class Template:
    """The template's repository."""

    folder: Path
    notes: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path) -> "Template":
        """One of which nothing is released: version 0.1.0."""
        folder.mkdir()
        git(folder, "init", "--quiet", "--initial-branch", "main")
        commit(folder, "Begin", {"pyproject.toml": PACKAGE.format(version="0.1.0"), **FIRST})
        return cls(folder)

    def release(self, version: str, files: Files) -> str:
        """Releases the files as a version. Returns the commit."""
        self.notes.insert(0, f"## {version} (2026-01-01)\n\n- What is new in {version}.\n")
        notes = {"CHANGELOG.md": "\n".join(["# Changelog\n", *self.notes])}
        package = {"pyproject.toml": PACKAGE.format(version=version)}
        return commit(self.folder, f"Release {version}", {**package, **notes, **files})


@dataclass
class Service:
    """A service's folder, somewhere in a repository."""

    folder: Path
    top: Path

    @classmethod
    def make(
        cls,
        template: Template,
        scratch: Path,
        at: str,
        below: str = "",
        *,
        locked: bool = True,
        **answers: str,
    ) -> "Service":
        """One that was generated from a commit of the template, in a folder of its repository."""
        scratch.mkdir()
        checkout = scratch / "checkout"
        subprocess.run(["git", "clone", "--quiet", str(template.folder), str(checkout)], check=True)
        git(checkout, "checkout", "--quiet", at)
        oven = scratch / "oven"
        oven.mkdir()
        line = f'cookiecutter-cloudrun = {{ git = "{template.folder.as_uri()}", rev = "{at}" }}'
        baked = Oven(oven).bake(checkout, answers, "first", line)
        top = scratch / "team"
        top.mkdir()
        git(top, "init", "--quiet", "--initial-branch", "main")
        for key, value in {"user.name": "ann", "user.email": "ann@example.com"}.items():
            git(top, "config", key, value)
        folder = top / below if below else top / "."
        shutil.copytree(baked, folder, dirs_exist_ok=True)
        known: dict[str, str | bool | int | float | dict[str, str]] = {
            "service": "shop",
            "title": "Shop",
            **answers,
        }
        origin = Origin(template=str(template.folder), commit=at, answers=known)
        (folder / FILE).write_text(origin.text(), "utf-8")
        if locked:
            subprocess.run([find_uv(), "lock", "--quiet", "--directory", str(folder)], check=True)
        commit(top, "Generate", {})
        return cls(top / below, top)

    def upgrade(self, **options: object) -> Ran:
        """`invoke upgrade`, without the service's tests."""
        return call(upgrade, Context(), service=str(self.folder), no_test=True, **options)

    def has(self, files: Files) -> str:
        """Commits what the team does. Returns the commit."""
        return commit(self.folder, "Work", files)

    def read(self, name: str) -> str:
        """A file of the service."""
        return (self.folder / name).read_bytes().decode()

    @property
    def state(self) -> tuple[str, str, str]:
        """What is checked out, and what differs from it."""
        return (
            git(self.top, "rev-parse", "HEAD"),
            git(self.top, "rev-parse", "--abbrev-ref", "HEAD"),
            git(self.top, "status", "--porcelain", "--untracked-files=all"),
        )
