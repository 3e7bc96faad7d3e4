"""`invoke deploy`: one release, from the source to the traffic.

    package ─► upload ─► build ─► migrate ─► new revision, healthy, without traffic ─► traffic

An arrow is crossed only when what is before it is done and well. The traffic is the last thing
that changes: a failure anywhere leaves it where it was.
"""

# ruff: noqa: PLC0415

from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say, spell
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing
from infra.tasks.stages import database, traffic
from infra.tasks.stages import image as image_stage
from infra.tasks.stages.image import Named

if TYPE_CHECKING:
    from infra.resources.base import Work


REBUILD = "Build the image even if this source has been built already."
IMAGE = "Release this image instead of building one: REPOSITORY@sha256:… or REPOSITORY:TAG."
COMMIT = "With --image: the commit it was built from, for the record. Default: its tag."
BRANCH = "With --image: the branch of that commit, for the record."


@task(
    help={
        "env": ENV,
        "service": SERVICE,
        "rebuild": REBUILD,
        "image": IMAGE,
        "commit": COMMIT,
        "branch": BRANCH,
        "lock-timeout": LOCK_TIMEOUT,
    }
)
@friendly
def deploy(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    rebuild: bool = False,
    image: str = "",
    commit: str = "",
    branch: str = "",
    lock_timeout: int = 0,
) -> None:
    """Build the service, migrate its database, and roll it out once it is healthy."""
    named = named_by(image, commit, branch, rebuild=rebuild)
    with terminated_is_interrupted():
        started = perf_counter()
        opened = open_cloud(context, service, env)
        with releasing(opened, "deploy", lock_timeout) as work:
            url = release(opened, work, rebuild=rebuild, named=named)
        say(f"\n{opened.cloud.names.name}-{opened.environment.name} : {url}")
        say(f"{spell(perf_counter() - started)} in all")


def named_by(image: str, commit: str, branch: str, *, rebuild: bool) -> Named | None:
    """The image that the options name, None for the one of the folder's files. Raises
    ProjectError."""
    if not image:
        if commit or branch:
            raise ProjectError("--commit and --branch say what an --image is of: name that too")
        return None
    if rebuild:
        raise ProjectError("--image is there already: it is not built, leave --rebuild out")
    return Named(image, commit, branch)


def release(
    opened: Opened, work: "Work", *, rebuild: bool = False, named: Named | None = None
) -> str:
    """The whole trip, a line a step. Returns the service's address."""
    from infra import manifest
    from infra.release import build, migrate, rollout

    folder, names = opened.project.folder, opened.cloud.names
    # What is wrong with a file, or was not provisioned, is said before anything is built.
    if named is None:
        plan = build.read(folder)
    live = rollout.get_service(work)
    migrate.get_job(work)
    versions = rollout.secret_versions(work)
    manifest.read(folder, opened.environment, image=live.name, versions=versions)

    say(f"Releasing {names.name} to {opened.environment.name}, project {names.project}:\n")
    if named is None:
        built = image_stage.make(opened, work, plan, rebuild=rebuild)
    else:
        built = image_stage.take(opened, work, named)
    shape = manifest.read(folder, opened.environment, image=built.image, versions=versions)
    record = database.migrate(opened, work, shape, built)
    return traffic.roll_out(opened, work, shape, built, record)
