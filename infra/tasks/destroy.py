"""`invoke destroy`: everything that is the service's in an environment, removed."""

# ruff: noqa: PLC0415

import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import Colour, paint, say
from infra.reporter import of_service
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.provision import begun_on, ended_on, exit_status, finish, lock_of
from infra.tasks.stopping import stopping
from infra.tasks.telling import JSON, telling

if TYPE_CHECKING:
    from infra.plan import Plan

YES = "Do not ask for the service's name to be typed."
KEEP_DATA = "Keep the instance, the database, its user, and the password's secret."


CHECK = "Say what would be deleted, and delete nothing."
HELP = {
    "env": ENV,
    "service": SERVICE,
    "yes": YES,
    "check": CHECK,
    "keep-data": KEEP_DATA,
    "lock-timeout": LOCK_TIMEOUT,
    "json": JSON,
}


@task(help=HELP)
@friendly
def destroy(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    yes: bool = False,
    keep_data: bool = False,
    lock_timeout: int = 0,
    check: bool = False,
    json: bool = False,
) -> None:
    """Delete what is the service's in an environment, its database and secrets included."""
    started = perf_counter()
    telling_it = telling("destroy", json=json, check=check)
    with terminated_is_interrupted(), telling_it as tell:
        opened = open_cloud(context, service, env)
        from infra import apply, converge
        from infra.plan import Session, plan, to_remove
        from infra.stack import stack

        begun = begun_on(opened, "Checking the end of" if check else "Destroying")
        session = Session(opened.cloud, of_service(begun.service, tell))
        decide = partial(to_remove, keep_data=keep_data)
        planned = plan(stack(opened.environment, opened.project.folder), session, decide)
        is_refused = bool(planned.refused or planned.failures)
        if planned.due and not (yes or check or is_refused):
            confirm(planned, begun.service, begun.project)
        tell(begun)
        if check:
            outcome = apply.preview(planned, session)
        elif is_refused:
            outcome = apply.refuse(planned, session)
        else:
            with stopping(session.stop):
                lock = lock_of("destroy", begun.environment, lock_timeout)
                outcome = converge.remove(planned, session, lock, decide)
        status = exit_status(outcome)
        tell(ended_on(begun, outcome, perf_counter() - started, status))
    finish(outcome, status)


def confirm(planned: "Plan", name: str, project: str) -> None:
    """Asks for the service's name to be typed. Raises ProjectError when it is not."""
    from infra.plan import Action

    say(f"This deletes, in project {project}, with all that is in it:\n")
    for change in planned.due:
        if change.action is Action.DELETE:
            say(paint(f"  {change.resource.kind} {change.resource.name}", Colour.RED))
    kept = [change for change in planned.changes if change.reason]
    if kept:
        say("\nThis stays:\n")
    for change in kept:
        say(f"  {change.resource.kind} {change.resource.name}  {change.reason}")
    if not sys.stdin.isatty():
        raise ProjectError("nothing was deleted: there is no terminal to ask at; say --yes")
    say("\nType the service's name to go on:")
    try:
        typed = input().strip()
    except EOFError:
        typed = ""
    if typed != name:
        raise ProjectError(f"nothing was deleted: that is not {name}")
