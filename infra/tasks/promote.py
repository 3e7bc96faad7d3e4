"""`invoke promote`: the revision that deploy --no-traffic left gets the traffic."""

# ruff: noqa: PLC0415

from time import perf_counter

from invoke.context import Context
from invoke.tasks import task

from infra.release import ReleaseError
from infra.report import say, spell
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing
from infra.tasks.stages import pace, traffic

HELP = {
    "env": ENV,
    "service": SERVICE,
    "canary": pace.CANARY,
    "bake": pace.BAKE,
    "lock-timeout": LOCK_TIMEOUT,
}


@task(help=HELP)
@friendly
def promote(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    canary: str | None = None,
    bake: str | None = None,
    lock_timeout: int = 0,
) -> None:
    """Give the traffic to the revision that deploy --no-traffic left, step by step."""
    with terminated_is_interrupted():
        started = perf_counter()
        opened = open_cloud(context, service, env)
        paced = pace.Pace.of(opened.environment.release, canary, bake)
        from infra.release import live, rollout
        from infra.release.record import Record
        from infra.release.rollback import check_schema

        name = f"{opened.cloud.names.name}-{opened.environment.name}"
        with releasing(opened, "promote", lock_timeout) as work:
            traffic.recover(work)
            there = live.get_service(work)
            revision = live.tagged(there)
            if not revision:
                raise ReleaseError(
                    f"no revision of {name} waits for the traffic: invoke deploy --no-traffic "
                    f"--env {opened.environment.name} makes one"
                )
            if waiting := live.get_revision(work, revision):
                record = Record.read(waiting.annotations)
                check_schema(work, opened.project.folder, revision, record)
            say(f"Promoting {revision} of {name}:\n")
            captured = rollout.capture(there, live.list_revisions(work))
            with traffic.put_back_unless_done(work, revision, captured):
                there = rollout.tag(work, revision, captured)
                traffic.check(work, there, paced)
                there = traffic.climb(work, revision, captured, paced)
        say(f"\n{name} : {there.uri}")
        say(f"{spell(perf_counter() - started)} in all")
