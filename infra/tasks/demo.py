"""`invoke demo`: from nothing to a served request, in a scratch folder that goes at the end."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from socket import socket
from threading import Event
from time import monotonic, perf_counter, sleep

import httpx
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.emulator.postgres import Server
from infra.project import Project, environment, stop
from infra.report import say, step
from infra.tasks.options import friendly, terminated_is_interrupted

TEMPLATE = Path(__file__).parents[2]
SERVICE = "orders"
ITEM = {"name": "Nasi goreng", "description": "with a fried egg"}
START_SECONDS = 60
POLL_SECONDS = 0.02


@task
@friendly
def demo(context: Context) -> None:
    """Generate a service, run it on a real PostgreSQL, and talk to it over HTTP."""
    say(f"From nothing to a served request, with a service called {SERVICE}:\n")
    started = perf_counter()
    with terminated_is_interrupted(), ExitStack() as put_away:
        folder = put_away.enter_context(scratch())
        # cookiecutter and uv leave files where temporary ones go.
        variables = {name: str(folder) for name in ("TMPDIR", "TEMP", "TMP")}
        with step("generate the service"):
            project = generate(folder, variables)
        with step("install what its lock says"):
            check(project.ask("python", "-c", "import src", **variables))
        with step("start PostgreSQL"):
            database = put_away.enter_context(Server(password=token_urlsafe(), durable=False))
            database.create_database(SERVICE)
        with step("migrate the database"):
            variables |= address(database)
            check(project.ask("alembic", "-c", "db/alembic.ini", "upgrade", "head", **variables))
        with step("start the service"):
            url = put_away.enter_context(running(project, variables))
        with step("create an item over HTTP"):
            answer = httpx.post(f"{url}/items/", json=ITEM).raise_for_status()
            item = answer.json()["data"]
        with step("read it back"):
            answer = httpx.get(f"{url}/items/{item['id']}").raise_for_status()
            if answer.json()["data"] != item or item | ITEM != item:
                raise Exit(f"error: created {item}, read {answer.text}", code=1)
        version = ".".join(str(part) for part in database.version)
        say(f"\n  GET /items/{item['id']}\n  {answer.text}\n")
        say(f"  {perf_counter() - started:.1f} s in all, on PostgreSQL {version}")
        say(f"  Swagger: {url}/docs\n")
        wait_for_interrupt()
    say("Everything is stopped, and nothing is left behind.")


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder, removed with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="cookiecutter-cloudrun-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def generate(folder: Path, variables: dict[str, str]) -> Project:
    """The service as `cookiecutter --no-input` makes it."""
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE)]
    # Not the user's: neither their defaults, nor the answers that cookiecutter keeps for them.
    config = folder / "cookiecutter.json"
    keeps = {"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder / "templates")}
    config.write_text(json.dumps(keeps), "utf-8")
    options = ["--no-input", "--config-file", str(config), "--output-dir", str(folder)]
    check(
        subprocess.run(
            [*command, *options, f"service={SERVICE}"],
            env=environment(**variables),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    )
    return Project(folder / SERVICE)


def check(done: subprocess.CompletedProcess[str]) -> None:
    """Ends the command with what a failed program printed."""
    if done.returncode:
        output = f"{done.stdout}\n{done.stderr}".strip()
        raise Exit(f"error: this failed: {' '.join(done.args)}\n{output}", code=1)


def address(server: Server) -> dict[str, str]:
    """The variables that lead the service to its database."""
    return {
        "DATABASE__HOST": server.host,
        "DATABASE__PORT": str(server.port),
        "DATABASE__USER": server.user,
        "DATABASE__PASSWORD": server.password,
        "DATABASE__NAME": SERVICE,
        "ENVIRONMENT": "local",
    }


@contextmanager
def running(project: Project, variables: dict[str, str]) -> Iterator[str]:
    """The service in its own process, once it is ready; its address."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = project.folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            project.command("app"),
            env=environment(**variables, PORT=str(port)),
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is ours: the service goes before its database does.
            start_new_session=os.name == "posix",
        )
        try:
            wait_until_ready(url, process, log)
            yield url
        finally:
            stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when /health says 200. Ends the command when the process does, or is too slow."""
    deadline = monotonic() + START_SECONDS
    while process.poll() is None and monotonic() < deadline:
        try:
            if httpx.get(f"{url}/health").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            sleep(POLL_SECONDS)
    raise Exit(f"error: the service did not get ready. Its log:\n{log.read_text()}", code=1)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for_interrupt() -> None:
    """Waits for Ctrl-C at a terminal; without one there is nobody to press it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    say("  It is running: try it. Ctrl-C stops everything.")
    try:
        Event().wait()
    except KeyboardInterrupt:
        say()
