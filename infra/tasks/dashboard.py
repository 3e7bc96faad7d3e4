"""`invoke dashboard`: what shows a service and wakes somebody, made what its environment declares.

It is `invoke provision` of that part of the stack, and says where the dashboard is.
"""

# ruff: noqa: PLC0415

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly
from infra.tasks.provision import provision

TAGS = "monitoring,apis"
"""The API has to be enabled, too, where the environment was provisioned without it."""


@task(
    help={
        "env": ENV,
        "service": SERVICE,
        "check": "Say what would change, and change nothing.",
        "diff": "Show the fields that change.",
        "lock-timeout": LOCK_TIMEOUT,
    }
)
@friendly
def dashboard(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    check: bool = False,
    diff: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Make the dashboard and the two alerts that environments/<env>.yaml declares."""
    opened = open_cloud(context, service, env, connect=False)
    if opened.environment.monitoring is None:
        raise ProjectError(undeclared(opened))
    provision.body(
        context,
        env,
        service,
        check=check,
        diff=diff,
        cost=False,
        lock_timeout=lock_timeout,
        tags=TAGS,
    )
    say(f"\n{where(opened)}")


def undeclared(opened: Opened) -> str:
    """What to say where an environment has no monitoring."""
    return (
        f"environments/{opened.environment.name}.yaml declares no monitoring: add\n"
        "    monitoring: {}\n"
        "for the defaults"
    )


def where(opened: Opened) -> str:
    """Where the dashboard is; the local cloud keeps it, and draws nothing."""
    from infra.resources.runbooks import dashboard_link

    names = opened.cloud.names
    if opened.cloud.is_emulated:
        return f"dashboard: {names.dashboard} (the local cloud draws none)"
    return f"dashboard: {dashboard_link(names)}"
