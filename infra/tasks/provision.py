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
    SERVICE,
    friendly,
    terminated_is_interrupted,
)
from infra.tasks.stopping import stopping

if TYPE_CHECKING:
    from infra.apply import Outcome
    from infra.plan import Session
    from infra.resources.base import Resource

DUE = 3
HELP = {
    "env": ENV,
    "service": SERVICE,
    "check": "Say what would change, and change nothing.",
    "diff": "Show the fields that change.",
    "adopt": "Take over what is there and does not carry this service's labels.",
    "cost": "Note what the environment costs a month; `cost: false` in invoke.yaml leaves it out.",
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
) -> None:
    """Make the cloud what environments/<env>.yaml declares; a second time changes nothing."""
    started = perf_counter()
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        from infra.cost import note
        from infra.plan import Session
        from infra.stack import stack

        resources = stack(opened.environment, opened.project.folder)
        verb = "Checking" if check else "Provisioning"
        name = f"{opened.cloud.names.name}-{opened.environment.name}"
        say(f"{verb} {name} in project {opened.cloud.names.project}\n")
        with Reporter(diff) as reporter:
            session = Session(opened.cloud, reporter, adopt)
            outcome = converge(resources, session, check)
    say(f"\n{recap(name, outcome.statuses, perf_counter() - started)}")
    if cost and context.config.get("cost", True) and (noted := note(opened.environment)):
        say(f"\n{noted}")
    finish(outcome)
    if check and exit_code and outcome.count(Status.CHANGED):
        raise Exit(code=DUE)


def converge(resources: "list[Resource]", session: "Session", check: bool) -> "Outcome":
    """Plans, and carries the plan out unless it is only to be checked, or something is refused."""
    from infra import apply
    from infra.plan import plan, to_converge

    planned = plan(resources, session, to_converge)
    if check:
        return apply.preview(planned, session)
    if planned.refused or planned.failures:
        outcome = apply.refuse(planned, session)
        complain("\nnothing was changed")
        return outcome
    with stopping(session.stop):
        return apply.apply(planned, session)


def finish(outcome: "Outcome") -> None:
    """Ends the command with the status that its outcome asks for."""
    if outcome.interrupted and not outcome.count(Status.FAILED):
        complain("interrupted: run the same command again, it goes on where this one ended")
    if outcome.interrupted:
        raise Exit(code=INTERRUPTED)
    if outcome.count(Status.FAILED):
        raise Exit(code=FAILED)
