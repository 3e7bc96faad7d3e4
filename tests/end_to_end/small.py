"""A service of which only the files that provisioning reads are there, in the environment stg."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.end_to_end.processes import variables_of_a_person
from tests.infra.services import write


@dataclass(frozen=True)
class Small:
    """The service's folder, and the emulator its commands go to."""

    folder: Path
    host: str

    @classmethod
    def make(cls, folder: Path, host: str, project: str, more: str = "") -> "Small":
        """A service called orders; `more` are further lines of its environment."""
        write(folder)
        (folder / "pyproject.toml").touch()
        (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
        (folder / "environments").mkdir()
        (folder / "environments/stg.yaml").write_text(
            f"project: {project}\nregion: europe-west1\nservice:\n  name: orders\n{more}"
        )
        return cls(folder, host)

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads its commands to the emulator."""
        return {**variables_of_a_person(), "CLOUD_EMULATOR_HOST": self.host, "INVOKE_ENV": "stg"}

    def command(self, *words: str) -> list[str]:
        """A command line, to be run in the folder."""
        return [sys.executable, "-m", "invoke", *words]

    def run(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[str]:
        """A command's exit status, and what it printed on both streams; there is no terminal."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.variables,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode())

    def writes(self) -> list[str]:
        """The calls since the last time that were meant to change anything."""
        journal = f"http://{self.host}/emulator/journal"
        calls = httpx.get(journal).json()["calls"]
        httpx.delete(journal)
        return [f"{call['http']} {call['path']}" for call in calls if call["write"]]

    def passes(self, *words: str, given: bytes = b"") -> str:
        """Runs a command that must succeed. Returns what it printed."""
        done = self.run(*words, given=given)
        assert done.returncode == 0, done.stdout
        return done.stdout
