"""What an upgrade does when nothing is in conflict (any more): pin, lock, and one commit.

Each step may be taken again. Between lock and commit come the service's own lint and tests.
"""

import subprocess

from infra.project import ProjectError, environment, find_uv
from infra.upgrade import UpgradeError
from infra.upgrade.git import complaint
from infra.upgrade.pin import Pin
from infra.upgrade.repository import Repository
from infra.upgrade.state import State, forget

CONTINUE = "uv run invoke upgrade --continue"
# They would keep uv from writing the lock.
NOT_FOR_LOCK = {"UV_FROZEN", "UV_LOCKED"}


def check_branch(repository: Repository, state: State) -> None:
    """Raises ProjectError while another branch is checked out."""
    if repository.branch != state.branch:
        raise ProjectError(
            f"the upgrade to {state.name} is on the branch {state.branch}: git switch "
            f"{state.branch} first, or invoke upgrade --abort"
        )


def move_pin(repository: Repository, state: State) -> str | None:
    """Lets the service have the engine of the template's commit. Returns what there is to say when
    it stays."""
    pin = Pin.read(repository.folder)
    if pin.source.get("rev") == state.commit:
        return None
    text = pin.moved(state.commit)
    if text is not None:
        (repository.folder / "pyproject.toml").write_bytes(text.encode("utf-8"))
        return None
    if "path" in pin.source:
        return f"the engine stays the folder {pin.source['path']}"
    if "branch" in pin.source:
        return f"the engine stays that of the branch {pin.source['branch']}"
    return (
        "pyproject.toml does not say in a line with a commit where the engine comes from: its pin "
        f"stays. The template's commit is {state.commit}"
    )


def lock(repository: Repository) -> None:
    """Locks the service, from uv's cache if there is no network. Raises UpgradeError."""
    own = {name: value for name, value in environment().items() if name not in NOT_FOR_LOCK}
    command = [find_uv(), "lock", "--directory", str(repository.folder)]
    done = subprocess.run(command, env=own, capture_output=True, check=False)
    if done.returncode == 0:
        return
    cached = subprocess.run([*command, "--offline"], env=own, capture_output=True, check=False)
    if cached.returncode:
        raise UpgradeError(f"uv lock failed: {complaint(done)}. Mend that, then: {CONTINUE}")


def commit(repository: Repository, state: State) -> str:
    """Makes one commit of all of it, and ends the upgrade. Returns the commit.

    Raises UpgradeError when git, or a hook of the repository's, refuses.
    """
    repository.whole.text("add", "--update", "--", ".")
    repository.git.text("add", "--all", "--", ".")
    if repository.git.run("diff", "--cached", "--quiet", "HEAD").returncode:
        done = repository.git.run("commit", "--quiet", "--message", message(state))
        if done.returncode:
            raise UpgradeError(
                f"git did not commit: {complaint(done)}. Mend that, then: {CONTINUE}"
            )
    forget(repository)
    return repository.head


def message(state: State) -> str:
    """What the commit says."""
    where = f" in {state.service}" if state.service else ""
    return (
        f"Upgrade to template {state.name}{where}\n\n"
        f"From {state.old} to the template's commit {state.commit}."
    )
