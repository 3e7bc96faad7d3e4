"""The hooks as files and as functions: what they need, and what each part makes of its input."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.template.hook_helpers import (
    REPOSITORY,
    answers,
    load_hook,
    make_repository,
    make_template,
)

HOOKS = sorted((REPOSITORY / "hooks").glob("*.py"))


@pytest.fixture
def hook(tmp_path: Path) -> ModuleType:
    """The post_gen hook of a template that lies in a local folder."""
    folder = tmp_path / "hook"
    folder.mkdir()
    return load_hook("post_gen_project", folder, _template="t", _repo_dir="t")


# The hooks as files


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_runs_on_the_oldest_python_that_cookiecutter_takes(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--isolated",
            "--select=F",
            "--target-version=py310",
            path,
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_needs_the_standard_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("path", HOOKS, ids=lambda path: path.name)
def test_a_hook_is_ascii_and_jinja_where_it_says_so(path: Path) -> None:
    text = path.read_text(encoding="ascii")
    assert text.count("{{") == text.count('r"""{{ ') == text.count(' | tojson }}"""')
    assert "{%" not in text
    assert "{#" not in text


def test_there_is_no_hook_before_the_questions() -> None:
    """It would copy the whole template, .git and .venv included, on every run."""
    assert [path.stem for path in HOOKS] == ["post_gen_project", "pre_gen_project"]


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://git.example/acme/t.git", "https://git.example/acme/t.git"),
        ("https://ann:secret@git.example/acme/t", "https://git.example/acme/t"),
        ("https://secret@git.example:8443/acme/t", "https://git.example:8443/acme/t"),
        ("https://git.example/acme/t?private_token=secret#x", "https://git.example/acme/t"),
        ("http://ann:s%40cret@git.example/t", "http://git.example/t"),
        ("ssh://git@git.example/acme/t.git", "ssh://git@git.example/acme/t.git"),
        ("ssh://git:secret@git.example:22/t.git", "ssh://git@git.example:22/t.git"),
        ("git@git.example:acme/t.git", "ssh://git@git.example/acme/t.git"),
        ("git.example:/srv/t.git", "ssh://git.example/srv/t.git"),
        ("git://git.example/t.git", "git://git.example/t.git"),
        ("file:///srv/t.git", "file:///srv/t.git"),
    ],
)
def test_a_remote_as_a_url_that_anyone_may_read(
    hook: ModuleType, tmp_path: Path, remote: str, url: str
) -> None:
    assert hook.public_url(remote, tmp_path) == url


def test_a_remote_that_is_a_folder_becomes_a_url(hook: ModuleType, tmp_path: Path) -> None:
    assert hook.public_url("../other", tmp_path / "here") == (tmp_path / "other").as_uri()


def test_a_template_in_a_folder_of_its_repository(hook: ModuleType, tmp_path: Path) -> None:
    template = make_template(tmp_path / "templates/cloudrun")
    commit = make_repository(tmp_path, "git@git.example:acme/templates.git")
    line = hook.checkout_source(template)
    assert tomllib.loads(f"source = {line}")["source"] == {
        "git": "ssh://git@git.example/acme/templates.git",
        "rev": commit,
        "subdirectory": "templates/cloudrun",
    }


def test_a_template_that_its_surrounding_repository_does_not_hold(
    hook: ModuleType, tmp_path: Path
) -> None:
    make_repository(tmp_path, "git@git.example:ann/dotfiles.git")
    assert hook.checkout_source(make_template(tmp_path / ".cookiecutters/template")) is None


@pytest.mark.parametrize(
    ("origin", "repo_dir", "folder"),
    [
        (".", ".", True),
        ("./", "./", True),
        ("./", "./sub", True),
        ("/srv/template", "/srv/template", True),
        ("/srv/templates", "/srv/templates/cloudrun", True),
        ("C:\\templates", "C:\\templates\\cloudrun", True),
        ("https://git.example/t.git", "/home/ann/.cookiecutters/t", False),
        ("gh:acme/t", "/home/ann/.cookiecutters/t", False),
        ("t", "/home/ann/.cookiecutters/t", False),
    ],
)
def test_a_template_is_used_where_it_lies_or_is_a_copy(
    hook: ModuleType, origin: str, repo_dir: str, folder: bool
) -> None:
    assert hook.is_folder(origin, repo_dir) is folder


def test_an_archive_on_the_web_is_taken_from_there(hook: ModuleType, tmp_path: Path) -> None:
    origin = "https://ann:secret@git.example/acme/t/archive/v1.zip"
    values = answers() | {"_template": origin, "_repo_dir": str(tmp_path)}
    value, note = hook.engine_source(values, tmp_path)
    assert value == '{ url = "https://git.example/acme/t/archive/v1.zip" }'
    assert note is None


# The small parts


def test_a_step_that_breaks_is_a_note_and_the_next_one_is_taken(
    hook: ModuleType, tmp_path: Path
) -> None:
    def breaks(_: Path) -> Iterator[Any]:
        raise PermissionError("no")
        yield

    steps = [hook.Step("Locking", breaks, ("uv lock",))] * 2
    notes = list(hook.finish(tmp_path, steps))
    assert (
        notes == [hook.Note("Locking failed (PermissionError: no). Later run:", ("uv lock",))] * 2
    )


def test_a_command_that_does_not_end_is_ended(hook: ModuleType, tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    result = hook.run(sleep, tmp_path, 1)
    assert (result.returncode, result.stderr) == (124, "no answer in 1 s")


def test_a_pyproject_without_the_engine_is_left_alone_with_a_note(
    hook: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (note,) = hook.finish(tmp_path, [hook.PIN])
    assert "no line of pyproject.toml says where cookiecutter-cloudrun comes from" in note.text
    assert (tmp_path / "pyproject.toml").read_text() == "[project]\n"


def test_the_engines_line_is_the_only_one_that_changes(hook: ModuleType, tmp_path: Path) -> None:
    before = (
        'a = "é \\\\1"\r\ncookiecutter-cloudrun = { path = "." }\r\n"cookiecutter-cloudrun",\r\n'
    )
    (tmp_path / "pyproject.toml").write_bytes(before.encode())
    list(hook.pin_engine(tmp_path))
    after = (tmp_path / "pyproject.toml").read_bytes().decode().split("\n")
    assert after[0] == 'a = "é \\\\1"'
    assert after[1].startswith("cookiecutter-cloudrun = { path = ")
    assert after[2:] == ['"cookiecutter-cloudrun",', ""]


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("Using CPython\nerror: Request failed\n  cause: dns", "error: Request failed"),
        ("\n  hint: x\nfatal: no", "fatal: no"),
        ("something else\n", "something else"),
        ("", "no reason given"),
    ],
)
def test_the_reason_is_the_line_that_says_most(hook: ModuleType, stderr: str, reason: str) -> None:
    assert hook.reason(stderr) == reason
