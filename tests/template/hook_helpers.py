"""A template small enough to generate in a second, around the real cookiecutter.json and hooks.

What the hooks do does not depend on the service's files; other tests generate the real ones.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from cookiecutter.generate import generate_context
from cookiecutter.prompt import prompt_for_config
from jinja2 import Environment, StrictUndefined

from local_extensions import ServiceExtension

REPOSITORY = Path(__file__).parents[2]
QUESTIONS: dict[str, Any] = json.loads((REPOSITORY / "cookiecutter.json").read_text("utf-8"))

ENGINE = """\
[project]
name = "cookiecutter-cloudrun"
version = "0.1.0"
requires-python = ">=3.13"
"""
SERVICE = """\
[project]
name = "{{ cookiecutter.service }}"
version = "0.1.0"
description = {{ cookiecutter.description | literal }}
requires-python = ">=3.13"
dependencies = []

[dependency-groups]
dev = ["cookiecutter-cloudrun"]

[tool.uv.sources]
cookiecutter-cloudrun = { path = {{ cookiecutter._repo_dir | literal }}, editable = true }
"""
TEXTS = """\
TITLE = {{ cookiecutter.title | literal }}
DESCRIPTION = {{ cookiecutter.description | literal }}
"""


class Generated(NamedTuple):
    """What a run of cookiecutter's command printed, its exit status, and where it wrote."""

    status: int
    output: str
    folder: Path


def make_template(folder: Path) -> Path:
    """Write the small template into a new folder."""
    service = folder / "{{cookiecutter.service}}"
    service.mkdir(parents=True)
    for name in ("cookiecutter.json", "local_extensions.py"):
        shutil.copy(REPOSITORY / name, folder)
    shutil.copytree(REPOSITORY / "hooks", folder / "hooks")
    files = {
        "pyproject.toml": SERVICE,
        ".python-version": "3.13\n",
        ".gitignore": ".venv/\n",
        "texts.py": TEXTS,
        "answers.json": "{{ cookiecutter | tojson }}\n",
    }
    for name, text in files.items():
        (service / name).write_text(text, encoding="utf-8", newline="\n")
    (folder / "pyproject.toml").write_text(ENGINE, encoding="utf-8")
    return folder


def generate(
    template: Path | str,
    output: Path,
    *arguments: str,
    typed: list[str] | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str | None] | None = None,
) -> Generated:
    """Run cookiecutter's command; lines that are typed answer its questions, else it asks none.

    It knows nothing of this machine's cookiecutter and git settings; a variable whose value is None
    is not there.
    """
    output.mkdir(exist_ok=True)
    home = output.parent / "home"
    home.mkdir(exist_ok=True)
    settings = home / "cookiecutter.yaml"
    settings.write_text(f"cookiecutters_dir: {home}/templates\nreplay_dir: {home}/replay\n")
    variables: dict[str, str | None] = {
        **os.environ,
        "TMPDIR": str(home),
        "COOKIECUTTER_CONFIG": str(settings),
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONUTF8": "1",
        "PWD": str(cwd or Path.cwd()),
        **(environment or {}),
    }
    asked = [] if typed is not None else ["--no-input"]
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", *asked, "-o", output, template, *arguments],
        cwd=cwd,
        env={name: value for name, value in variables.items() if value is not None},
        input="".join(f"{line}\n" for line in typed or []),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    left = [path.name for path in home.iterdir() if path.suffix == ".py"]
    assert not left, f"hooks left {left} where temporary files go"
    return Generated(result.returncode, result.stdout, output)


def answers(**given: object) -> dict[str, Any]:
    """All keys of the context as cookiecutter makes them of some answers and the defaults."""
    context = generate_context(REPOSITORY / "cookiecutter.json", extra_context=given)
    values: dict[str, Any] = dict(prompt_for_config(context, no_input=True))
    return values


def load_hook(name: str, folder: Path, **values: object) -> ModuleType:
    """A hook as a module, rendered with some answers and the defaults."""
    environment = Environment(
        extensions=[ServiceExtension],
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701
    )
    template = environment.from_string((REPOSITORY / "hooks" / f"{name}.py").read_text("utf-8"))
    path = folder / f"{name}.py"
    path.write_text(template.render(cookiecutter=answers() | values), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints, with an identity of its own and none of the caller's settings."""
    identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
    result = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return result.stdout.strip()


def make_repository(folder: Path, remote: str | None = None) -> str:
    """Commit a folder as a git repository with a remote; returns the commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Everything")
    if remote:
        git(folder, "remote", "add", "origin", remote)
    return git(folder, "rev-parse", "HEAD")
