"""`invoke lint`: a project's linters, type checker and import contracts."""

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project
from infra.report import complain
from infra.tasks.options import SERVICE, friendly


@task(help={"service": SERVICE, "fix": "Mend what the linter can, and format."})
@friendly
def lint(context: Context, service: str | None = None, fix: bool = False) -> None:
    """Check the code: ruff, mypy, and the import contracts of the layers."""
    project = Project.find(service)
    checks = [
        ["ruff", "check", *(["--fix"] if fix else [])],
        ["ruff", "format", *([] if fix else ["--check"])],
        ["mypy"],
    ]
    if "importlinter" in project.settings:
        checks.append(["lint-imports", "--no-logo"])
    failed = [" ".join(check) for check in checks if project.run(*check)]
    for check in failed:
        complain(f"failed: {check}")
    if failed:
        raise Exit(code=1)
