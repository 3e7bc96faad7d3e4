"""A project on this machine: found, read, and its programs run in its own environment."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infra.project import Project, ProjectError, environment, find_uv, stop


def script(path: Path, text: str) -> Path:
    """A program."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_project_around_the_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.coverage]\n")
    (tmp_path / "db").mkdir()
    monkeypatch.chdir(tmp_path / "db")
    project = Project.find(None)
    assert project.folder == tmp_path
    assert "coverage" in project.settings


def test_a_folder_given_must_be_the_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "db").mkdir()
    with pytest.raises(ProjectError, match=r"db is no project: it has no pyproject\.toml"):
        Project.find(str(tmp_path / "db"))


def test_a_broken_pyproject_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool\n")
    with pytest.raises(ProjectError, match=r"pyproject\.toml.*line 1"):
        _ = Project(tmp_path).settings


def test_the_uv_that_runs_us_is_the_first_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = script(tmp_path / "ours", "echo uv")
    script(tmp_path / "uv", "echo uv")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("UV", str(ours))
    assert find_uv() == str(ours)
    monkeypatch.delenv("UV")
    assert find_uv() == str(tmp_path / "uv")


def test_a_shim_that_finds_no_uv_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "uv", "exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("UV", str(tmp_path / "gone"))
    with pytest.raises(ProjectError, match="uv is needed"):
        find_uv()


def test_our_virtual_environment_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/ours")
    monkeypatch.setenv("KEPT", "yes")
    variables = environment(GIVEN="too")
    assert "VIRTUAL_ENV" not in variables
    assert (variables["KEPT"], variables["GIVEN"]) == ("yes", "too")


# A launcher, as uv is, and a program that hears nothing.
DEAF = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # its child inherits it
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
print(child.pid, flush=True)
child.wait()
"""


def test_what_does_not_end_is_killed_with_its_children() -> None:
    command = [sys.executable, "-c", DEAF]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        stop(process, seconds=0.1)
        child.wait(60)
    assert process.returncode != 0
