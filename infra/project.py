"""A project on this machine (a service, or the template itself) and how its programs are run.

Every program runs in the project's own environment, through uv; nothing here prints.
"""

import os
import shutil
import subprocess
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil

NO_UV = 127
STOP_SECONDS = 15
INSTALL_UV = "uv is needed: https://docs.astral.sh/uv/getting-started/installation/"


class ProjectError(Exception):
    """The project can't be used; the text says why and what to do."""


@dataclass(frozen=True)
class Project:
    """The folder of a pyproject.toml."""

    folder: Path

    @classmethod
    def find(cls, folder: str | None) -> "Project":
        """The project in the folder, or, when it is None, around the current one.

        Raises ProjectError.
        """
        start = Path(folder or ".").absolute()
        for candidate in [start] if folder else [start, *start.parents]:
            if (candidate / "pyproject.toml").is_file():
                return cls(candidate)
        raise ProjectError(f"{start} is no project: it has no pyproject.toml")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The `[tool]` table of pyproject.toml."""
        try:
            text = (self.folder / "pyproject.toml").read_text("utf-8")
            tools: dict[str, Any] = tomllib.loads(text).get("tool", {})
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(f"{self.folder / 'pyproject.toml'}: {error}") from None
        return tools

    def command(self, *program: str) -> list[str]:
        """The command line that runs a program in the project's environment."""
        return [find_uv(), "run", "--directory", str(self.folder), *program]

    def run(self, *program: str, **variables: str) -> int:
        """Runs a program to its end, on our terminal. Returns its exit status."""
        command = self.command(*program)
        return subprocess.run(command, env=environment(**variables), check=False).returncode

    def ask(self, *program: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end and returns what it printed and its exit status."""
        return subprocess.run(
            self.command(*program),
            env=environment(**variables),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )


def stop(process: subprocess.Popen[Any], seconds: float = STOP_SECONDS) -> None:
    """Ends a process: SIGTERM, and SIGKILL when it is still there after the seconds, for it and
    what it has started: uv would leave its program to go on without it."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.wait()


def environment(**variables: str) -> dict[str, str]:
    """Our environment variables with the given ones, less those that would lead a project's
    programs into our own virtual environment."""
    ours = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "PYTHONHOME"}
    return {key: value for key, value in os.environ.items() if key not in ours} | variables


def find_uv() -> str:
    """The uv to call: the one that runs us, or the one on PATH. Raises ProjectError.

    A shim on PATH may be there and answer 127, which means that there is none.
    """
    for candidate in (os.environ.get("UV"), shutil.which("uv")):
        if candidate and _answers(candidate):
            return candidate
    raise ProjectError(INSTALL_UV)


def _answers(uv: str) -> bool:
    try:
        return subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
