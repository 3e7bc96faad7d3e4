"""`invoke rollback`: the traffic back to a revision that served before. Nothing is built."""

# ruff: noqa: PLC0415

from time import perf_counter

from invoke.context import Context
from invoke.tasks import task

from infra.report import say, spell
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing, step_of
from infra.tasks.stages import traffic
from infra.tasks.stages.pace import AT_ONCE

TO = "The revision, as invoke releases lists it. Default: the one that served before."
FORCE = "Go there even if it does not answer /health."
HELP = {"env": ENV, "service": SERVICE, "to": TO, "force": FORCE, "lock-timeout": LOCK_TIMEOUT}


@task(help=HELP)
@friendly
def rollback(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    to: str | None = None,
    force: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Send all traffic back to a revision that served before, in seconds."""
    with terminated_is_interrupted():
        started = perf_counter()
        opened = open_cloud(context, service, env)
        from infra.release import history, live, rollback, rollout

        name = f"{opened.cloud.names.name}-{opened.environment.name}"
        with releasing(opened, "rollback", lock_timeout) as work:
            traffic.recover(work)
            there, revisions = live.get_service(work), live.list_revisions(work)
            captured = rollout.capture(there, revisions)
            releases = history.of_revisions(revisions, captured.split)
            target = rollback.choose(releases, captured.memory.served, to, opened.environment.name)
            rollback.check_schema(work, opened.project.folder, target.revision, target.record)
            say(f"Rolling {name} back to {target.revision}, released {target.created}:\n")
            with traffic.put_back_unless_done(work, target.revision, captured):
                with step_of(work, "give it an address"):
                    there = rollout.tag(work, target.revision, captured)
                if not force:
                    # What the environment declares now may be more than it could answer then.
                    traffic.check(work, there, AT_ONCE, " --force goes there all the same.")
                there = traffic.climb(work, target.revision, captured, AT_ONCE)
        say(f"\n{name} : {there.uri}")
        say(f"{spell(perf_counter() - started)} in all")
