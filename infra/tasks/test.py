"""`invoke test`: a project's tests."""

import shlex

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project
from infra.tasks.options import SERVICE, friendly


@task(help={"service": SERVICE})
@friendly
def test(context: Context, service: str | None = None) -> None:
    """Run the tests, with coverage. What follows `--` goes to pytest: invoke test -- -k name"""
    project = Project.find(service)
    chosen = shlex.split(context.remainder)
    # A part of the tests can't reach the coverage that all of them must.
    coverage = ["--cov"] if "coverage" in project.settings and not chosen else []
    if status := project.run("pytest", *coverage, *chosen):
        raise Exit(code=status)
