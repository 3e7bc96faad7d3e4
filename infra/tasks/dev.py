"""`invoke dev`: the service on this machine, with its database, reloading as it is edited."""

import subprocess

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError, environment
from infra.report import say
from infra.tasks.local_database import local_database
from infra.tasks.options import SERVICE, friendly, terminated_is_interrupted

GRACE_SECONDS = 15


@task(help={"service": SERVICE})
@friendly
def dev(context: Context, service: str | None = None) -> None:
    """Start the database, migrate it, and serve with reload, until Ctrl-C."""
    project = Project.find(service)
    with terminated_is_interrupted(), local_database(project):
        if project.run("alembic", "-c", "db/alembic.ini", "upgrade", "head"):
            raise ProjectError("the migrations failed: see above")
        say("Ctrl-C stops the server and its database")
        status = serve(project)
    if status:
        raise Exit(code=status)


def serve(project: Project) -> int:
    """Runs the server to its end, or until Ctrl-C. Returns its exit status, 0 for Ctrl-C."""
    process = subprocess.Popen(project.command("app"), env=environment(SERVER__RELOAD="true"))
    try:
        return process.wait()
    except KeyboardInterrupt:
        # A terminal has told the server too; whoever sent SIGTERM has not.
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 0
