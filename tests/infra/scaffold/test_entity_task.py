"""`invoke entity` as it is typed: its words, what it refuses, and what it takes away."""

import subprocess
import sys
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from infra.project import Project
from infra.tasks.entity import check
from infra.tasks.many_words import words_for
from tests.infra.scaffold.services import a_service

ROOT = Path(__file__).parents[3]


def invoke(service: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", "entity", *words, "--service", str(service)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def service(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("")
    return a_service(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("entity Product name:str", ["Product", "name:str"]),
        ("entity --unique a,b Product a:int b:int", ["Product", "a:int", "b:int"]),
        ("entity Product a:int --unique=a,b --dry-run b:int", ["Product", "a:int", "b:int"]),
        ("entity --add Product weight:float?", ["weight:float?"]),
        ("entity -r Product -y", []),
        ("entity Product -- a:int", ["Product"]),
        ("--debug entity Product a:int", ["Product", "a:int"]),
        ("test", []),
    ],
)
def test_the_words_are_those_that_are_no_options(line: str, words: list[str]) -> None:
    valued = {"--unique", "-u", "--add", "-a", "--remove", "-r"}
    assert [*words_for("entity", line.split(), valued)] == words


def test_a_wrong_field_is_shown_at_its_place_and_nothing_is_written(service: Path) -> None:
    before = {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}
    done = invoke(service, "Product", "name:str max=80", "price:Decimal gt=0 uniqe")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: “uniqe” is not known; did you mean unique?",
        "  price:Decimal gt=0 uniqe",
        "                     ^^^^^",
        "nothing was written",
    ]
    assert before == {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which entity, with which fields?"),
        (["Product"], "Product has no field"),
        (["--add", "Product", "weight:float?"], "has no such entity; it has Category; nothing was"),
        (["--add", "Category", "weight:float?", "--plural", "x"], "are for a new entity"),
        (["--remove", "Category", "--plural", "x"], "are for what comes"),
        (["--remove", "Category", "wieght"], "no field “wieght”; it has name"),
        (["--remove", "Category", "name"], "remove the entity"),
        (["--remove", "Product", "name"], "no such entity (it has Category)"),
        (["--remove", "Category"], "there is no terminal to ask at; say --yes"),
    ],
)
def test_words_that_dont_belong_together_are_refused(
    service: Path, words: list[str], said: str
) -> None:
    done = invoke(service, *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_removal_says_what_went_as_a_tree_and_what_is_next(service: Path) -> None:
    done = invoke(service, "--remove", "Category", "--yes")
    assert done.returncode == 0, done.stderr
    assert "category_model.py" in done.stdout
    assert "removed" in done.stdout
    assert "again writes the migration that drops the table" in done.stdout
    assert "leaving = categories" in (service / "db/alembic.ini").read_text()


def test_a_removal_that_is_only_tried_changes_nothing(service: Path) -> None:
    before = {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}
    done = invoke(service, "--remove", "Category", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "+++ /dev/null" in done.stdout
    assert before == {path: path.read_bytes() for path in service.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform == "win32", reason="uv's stand-in is a shell's script")
@pytest.mark.parametrize(
    ("does", "code", "said"),
    [
        ("echo wrong; exit 1", 1, "error: ruff check failed."),
        # It ends by itself: whoever is interrupted while it starts a program does not know it yet.
        ("kill -INT $PPID; exec sleep 3", 130, "interrupted: ruff check did not end."),
    ],
)
def test_a_check_that_fails_or_is_interrupted_says_that_the_files_are_there(
    service: Path, monkeypatch: pytest.MonkeyPatch, does: str, code: int, said: str
) -> None:
    uv = service / "uv"
    uv.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{does}\n')
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    with pytest.raises(Exit) as end:
        check(Project(service), "thing", {"src/a.py": "x = 1\n"})
    assert end.value.code == code
    assert end.value.message is not None
    assert end.value.message.startswith(f"{said} The files are written: mend them, or undo it all")
