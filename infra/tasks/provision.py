"""`invoke provision`: the cloud made what the environment's file declares."""

# ruff: noqa: PLC0415

from dataclasses import dataclass
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.events import Begun, Ended, Several, Status
from infra.project import ProjectError
from infra.report import complain, say
from infra.reporter import count, of_service
from infra.tasks.opening import Opened, open_clouds
from infra.tasks.options import (
    ENV,
    FAILED,
    INTERRUPTED,
    LOCK_TIMEOUT,
    SERVICES,
    friendly,
    terminated_is_interrupted,
)
from infra.tasks.stopping import stopping
from infra.tasks.telling import JSON, SKIP_TAGS, TAGS, telling

if TYPE_CHECKING:
    from infra.converge import Lock
    from infra.outcome import Outcome
    from infra.reporter import Emit

DUE = 3
FORKS = 8
HELP = {
    "env": ENV,
    "service": SERVICES,
    "forks": "How many services to converge at a time, of several.",
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
    forks: int = FORKS,
    tags: str | None = None,
    skip_tags: str | None = None,
    json: bool = False,
) -> None:
    """Make the cloud what environments/<env>.yaml declares; a second time changes nothing."""
    started = perf_counter()
    if forks < 1:
        raise ProjectError(f"--forks must be 1 or more (got {forks})")
    telling_it = telling("provision", json=json, diff=diff, check=check)
    with terminated_is_interrupted(), telling_it as tell:
        opened = open_clouds(context, service, env)
        from infra import fleet
        from infra.cost import note
        from infra.plan import Part, Session
        from infra.selection import Selection
        from infra.stack import stack

        chosen = Selection.of(tags, skip_tags)
        begun = [begun_on(each, "Checking" if check else "Provisioning") for each in opened]
        begin(begun, tell)
        parts: list[Part] = []
        for each, of in zip(opened, begun, strict=True):
            resources = chosen.of_stack(stack(each.environment, each.project.folder))
            session = Session(each.cloud, of_service(of.service, tell), adopt, chosen.narrow)
            parts.append(Part(resources, session))
        endings: dict[int, Ending] = {}

        def end(index: int, outcome: "Outcome") -> None:
            status = exit_status(outcome, drift=DUE if check and exit_code else 0)
            endings[index] = Ending(begun[index].service, outcome, status)
            tell(ended_on(begun[index], outcome, perf_counter() - started, status))

        if check:
            fleet.check(parts, end)
        else:
            stop = Event()
            lock = lock_of("provision", begun[0].environment, lock_timeout)
            stops = (each.session.stop for each in parts)
            with stopping(stop, *stops), chosen.needing_a_bucket():
                fleet.converge(parts, lock, end, stop, forks)
    noting = cost and not json and len(opened) == 1 and context.config.get("cost", True)
    if noting and (noted := note(opened[0].environment)):
        say(f"\n{noted}")
    finish_all([endings[index] for index in range(len(opened))])


@dataclass(frozen=True)
class Ending:
    """How it ended with a service."""

    service: str
    outcome: "Outcome"
    status: int


def begin(begun: list[Begun], tell: "Emit") -> None:
    """Tells which services it is about."""
    if len(begun) > 1:
        services = tuple(each.service for each in begun)
        tell(Several(services, begun[0].environment, begun[0].text))
    for each in begun:
        tell(each)


def finish_all(endings: list[Ending]) -> None:
    """Ends the command with the gravest of the statuses, and says what recaps do not."""
    if len(endings) == 1:
        finish(endings[0].outcome, endings[0].status)
        return
    for each in endings:
        if said := remark(each.outcome):
            complain(f"{each.service}: {said}")
    statuses = {each.status for each in endings}
    status = next((each for each in (INTERRUPTED, FAILED, DUE) if each in statuses), 0)
    if status:
        raise Exit(code=status)


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
    if said := remark(outcome):
        complain(said)
    if status:
        raise Exit(code=status)


def remark(outcome: "Outcome") -> str:
    """What a recap does not say, "" for nothing."""
    said = ["nothing was changed"] if outcome.refused else []
    if outcome.lost:
        said.append(f"error: {outcome.lost}")
    elif outcome.interrupted and not outcome.count(Status.FAILED):
        said.append("interrupted: run the same command again, it goes on where this one ended")
    return "\n".join(said)
