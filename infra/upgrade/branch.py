"""The merged service put onto a branch of its own, with git's own conflicts; and taken off again.

Each step may be taken again: one that was killed is finished, or undone, by the next run.
"""

import os
from collections.abc import Iterable

from infra.project import ProjectError
from infra.upgrade.repository import Repository
from infra.upgrade.state import State, forget

FOLDER = "upgrade"
NO_MODE = "0"


def name_of(target: str) -> str:
    """The branch for an upgrade to that."""
    return f"{FOLDER}/{target}"


def check_free(repository: Repository, branch: str) -> None:
    """Raises ProjectError when there is such a branch already, or can't be one."""
    if repository.git.commit(f"refs/heads/{branch}"):
        raise ProjectError(
            f"there is a branch {branch} already, from an earlier upgrade: merge it (git merge "
            f"{branch}), or drop it (git branch -D {branch}), and run this again"
        )
    if repository.git.commit(f"refs/heads/{FOLDER}"):
        raise ProjectError(
            f"there is a branch {FOLDER}, so git can't have one called {branch}: rename it with "
            f"git branch -m {FOLDER} another-name"
        )


def check_room(repository: Repository, state: State) -> None:
    """Raises ProjectError when a file that git ignores is where the template brings one."""
    in_the_way = [
        path for path in added(repository, state) if os.path.lexists(repository.top / path)
    ]
    if in_the_way:
        raise ProjectError(
            f"the template brings {', '.join(in_the_way)}, where you have a file that git ignores: "
            "move it away, and run this again"
        )


def added(repository: Repository, state: State) -> list[str]:
    """The files that are not there without the upgrade, from the top."""
    diff = ("diff-tree", "-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    return repository.whole.items(*diff, state.head, state.tree)


def place(repository: Repository, state: State) -> State:
    """Makes the branch, checks it out, and gives the working tree and the index what was merged."""
    git = repository.whole
    git.text("update-ref", f"refs/heads/{state.branch}", state.head)
    git.text("symbolic-ref", "HEAD", f"refs/heads/{state.branch}")
    git.text("read-tree", "--reset", "-u", state.tree)
    git.text("update-index", "-z", "--index-info", given=records(state))
    return state.model_copy(update={"placed": True}).write(repository)


def records(state: State) -> str:
    """The conflicts for `git update-index`: each path is taken out before it gets its sides."""
    sides = state.unmerged
    gone = {each.path for each in sides}
    nothing = "0" * len(state.tree)
    lines = [f"{NO_MODE} {nothing}\t{path}" for path in sorted(gone)]
    lines += [f"{each.mode} {each.object} {each.stage}\t{each.path}" for each in sides]
    return "".join(f"{line}\0" for line in lines)


def is_over(repository: Repository, state: State) -> bool:
    """Whether it was ended by hand: its branch is dropped, or has a commit."""
    return repository.git.commit(f"refs/heads/{state.branch}") != state.head


def abort(repository: Repository, state: State) -> bool:
    """The working tree as it was before, on the branch it was, and without the upgrade's. Returns
    whether that stays, for it has commits."""
    git = repository.whole
    if repository.branch == state.branch:
        leave(repository, state)
    made = git.commit(f"refs/heads/{state.branch}")
    if made == state.head:
        git.text("update-ref", "-d", f"refs/heads/{state.branch}", state.head)
    forget(repository)
    return made not in {None, state.head}


def leave(repository: Repository, state: State) -> None:
    """Goes back to where it came from, and takes what was not there away."""
    git = repository.whole
    new = added(repository, state)
    git.text("read-tree", "--reset", "-u", state.head)
    # One that was killed may have written files before git's index knew of them.
    remove(repository, (path for path in new if os.path.lexists(repository.top / path)))
    if git.commit(f"refs/heads/{state.came_from}"):
        git.text("symbolic-ref", "HEAD", f"refs/heads/{state.came_from}")
    else:
        git.text("update-ref", "--no-deref", "HEAD", state.head)


def remove(repository: Repository, paths: Iterable[str]) -> None:
    """Deletes files, and the folders that they leave empty."""
    for path in paths:
        file = repository.top / path
        file.unlink()
        for folder in file.parents:
            if folder == repository.top or any(folder.iterdir()):
                break
            folder.rmdir()


def in_conflict(repository: Repository, state: State) -> list[str]:
    """The files with a conflict that nobody has resolved: git's index has its sides, or its
    markers are still there."""
    listed = repository.whole.items("diff", "--name-only", "--diff-filter=U", "-z")
    marked = (
        path
        for path in dict.fromkeys(each.path for each in state.unmerged)
        if path not in listed and has_markers(repository, state, path)
    )
    return [*dict.fromkeys(listed), *marked]


def has_markers(repository: Repository, state: State, path: str) -> bool:
    """Whether a file has git's markers of this upgrade."""
    file = repository.top / path
    if not file.is_file():
        return False
    lines = file.read_bytes().splitlines()
    return any(line.startswith((b"<<<<<<< yours", b">>>>>>> template-")) for line in lines)
