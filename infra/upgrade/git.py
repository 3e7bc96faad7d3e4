"""Git, as an upgrade needs it: in a given folder, and never in the one that a variable names."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.project import ProjectError
from infra.upgrade import UpgradeError

OLDEST = (2, 30)
"""The first whose `rev-parse` takes --end-of-options."""
# What `git rev-parse --local-env-vars` says, but for settings given with `git -c`.
LOCAL = frozenset(
    [
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    ]
)


@dataclass(frozen=True)
class Git:
    """Git in a folder, with options and variables of its own."""

    folder: Path
    options: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
        """How a command ended, and the bytes that it printed."""
        own = {name: value for name, value in os.environ.items() if name not in LOCAL}
        return subprocess.run(
            ["git", *self.options, *arguments],
            cwd=self.folder,
            env=own | dict(self.variables),
            input=os.fsencode(given),
            capture_output=True,
            check=False,
        )

    def ask(self, *arguments: str) -> str | None:
        """What a command prints; None when it fails."""
        done = self.run(*arguments)
        return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None

    def text(self, *arguments: str, given: str = "") -> str:
        """What a command prints, which must succeed. Raises UpgradeError with git's own words."""
        done = self.run(*arguments, given=given)
        if done.returncode:
            raise UpgradeError(f"git {arguments[0]} failed: {complaint(done)}")
        return os.fsdecode(done.stdout).strip()

    def items(self, *arguments: str) -> list[str]:
        """What a command that is told -z prints, one by one. Raises UpgradeError."""
        done = self.run(*arguments)
        if done.returncode:
            raise UpgradeError(f"git {arguments[0]} failed: {complaint(done)}")
        return [os.fsdecode(item) for item in done.stdout.split(b"\0") if item]

    def file(self, commit: str, path: str) -> str | None:
        """A text file as it is in a commit; None when it is not there."""
        done = self.run("cat-file", "blob", f"{commit}:{path}")
        return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None

    def commit(self, name: str) -> str | None:
        """The commit that a name means; None when it means none."""
        return self.ask(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    """What git said of its failure, on one line."""
    said = (done.stderr or done.stdout).decode("utf-8", "replace")
    return " ".join(said.split()) or f"exit status {done.returncode}"


def check_version() -> None:
    """Raises ProjectError when there is no git, or one that is too old."""
    try:
        done = Git(Path.cwd()).run("version")
    except OSError:
        raise ProjectError("git is needed, and there is none: https://git-scm.com") from None
    words = done.stdout.decode("utf-8", "replace").split()
    numbers = words[2].split(".") if len(words) > 2 else []
    if len(numbers) < 2 or not all(number.isdigit() for number in numbers[:2]):
        raise ProjectError(f"git does not say its version: {complaint(done)}")
    if (int(numbers[0]), int(numbers[1])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ProjectError(f"git {oldest} or newer is needed; this is {words[2]}")
