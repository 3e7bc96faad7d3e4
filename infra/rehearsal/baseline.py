"""Which commit is deployed, as far as git can tell, and its files.

Nothing of the repository is touched: no branch, no work tree, no index.
"""

import io
import re
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from infra.project import ProjectError
from infra.release.source import git

# Where changes are merged to, the first that there is.
MAINS = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
SHORT = 12


@dataclass(frozen=True)
class Deployed:
    """The commit that is taken to be deployed, and why that one."""

    commit: str
    why: str

    def __str__(self) -> str:
        return f"{self.commit[:SHORT]}, {self.why}"


def choose(folder: Path, given: str | None = None, tag: str | None = None) -> Deployed:
    """The commit that is deployed: the one given, else what git knows of it.

    `tag` is the regular expression of the tags that are released, where tags are: the newest of
    them, if it is not what is here. Else it is where this branch left the main one; on the main one
    the last commit, or the one before when nothing was changed since.

    Raises ProjectError without a repository, and where the commit is not there.
    """
    if given:
        return Deployed(resolve(folder, given), "as asked for")
    head = git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        raise ProjectError(
            f"{folder} is in no git repository with a commit: which one is deployed can't be told"
        )
    is_dirty = git(folder, "status", "--porcelain", "--", ".") != ""
    if tag and (found := newest_tag(folder, tag, None if is_dirty else head)):
        return found
    for main in MAINS:
        # A shallow clone knows the branch, and not where this one left it.
        if git(folder, "rev-parse", "--verify", "--quiet", f"{main}^{{commit}}"):
            base = git(folder, "merge-base", "HEAD", main)
            if not base:
                raise ProjectError(f"where this branch left {main} can't be told{shallow(folder)}")
            if base != head:
                return Deployed(base, f"where this branch left {main}")
            break
    if is_dirty:
        return Deployed(head, "the last one: files here differ from it")
    return before(folder, head)


def before(folder: Path, head: str) -> Deployed:
    """The commit before the last one; the last one where it is the first."""
    parent = git(folder, "rev-parse", "--verify", "--quiet", "HEAD^1")
    if parent:
        return Deployed(parent, "the one before the last: nothing here was changed since that")
    if is_shallow(folder):
        raise ProjectError(f"the commit before {head[:SHORT]} is not here{shallow(folder)}")
    return Deployed(head, "the only one")


def newest_tag(folder: Path, pattern: str, but: str | None) -> Deployed | None:
    """The newest tag of those that are released, in the history of what is here; not the one of
    the commit `but`."""
    tags = (
        git(folder, "tag", "--merged", "HEAD", "--sort=-version:refname", "--sort=-creatordate")
        or ""
    )
    for name in filter(re.compile(pattern).search, tags.splitlines()):
        commit = git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}")
        if commit and commit != but:
            return Deployed(commit, f"the newest tag that is released, {name}")
    return None


def resolve(folder: Path, name: str) -> str:
    """The commit that a name is for, in full. Raises ProjectError."""
    found = git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
    )
    if not found:
        raise ProjectError(f"there is no commit {name} in the repository here{shallow(folder)}")
    return found


def is_shallow(folder: Path) -> bool:
    """Whether the repository has only the last commits."""
    return git(folder, "rev-parse", "--is-shallow-repository") == "true"


def shallow(folder: Path) -> str:
    """What to do about a commit that is missing in a shallow clone; "" in a whole one."""
    if not is_shallow(folder):
        return ""
    return (
        ": this clone is shallow. Fetch all of it: git fetch --unshallow, or fetch-depth: 0 for "
        "GitHub's actions/checkout"
    )


def has(folder: Path, commit: str, path: str) -> bool:
    """Whether the commit has a file, by its path from the service's folder."""
    return git(folder, "cat-file", "-e", f"{commit}:./{path}") is not None


def export(folder: Path, commit: str, target: Path) -> None:
    """Writes the commit's files of the service's folder into a new one. Raises ProjectError."""
    done = subprocess.run(
        ["git", "-C", str(folder), "archive", "--format=tar", commit],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ProjectError(f"the files of {commit[:SHORT]} can't be read: {said}")
    target.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
