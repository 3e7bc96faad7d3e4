"""`invoke dev`: the service on this machine, with its database, reloading as it is edited."""

import signal
import subprocess
from contextlib import suppress

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, environment, stop
from infra.report import say
from infra.tasks.options import FAILED, SERVICE, Terminated, friendly, terminated_is_interrupted

# As long as a server that was told by the terminal takes to end, but for requests in hand.
TOLD_SECONDS = 3


@task(help={"service": SERVICE})
@friendly
def dev(context: Context, service: str | None = None) -> None:
    """Start the database, migrate it, and serve with reload, until Ctrl-C."""
    # Loaded when it is needed: every command would wait for it.
    from infra.tasks.local_database import local_database  # noqa: PLC0415

    project = Project.find(service)
    with terminated_is_interrupted(), local_database(project):
        if project.run("alembic", "-c", "db/alembic.ini", "upgrade", "head"):
            raise Exit("error: the migrations failed: see above", code=FAILED)
        say("Ctrl-C stops the server and its database")
        status = serve(project)
    if status:
        raise Exit(code=status)


def serve(project: Project) -> int:
    """Runs the server to its end, or until Ctrl-C. Returns its exit status, 0 for Ctrl-C."""
    process = subprocess.Popen(project.command("app"), env=environment(SERVER__RELOAD="true"))
    try:
        return process.wait()
    except KeyboardInterrupt as interruption:
        # uv hands on to us the Ctrl-C that the terminal has sent us already.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not isinstance(interruption, Terminated):
            # The terminal has told the server too. A second signal at once could reach its reloader
            # in the handler of the first, where it would wait for itself for ever.
            with suppress(subprocess.TimeoutExpired):
                process.wait(TOLD_SECONDS)
        # Whoever interrupts us alone has not.
        stop(process)
        return 0
