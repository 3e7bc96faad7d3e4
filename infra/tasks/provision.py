"""`invoke provision`: the cloud made what the environment's file declares."""

# ruff: noqa: PLC0415

from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.events import Begun, Ended, Status
from infra.report import complain, say
from infra.reporter import count, of_service
from infra.tasks.opening import Opened, open_cloud
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
from infra.tasks.telling import JSON, SKIP_TAGS, TAGS, telling

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
    "tags": TAGS,
    "skip-tags": SKIP_TAGS,
    "json": JSON,
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
    tags: str | None = None,
    skip_tags: str | None = None,
    json: bool = False,
) -> None:
    """Make the cloud what environments/<env>.yaml declares; a second time changes nothing."""
    started = perf_counter()
    telling_it = telling("provision", json=json, diff=diff, check=check)
    with terminated_is_interrupted(), telling_it as tell:
        opened = open_cloud(context, service, env)
        from infra.converge import check as look
        from infra.converge import converge
        from infra.cost import note
        from infra.plan import Session
        from infra.selection import Selection
        from infra.stack import stack

        chosen = Selection.of(tags, skip_tags)
        resources = chosen.of_stack(stack(opened.environment, opened.project.folder))
        begun = begun_on(opened, "Checking" if check else "Provisioning")
        tell(begun)
        emit = of_service(begun.service, tell)
        session = Session(opened.cloud, emit, adopt, chosen.narrow)
        if check:
            outcome = look(resources, session)
        else:
            with stopping(session.stop), chosen.needing_a_bucket():
                lock = lock_of("provision", begun.environment, lock_timeout)
                outcome = converge(resources, session, lock)
        status = exit_status(outcome, drift=DUE if check and exit_code else 0)
        tell(ended_on(begun, outcome, perf_counter() - started, status))
    noting = cost and not json and context.config.get("cost", True)
    if noting and (noted := note(opened.environment)):
        say(f"\n{noted}")
    finish(outcome, status)


def begun_on(opened: Opened, text: str) -> Begun:
    """That a command began on a service."""
    names = opened.cloud.names
    return Begun(names.name, opened.environment.name, names.project, text)


def ended_on(begun: Begun, outcome: "Outcome", seconds: float, status: int) -> Ended:
    """That it ended, and how."""
    counts = count(outcome.statuses)
    return Ended(begun.service, begun.environment, counts, seconds, status)


def lock_of(task: str, environment: str, timeout: int) -> "Lock":
    """How a task takes the lease."""
    from infra.converge import Lock

    return Lock(f"invoke {task} --env {environment}", timeout, tell=complain)


def exit_status(outcome: "Outcome", *, drift: int = 0) -> int:
    """What the command exits with; `drift` is for changes that are due."""
    if outcome.lost:
        return FAILED
    if outcome.interrupted:
        return INTERRUPTED
    # What is left out and not as declared keeps something from being done that was asked for.
    if outcome.count(Status.FAILED) or outcome.count(Status.SKIPPED):
        return FAILED
    return drift if outcome.count(Status.CHANGED) else 0


def finish(outcome: "Outcome", status: int) -> None:
    """Ends the command with the status, and says what a recap does not."""
    if outcome.refused:
        complain("nothing was changed")
    if outcome.lost:
        complain(f"error: {outcome.lost}")
    elif outcome.interrupted and not outcome.count(Status.FAILED):
        complain("interrupted: run the same command again, it goes on where this one ended")
    if status:
        raise Exit(code=status)
