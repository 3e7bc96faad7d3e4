"""`invoke deploy`: one release, from the source to the traffic.

    package ─► upload ─► build ─► migrate ─► new revision, healthy, without traffic ─► traffic

An arrow is crossed only when what is before it is done and well. The traffic is the last thing
that changes: a failure anywhere leaves it where it was.
"""

# ruff: noqa: PLC0415

from importlib.metadata import version as version_of
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.report import complain, say, spell
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing, step_of

if TYPE_CHECKING:
    from infra.release.record import Record
    from infra.release.source import Commit, Source
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
    from infra.release import build, migrate, rollout, source

    folder, names = opened.project.folder, opened.cloud.names
    # What is wrong with a file, or was not provisioned, is said before anything is built.
    plan = build.read(folder)
    live = rollout.get_service(work)
    migrate.get_job(work)
    versions = rollout.secret_versions(work)
    manifest.read(folder, opened.environment, image=live.name, versions=versions)

    say(f"Releasing {names.name} to {opened.environment.name}, project {names.project}:\n")
    with source.package(folder) as packaged:
        commit = source.Commit.read(folder)
        version = commit.version(packaged)
        if commit.is_dirty:
            complain(f"warning: files here differ from commit {commit.id[:12]}; they are released")
        if packaged.advice:
            complain(f"warning: {packaged.advice}")
        image = None if rebuild else build.find_image(work, version)
        if image:
            say(f"  {version[:12]} is built already, {packaged.summary}: --rebuild builds it again")
        else:
            with step_of(work, f"upload the source, {packaged.summary}"):
                source.upload(work, packaged)
            with step_of(work, "build the image") as tell:
                build.prepare(plan, names, packaged, version)
                image = build.run(work, plan, version, tell)
    shape = manifest.read(folder, opened.environment, image=image, versions=versions)
    with step_of(work, "migrate the database") as tell:
        migrate.update_job(work, shape, image)
        migrate.run(work, migrate.HEAD, tell)
    revision = rollout.next_revision(work, version)
    with step_of(work, f"start revision {revision}"):
        candidate = rollout.create(work, shape, revision, record_of(opened, commit, packaged))
    for percent in rollout.steps(candidate, opened.environment.release.canary):
        with step_of(work, f"send it {percent} % of the traffic"):
            live = rollout.promote(work, candidate, percent)
    url: str = live.uri
    return url


def record_of(opened: Opened, commit: "Commit", packaged: "Source") -> "Record":
    """What the revision is to remember of this release."""
    from infra.caller import who
    from infra.names import MANAGED_BY
    from infra.release.record import Record

    return Record(
        commit=commit.id,
        branch=commit.branch,
        author=commit.author,
        dirty="true" if commit.is_dirty else "",
        source=packaged.sha256,
        engine=version_of(MANAGED_BY),
        by=who(opened.cloud),
    )
