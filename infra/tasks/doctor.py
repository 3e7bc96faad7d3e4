"""`invoke doctor`: what would keep a provision from working, before it; and the role it needs."""

# ruff: noqa: PLC0415

from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError
from infra.report import say, spell
from infra.tasks.opening import environment_name, open_cloud
from infra.tasks.options import ENV, FAILED, SERVICE, friendly

if TYPE_CHECKING:
    from infra.doctor.base import Finding

WIDTH = 12
HELP = {
    "env": ENV,
    "service": SERVICE,
    "role": "Print the least role that provisions and releases this service, and ask nobody.",
    "destroy": "With --role: that may destroy it too.",
}


@task(help=HELP)
@friendly
def doctor(
    context: Context,
    env: str | None = None,
    service: str | None = None,
    role: bool = False,
    destroy: bool = False,
) -> None:
    """Check, reading only, that a provision can work: login, project, permissions, limits."""
    if destroy and not role:
        raise ProjectError("--destroy goes with --role")
    if role:
        print_role(Project.find(service).folder, environment_name(context, env), destroy)
        return
    started = perf_counter()
    opened = open_cloud(context, service, env, connect=False)
    from infra.doctor.base import Context as Examined
    from infra.doctor.base import State
    from infra.doctor.examination import examine
    from infra.stack import stack

    folder, environment = opened.project.folder, opened.environment
    name = f"{opened.cloud.names.name}-{environment.name}"
    say(f"Examining {name} in project {environment.project}\n")
    counts: Counter[State] = Counter()
    resources = stack(environment, folder)
    for finding in examine(Examined(environment, folder, opened.cloud, resources)):
        counts[finding.state] += 1
        tell(finding)
    counted = " ".join(f"{state}={counts[state]}" for state in State)
    say(f"\n{name} : {counted}   ({spell(perf_counter() - started)})")
    if counts[State.FAILED]:
        raise Exit(code=FAILED)


def tell(finding: "Finding") -> None:
    """A line, and under it what mends it."""
    say(f"  {finding.state:<8} {finding.check:<{WIDTH}} {finding.text}")
    for line in finding.fix.splitlines():
        say(f"{'':{WIDTH}}{line.strip()}")


def print_role(folder: Path, env: str, destroy: bool) -> None:
    """The role, as YAML and nothing else."""
    from infra.doctor.role import role
    from infra.environment import load
    from infra.stack import stack

    environment = load(folder, env)
    say(role(environment, stack(environment, folder), destroy=destroy).rstrip())
