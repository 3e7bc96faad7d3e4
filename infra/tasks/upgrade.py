"""`invoke upgrade`: a service brought up to a later template, as one commit on its own branch.

All that it needs is imported before it begins: the service's new engine takes the place of this one
under way.
"""

# ruff: noqa: PLC0415

from invoke.context import Context
from invoke.tasks import task

from infra.project import Project, ProjectError
from infra.tasks.options import SERVICE, friendly, terminated_is_interrupted

HELP = {
    "to": "A version, branch, tag or commit of the template. Default: its newest release.",
    "service": SERVICE,
    "dry-run": "Show what would change, and touch nothing.",
    "continue": "Go on with what is under way: the conflicts are resolved, or the tests mended.",
    "abort": "Undo what is under way.",
    "no-test": "Do not run the service's lint and tests before the commit.",
}


@task(help=HELP)
@friendly
def upgrade(  # noqa: PLR0913, PLR0917
    context: Context,
    to: str | None = None,
    service: str | None = None,
    dry_run: bool = False,
    continue_: bool = False,
    abort: bool = False,
    no_test: bool = False,
) -> None:
    """Bring the service up to a later template, merged with your changes, on its own branch."""
    from infra.tasks import upgrading
    from infra.upgrade.repository import Repository

    if sum([continue_, abort, dry_run or to is not None]) > 1:
        raise ProjectError("--continue, --abort and --to or --dry-run don't go together")
    project = Project.find(service)
    with terminated_is_interrupted():
        repository = Repository.find(project.folder)
        if abort:
            upgrading.undo(repository)
            return
        if continue_:
            state = upgrading.go_on(repository)
        elif found := upgrading.begin(repository, to, dry_run=dry_run):
            state = found
        else:
            return
        upgrading.complete(project, repository, state, tested=not no_test)
