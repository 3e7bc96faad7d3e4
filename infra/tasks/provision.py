"""`invoke provision`: the cloud made what the environment's file declares."""

# ruff: noqa: PLC0415

from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.events import Status
from infra.report import complain, say
from infra.reporter import Reporter, recap
from infra.tasks.opening import open_cloud
from infra.tasks.options import (
    ENV,
    FAILED,
    INTERRUPTED,
    LOCK_TIMEOUT,
    SERVICE,
    friendly,
    terminated_is_interrupted,
)
from infra.tasks.stopping import stopping

if TYPE_CHECKING:
    from infra.apply import Outcome
    from infra.converge import Lock

DUE = 3
HELP = {
    "env": ENV,
    "service": SERVICE,
    "check": "Say what would change, and change nothing.",
    "diff": "Show the fields that change.",
    "adopt": "Take over what is there and does not carry this service's labels.",
    "cost": "Note what the environment costs a month; `cost: false` in invoke.yaml leaves it out.",
    "lock-timeout": LOCK_TIMEOUT,
    "exit-code": f"With --check: exit with {DUE} when changes are due.",
}


@task(help=HELP)
@friendly
def provision(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    check: bool = False,
    diff: bool = False,
    adopt: bool = False,
    exit_code: bool = False,
    cost: bool = True,
    lock_timeout: int = 0,
) -> None:
    """Make the cloud what environments/<env>.yaml declares; a second time changes nothing."""
    started = perf_counter()
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        from infra.converge import check as look
        from infra.converge import converge
        from infra.cost import note
        from infra.plan import Session
        from infra.stack import stack

        resources = stack(opened.environment, opened.project.folder)
        verb = "Checking" if check else "Provisioning"
        name = f"{opened.cloud.names.name}-{opened.environment.name}"
        say(f"{verb} {name} in project {opened.cloud.names.project}\n")
        with Reporter(diff) as reporter:
            session = Session(opened.cloud, reporter, adopt)
            if check:
                outcome = look(resources, session)
            else:
                with stopping(session.stop):
                    lock = lock_of("provision", opened.environment.name, lock_timeout)
                    outcome = converge(resources, session, lock)
    say(f"\n{recap(name, outcome.statuses, perf_counter() - started)}")
    if cost and context.config.get("cost", True) and (noted := note(opened.environment)):
        say(f"\n{noted}")
    finish(outcome)
    if check and exit_code and outcome.count(Status.CHANGED):
        raise Exit(code=DUE)


def lock_of(task: str, environment: str, timeout: int) -> "Lock":
    """How a task takes the lease."""
    from infra.converge import Lock

    return Lock(f"invoke {task} --env {environment}", timeout, tell=complain)


def finish(outcome: "Outcome") -> None:
    """Ends the command with the status that its outcome asks for."""
    if outcome.refused:
        complain("nothing was changed")
    if outcome.lost:
        complain(f"error: {outcome.lost}")
        raise Exit(code=FAILED)
    if outcome.interrupted and not outcome.count(Status.FAILED):
        complain("interrupted: run the same command again, it goes on where this one ended")
    if outcome.interrupted:
        raise Exit(code=INTERRUPTED)
    if outcome.count(Status.FAILED):
        raise Exit(code=FAILED)
