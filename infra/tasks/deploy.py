"""`invoke deploy`: one release, from the source to the traffic.

    check the migrations ─► package ─► upload ─► build ─► migrate ─► new revision, healthy,
    without traffic ─► traffic

An arrow is crossed only when what is before it is done and well. The traffic is the last thing
that changes: a failure anywhere leaves it where it was.
"""

# ruff: noqa: PLC0415

from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.report import say, spell
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing
from infra.tasks.stages import database, image, traffic

if TYPE_CHECKING:
    from infra.resources.base import Work


REBUILD = "Build the image even if this source has been built already."


@task(help={"env": ENV, "service": SERVICE, "rebuild": REBUILD, "lock-timeout": LOCK_TIMEOUT})
@friendly
def deploy(
    context: Context,
    env: str | None = None,
    service: str | None = None,
    rebuild: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Build the service, migrate its database, and roll it out once it is healthy."""
    with terminated_is_interrupted():
        started = perf_counter()
        opened = open_cloud(context, service, env)
        with releasing(opened, "deploy", lock_timeout) as work:
            url = release(opened, work, rebuild=rebuild)
        say(f"\n{opened.cloud.names.name}-{opened.environment.name} : {url}")
        say(f"{spell(perf_counter() - started)} in all")


def release(opened: Opened, work: "Work", *, rebuild: bool = False) -> str:
    """The whole trip, a line a step. Returns the service's address."""
    from infra import manifest
    from infra.release import build, migrate, rollout

    folder, names = opened.project.folder, opened.cloud.names
    # What is wrong with a file, or was not provisioned, is said before anything is built.
    plan = build.read(folder)
    live = rollout.get_service(work)
    migrate.get_job(work)
    versions = rollout.secret_versions(work)
    manifest.read(folder, opened.environment, image=live.name, versions=versions)

    say(f"Releasing {names.name} to {opened.environment.name}, project {names.project}:\n")
    pending = database.check(opened, work, live)
    built = image.make(opened, work, plan, rebuild=rebuild)
    shape = manifest.read(folder, opened.environment, image=built.image, versions=versions)
    record = database.migrate(opened, work, shape, built, pending)
    return traffic.roll_out(opened, work, shape, built, record)
