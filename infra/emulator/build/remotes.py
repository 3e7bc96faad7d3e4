"""Repositories of Git hosts, each a folder of this machine: whoever simulates a push says which.

Nothing is asked of a host. Only what is committed is seen, and nothing is written to the folder.
"""

import os
import subprocess
from pathlib import Path

from infra.emulator import errors
from infra.emulator.world import World

REMOTES = "git_remotes"
_NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")


def remember(world: World, uri: str, folder: Path) -> None:
    """Lets a folder stand for a remote repository from now on."""
    world.put(REMOTES, uri, {"folder": str(folder)})


def find(world: World, uri: str) -> Path:
    """The folder that stands for a remote repository. Raises 400 FAILED_PRECONDITION."""
    known = world.get(REMOTES, uri)
    if known is None:
        raise errors.precondition(
            "Couldn't read commit: the emulator reaches no Git host, and no folder stands for "
            f"{uri} yet. invoke emulator.push says which one does."
        )
    return Path(known["folder"])


def commit_of(folder: Path, revision: str) -> str:
    """The commit that a branch, a tag or a commit is. Raises 400."""
    return git(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")


def read(folder: Path, commit: str, path: str) -> str:
    """A file as it is committed. Raises 400."""
    return git(folder, "cat-file", "blob", f"{commit}:{path}")


def check_out(folder: Path, commit: str, into: Path) -> None:
    """Puts a commit's files into an empty folder, as a clone. Raises ValueError."""
    try:
        # The objects are those of the folder: nothing is copied that is not read.
        git(folder, "clone", "--quiet", "--shared", "--no-checkout", ".", str(into))
        git(into, *_NO_HOOKS, "checkout", "--quiet", "--detach", commit)
    except errors.GoogleError as error:
        raise ValueError(error.message) from error


def git(folder: Path, *arguments: str) -> str:
    """What git prints. Raises 400 with what it complains of."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**environment, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    except OSError as error:
        raise errors.invalid(f"Couldn't run git: {error}") from error
    if done.returncode:
        raise errors.invalid(f"Couldn't read commit: {folder}: {done.stderr.strip()}")
    return done.stdout.strip()
