"""A local cloud of a test's own, the commands that are run on it, and what they print."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from infra.tasks import local_cloud
from tests.end_to_end.processes import variables_of_a_person
from tests.template.bakes import REPOSITORY, Baked

SECONDS = 600


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud of the test's own."""

    state: Path

    @property
    def variables(self) -> dict[str, str]:
        """What leads a command to it, and to no other cloud."""
        place = {local_cloud.STATE_VARIABLE: str(self.state)}
        return {**variables_of_a_person(), **place, "CLOUD_EMULATOR_DURABLE": "0"}

    def command(self, service: Baked, *arguments: str) -> list[str]:
        """A command line, run from the template for the service."""
        invoke = [sys.executable, "-m", "invoke", *arguments]
        return [*invoke, "--service", str(service.folder)]

    def run(self, service: Baked, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command's exit status, and what it printed on both streams."""
        return subprocess.run(
            self.command(service, *arguments),
            cwd=REPOSITORY,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )

    def passes(self, service: Baked, *arguments: str) -> str:
        """Runs a command that must succeed. Returns what it printed."""
        done = self.run(service, *arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout}"
        return done.stdout

    @property
    def host(self) -> str:
        """Where it answers."""
        return local_cloud.ensure_running(self.state)

    def writes(self) -> list[str]:
        """The calls since the last time that were meant to change anything."""
        journal = f"http://{self.host}/emulator/journal"
        calls = httpx.get(journal).json()["calls"]
        httpx.delete(journal)
        return [f"{call['http']} {call['path']}" for call in calls if call["write"]]


@contextmanager
def local_cloud_in(state: Path) -> Iterator[LocalCloud]:
    """A local cloud that is gone afterwards; it starts when it is needed."""
    try:
        yield LocalCloud(state)
    finally:
        local_cloud.stop(state)
        local_cloud.remove(state)


def url_of(printed: str) -> str:
    """Where invoke deploy says that the service is."""
    found = re.search(r"^\S+-local : (http://\S+)$", printed, re.MULTILINE)
    assert found is not None, printed
    return found[1].rstrip("/")


def counts(printed: str) -> dict[str, int]:
    """The numbers of a recap."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", printed)}
