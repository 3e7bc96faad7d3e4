"""`invoke destroy`: everything that is the service's in an environment, removed."""

# ruff: noqa: PLC0415

import sys
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import complain, say
from infra.reporter import Reporter, recap
from infra.tasks.opening import open_cloud
from infra.tasks.options import (
    ENV,
    FAILED,
    LOCK_TIMEOUT,
    SERVICE,
    friendly,
    terminated_is_interrupted,
)
from infra.tasks.provision import finish, lock_of
from infra.tasks.stopping import stopping

if TYPE_CHECKING:
    from infra.plan import Plan

YES = "Do not ask for the service's name to be typed."
KEEP_DATA = "Keep the instance, the database, its user, and the password's secret."


@task(
    help={
        "env": ENV,
        "service": SERVICE,
        "yes": YES,
        "keep-data": KEEP_DATA,
        "lock-timeout": LOCK_TIMEOUT,
    }
)
@friendly
def destroy(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    yes: bool = False,
    keep_data: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Delete what is the service's in an environment, its database and secrets included."""
    started = perf_counter()
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        from infra import apply, converge
        from infra.plan import Session, plan, to_remove
        from infra.stack import stack

        names = opened.cloud.names
        name = f"{names.name}-{opened.environment.name}"
        with Reporter() as reporter:
            session = Session(opened.cloud, reporter)
            decide = partial(to_remove, keep_data=keep_data)
            planned = plan(stack(opened.environment, opened.project.folder), session, decide)
            if planned.refused or planned.failures:
                outcome = apply.refuse(planned, session)
        if planned.refused or planned.failures:
            say(f"\n{recap(name, outcome.statuses, perf_counter() - started)}")
            complain("nothing was deleted")
            raise Exit(code=FAILED)
        if planned.due and not yes:
            confirm(planned, names.name, names.project)
        say(f"Destroying {name} in project {names.project}\n")
        with Reporter() as reporter:
            session = Session(opened.cloud, reporter)
            with stopping(session.stop):
                lock = lock_of("destroy", opened.environment.name, lock_timeout)
                outcome = converge.remove(planned, session, lock, decide)
    say(f"\n{recap(name, outcome.statuses, perf_counter() - started)}")
    finish(outcome)


def confirm(planned: "Plan", name: str, project: str) -> None:
    """Asks for the service's name to be typed. Raises ProjectError when it is not."""
    from infra.plan import Action

    say(f"This deletes, in project {project}, with all that is in it:\n")
    for change in planned.due:
        if change.action is Action.DELETE:
            say(f"  {change.resource.kind} {change.resource.name}")
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
