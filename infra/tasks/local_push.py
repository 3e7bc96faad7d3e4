"""`invoke emulator.push`: what a push to GitHub would start, on the local cloud, to its end."""

# ruff: noqa: PLC0415

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say
from infra.tasks import local_faults
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, SERVICE, friendly
from infra.tasks.releasing import step_of, work_on

BRANCH = "The branch that is pushed. Default: the one that is checked out."
TAG = "The tag that is pushed, instead of a branch."
INTO = "The branch that the branch is to be merged into: a pull request, which starts the checks."


@task(
    # A short one would hide what -t and -i are elsewhere.
    auto_shortflags=False,
    help={"env": ENV, "service": SERVICE, "branch": BRANCH, "tag": TAG, "into": INTO},
)
@friendly
def push(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    branch: str = "",
    tag: str = "",
    into: str = "",
) -> None:
    """Simulate a push of what is committed here: the triggers' builds, followed to their end."""
    opened = open_cloud(context, service, env)
    if not opened.cloud.is_emulated:
        raise ProjectError(
            f"environments/{opened.environment.name}.yaml is in Google Cloud, where a push is made "
            "with git: this is for the local cloud"
        )
    pushed = local_faults.push(event(opened, branch, tag, into))
    commit, builds = str(pushed["commit"]), pushed["builds"]
    if not builds:
        say(f"No trigger is for this: {commit[:12]} starts no build")
    for each in builds:
        say(f"{commit[:12]} starts the trigger {each['trigger']}: build {each['id']}\n")
        follow(opened, each["name"], each["trigger"])


def event(opened: Opened, branch: str, tag: str, into: str) -> dict[str, object]:
    """What happens, as the emulator is told. Raises ProjectError."""
    from infra.release.source import git

    declared = opened.environment.trigger
    if declared is None:
        raise ProjectError(
            f"environments/{opened.environment.name}.yaml declares no trigger: add trigger: with a "
            "repository, a connection and a branch, and run invoke provision"
        )
    folder = opened.project.folder
    path = git(folder, "rev-parse", "--show-toplevel")
    if not path:
        raise ProjectError(f"{folder} is in no git repository, or there is no git")
    branch = branch or ("" if tag else git(folder, "branch", "--show-current") or "")
    if not branch and not tag:
        raise ProjectError("no branch is checked out: name one with --branch")
    told: dict[str, object] = {"repository": declared.repository, "path": path}
    if tag:
        return {**told, "tag": tag}
    return {**told, "branch": branch, **({"pull_request": 1, "base": into} if into else {})}


def follow(opened: Opened, name: str, trigger: str) -> None:
    """Shows a build's log to its end. Raises ReleaseError when it fails."""
    from infra.release import build

    work = work_on(opened)
    with step_of(work, f"build of {trigger}") as listener:
        build.follow(work, build.find(work, name), listener)
