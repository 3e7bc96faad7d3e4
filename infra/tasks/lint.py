"""`invoke lint`: a project's linters, type checker, import contracts and migrations."""

# ruff: noqa: PLC0415

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project
from infra.report import complain
from infra.tasks.options import SERVICE, friendly


@task(help={"service": SERVICE, "fix": "Mend what the linter can, and format."})
@friendly
def lint(context: Context, service: str | None = None, fix: bool = False) -> None:
    """Check the code: ruff, mypy, the import contracts of the layers, and the migrations."""
    project = Project.find(service)
    checks = [
        ["ruff", "check", *(["--fix"] if fix else [])],
        ["ruff", "format", *([] if fix else ["--check"])],
        ["mypy"],
    ]
    if "importlinter" in project.settings:
        checks.append(["lint-imports", "--no-logo"])
    failed = [" ".join(check) for check in checks if project.run(*check)]
    if not are_safe(project):
        failed.append("migrations")
    for check in failed:
        complain(f"failed: {check}")
    if failed:
        raise Exit(code=1)


def are_safe(project: Project) -> bool:
    """Whether no migration would harm the service while it runs; says those that would."""
    from infra.release import pending, schema

    if not schema.has_migrations(project.folder):
        return True
    findings = pending.check_all(project.folder)
    for each in findings:
        complain(str(each))
    return not findings
