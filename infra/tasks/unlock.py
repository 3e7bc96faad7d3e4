"""`invoke unlock`: who holds the lease of a service in an environment, and its end."""

# ruff: noqa: PLC0415

import sys

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say
from infra.tasks.opening import open_cloud
from infra.tasks.options import ENV, SERVICE, friendly, terminated_is_interrupted

YES = "Do not ask."


@task(help={"env": ENV, "service": SERVICE, "yes": YES})
@friendly
def unlock(
    context: Context, env: str | None = None, service: str | None = None, yes: bool = False
) -> None:
    """Show who holds an environment's lease, and break it: of a run that is dead, or stuck."""
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        from infra import lease

        name = f"{opened.cloud.names.name}-{opened.environment.name}"
        holder = lease.find(opened.cloud)
        if holder is None:
            say(f"nobody holds the lease of {name}")
            return
        say(f"the lease of {name}: {lease.describe(holder)}")
        if holder.is_over:
            say("It has not been renewed in time: the next run takes it over by itself.")
        elif not yes:
            confirm()
        if lease.break_(opened.cloud, holder):
            say("broken: a run that still goes on begins nothing more once it notices")
        else:
            say("it was given back, or taken over, meanwhile: nothing was broken")


def confirm() -> None:
    """Asks whether to go on. Raises ProjectError when not."""
    if not sys.stdin.isatty():
        raise ProjectError("nothing was broken: there is no terminal to ask at; say --yes")
    say("A run that is alive, and loses its lease, stops half-way. Break it? [y/N]")
    try:
        answer = input().strip().lower()
    except EOFError:
        answer = ""
    if answer not in {"y", "yes"}:
        raise ProjectError("nothing was broken")
