"""The tasks: quick to list, and what they say when they can't begin."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LISTING = """
import sys
from infra.tasks import namespace
google = sorted(name for name in sys.modules if name.split(".")[0] in {"google", "grpc"})
raise SystemExit(f"imported: {google[:5]}" if google else 0)
"""
TASKS = "from infra.tasks import namespace as namespace\n"
STG = "project: acme-stg\nregion: europe-west1\nservice:\n  name: orders\n"
FREE_OF_CREDENTIALS = {
    "NO_GCE_CHECK": "true",
    "GOOGLE_APPLICATION_CREDENTIALS": "",
    "CLOUD_EMULATOR_HOST": "",
}
COMMANDS = ["provision", "destroy", "status", "render", "secret list"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service with one environment."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "stg.yaml").write_text(STG)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def invoke(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder, with a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "APPDATA": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_listing_imports_nothing_of_googles() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_environment_is_usage(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "prod")
    assert done.returncode == 2
    assert "there is no environment 'prod'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_credentials_says_how_to_log_in(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "stg", **FREE_OF_CREDENTIALS)
    assert done.returncode == 2
    assert "gcloud auth application-default login" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_emulator_that_does_not_answer_is_named(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "stg", CLOUD_EMULATOR_HOST="127.0.0.1:1")
    assert done.returncode == 2
    assert "no emulator answers at 127.0.0.1:1" in done.stderr


def test_a_wrong_file_creates_nothing(folder: Path) -> None:
    (folder / "environments" / "stg.yaml").write_text(STG + "  max_instances: 0\n")
    done = invoke(folder, "provision", "--env", "stg")
    assert done.returncode == 2
    assert "environments/stg.yaml:5: service.max_instances: must be at least 1" in done.stderr
    assert not done.stdout
