"""`invoke deploy`: one release, from the source to the traffic.

    package ─► build ─► migrate ─► new revision without traffic ─► checks ─► canary ─► 100 %

An arrow is crossed only when what is before it is done and well. The traffic is the last thing
that changes: a failure anywhere leaves it where it was, or puts it back there.
"""

# ruff: noqa: PLC0415

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say, spell
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing
from infra.tasks.stages import database, pace, traffic
from infra.tasks.stages import image as image_stage
from infra.tasks.stages.image import Named

if TYPE_CHECKING:
    from google.cloud import run_v2

    from infra.resources.base import Work


REBUILD = "Build the image even if this source has been built already."
NO_TRAFFIC = "Stop when the revision is healthy: invoke promote gives it the traffic."
IMAGE = "Release this image instead of building one: REPOSITORY@sha256:… or REPOSITORY:TAG."
COMMIT = "With --image: the commit it was built from, for the record. Default: its tag."
BRANCH = "With --image: the branch of that commit, for the record."
HELP = {
    "env": ENV,
    "service": SERVICE,
    "rebuild": REBUILD,
    "image": IMAGE,
    "commit": COMMIT,
    "branch": BRANCH,
    "canary": pace.CANARY,
    "bake": pace.BAKE,
    "no-traffic": NO_TRAFFIC,
    "lock-timeout": LOCK_TIMEOUT,
}


@task(help=HELP)
@friendly
def deploy(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    rebuild: bool = False,
    image: str = "",
    commit: str = "",
    branch: str = "",
    canary: str | None = None,
    bake: str | None = None,
    no_traffic: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Build the service, migrate its database, and roll it out once it is healthy."""
    named = named_by(image, commit, branch, rebuild=rebuild)
    with terminated_is_interrupted():
        started = perf_counter()
        opened = open_cloud(context, service, env)
        paced = pace.Pace.of(opened.environment.release, canary, bake)
        wanted = Wanted(paced, rebuild, named, no_traffic)
        with releasing(opened, "deploy", lock_timeout) as work:
            live = release(opened, work, wanted)
        tell_the_end(opened, live, perf_counter() - started)


@dataclass(frozen=True)
class Wanted:
    """What the options ask of a release."""

    paced: pace.Pace
    rebuild: bool = False
    named: Named | None = None
    no_traffic: bool = False


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


def release(opened: Opened, work: "Work", wanted: Wanted) -> "run_v2.Service":
    """The whole trip, a line a step. Returns the service as it is then."""
    from infra import manifest
    from infra.release import build, live, migrate, rollout

    folder, names = opened.project.folder, opened.cloud.names
    # What is wrong with a file, or was not provisioned, is said before anything is built.
    plan = build.read(folder) if wanted.named is None else None
    there = live.get_service(work)
    migrate.get_job(work)
    versions = rollout.secret_versions(work)
    manifest.read(folder, opened.environment, image=there.name, versions=versions)

    say(f"Releasing {names.name} to {opened.environment.name}, project {names.project}:\n")
    traffic.recover(work)
    pending = database.check(opened, work, live.get_service(work))
    if plan is not None:
        built = image_stage.make(opened, work, plan, rebuild=wanted.rebuild)
    elif wanted.named is not None:
        built = image_stage.take(opened, work, wanted.named)
    shape = manifest.read(folder, opened.environment, image=built.image, versions=versions)
    record = database.migrate(opened, work, shape, built, pending)
    with_traffic = not wanted.no_traffic
    return traffic.roll_out(work, shape, built, record, wanted.paced, traffic=with_traffic)


def tell_the_end(opened: Opened, live: "run_v2.Service", seconds: float) -> None:
    """Where the service is, or the revision that waits."""
    from infra.release.live import tag_uri

    name = f"{opened.cloud.names.name}-{opened.environment.name}"
    if uri := tag_uri(live):
        say(f"\nThe new revision waits without traffic: {uri}")
        say(f"It gets the traffic with: invoke promote --env {opened.environment.name}")
    else:
        say(f"\n{name} : {live.uri}")
    say(f"{spell(seconds)} in all")
