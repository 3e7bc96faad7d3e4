"""The database of `invoke dev`: the one the service's configuration names, brought up if need be.

One that answers already is used as it is; else Docker's where an engine answers, else a PostgreSQL
of our own in an ignored folder. Programs started by hand find the same one by the same settings.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from invoke.exceptions import Exit

from infra.emulator.postgres import PostgresError, Server
from infra.project import Project, ProjectError, environment
from infra.report import say
from infra.tasks.options import FAILED

HERE = {"localhost", "127.0.0.1", "::1"}
FOLDER = ".local/postgres"
COMPOSE_SERVICE = "database"
VARIABLE = "DATABASE__PORT"
SUPERUSER = "superuser"

# Run with the service's Python: its driver, its configuration.
READ = """
import json
from src.dependencies.config_error import ConfigError
try:
    from src.dependencies.config import load_config
    settings = load_config()
    given = settings.database
except ConfigError as error:
    raise SystemExit(str(error))
names = ("host", "port", "name", "user")
answer = {name: getattr(given, name) for name in names}
answer |= {"environment": settings.environment, "server_port": settings.server.port}
print(json.dumps(answer | {"password": given.password.get_secret_value()}))
"""
LOG_IN = """
import asyncio, asyncpg, sys
from src.dependencies.config import load_config
given = load_config().database
async def log_in():
    connection = await asyncpg.connect(
        host=given.host, port=given.port, user=given.user, database=given.name,
        password=given.password.get_secret_value(), timeout=5)
    await connection.close()
try:
    asyncio.run(log_in())
except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
    raise SystemExit(f"{type(error).__name__}: {error}")
"""


@dataclass(frozen=True)
class Settings:
    """What the service's configuration says of its database."""

    host: str
    port: int
    name: str
    user: str
    password: str
    environment: str
    server_port: int


@contextmanager
def local_database(project: Project) -> Iterator[None]:
    """The database, up for the length of the block. Raises ProjectError or Exit."""
    settings = read_settings(project)
    if settings.environment != "local":
        raise ProjectError(
            f"the environment is {settings.environment}, and this migrates and serves local only: "
            "unset ENVIRONMENT, or take it out of .env and the config file"
        )
    if answers(settings.server_port):
        raise ProjectError(f"port {settings.server_port} is taken: set PORT to another")
    place = f"{settings.host}:{settings.port}"
    if settings.host not in HERE:
        say(f"Database: {settings.name} at {place}, as configured")
        yield
        return
    if answers(settings.port):
        refusal = project.ask("python", "-c", LOG_IN)
        if refusal.returncode == 0:
            say(f"Database: {settings.name} at {place}, which was up already")
            yield
            return
        settings = move_aside(project, settings, refusal.stderr.strip())
    start = in_docker if docker_answers(project) else on_this_machine
    try:
        with start(project, settings):
            yield
    except PostgresError as error:
        raise Exit(f"error: {error}", code=FAILED) from error


def read_settings(project: Project) -> Settings:
    """The service's own reading of all its sources. Raises ProjectError with its complaint."""
    answer = project.ask("python", "-c", READ)
    if answer.returncode:
        raise ProjectError(answer.stderr.strip() or "the service's configuration can't be read")
    return Settings(**json.loads(answer.stdout))


def answers(port: int) -> bool:
    """Whether something listens on the port of this machine."""
    with closing(socket.socket()) as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def move_aside(project: Project, settings: Settings, why: str) -> Settings:
    """Another port, written to `.env`, for a service whose port somebody else has."""
    busy = f"port {settings.port} of this machine is another server's ({why})"
    if VARIABLE in os.environ:
        raise ProjectError(f"{busy}: set {VARIABLE} to another")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with (project.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"\n# Port {settings.port} was another server's.\n{VARIABLE}={port}\n")
    say(f"{busy[0].upper()}{busy[1:]}.")
    say(f"From now on this service's is {port}: see {VARIABLE} in .env")
    return read_settings(project)


def docker_answers(project: Project) -> bool:
    """Whether `docker compose` is there and has an engine to talk to."""
    if shutil.which("docker") is None or not (project.folder / "docker-compose.yml").is_file():
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
    return True


@contextmanager
def in_docker(project: Project, settings: Settings) -> Iterator[None]:
    """The compose file's database; its volume stays when it stops."""
    say("Database: docker compose's, stopped at the end (its volume stays)")
    compose = ["docker", "compose", "--project-directory", str(project.folder)]
    variables = environment(
        DATABASE__PORT=str(settings.port),
        DATABASE__NAME=settings.name,
        DATABASE__USER=settings.user,
        DATABASE__PASSWORD=settings.password,
    )
    up = [*compose, "up", "--detach", "--wait", COMPOSE_SERVICE]
    started = subprocess.run(up, env=variables, check=False)
    if started.returncode:
        raise ProjectError("docker compose could not start the database: see above")
    try:
        yield
    finally:
        subprocess.run([*compose, "stop", COMPOSE_SERVICE], env=variables, check=False)


@contextmanager
def on_this_machine(project: Project, settings: Settings) -> Iterator[None]:
    """A PostgreSQL of our own; its data stay in the service's ignored folder.

    The service's user owns its database and no more: its password is in every generated service,
    and a superuser can run programs as whoever runs the server.
    """
    folder = project.folder / FOLDER
    server = Server(folder, port=settings.port, user=SUPERUSER, password=kept_password(folder))
    with server:
        version = ".".join(str(part) for part in server.version)
        say(f"Database: PostgreSQL {version}, its data in {server.data}")
        server.create_role(settings.user, settings.password)
        server.create_database(settings.name, owner=settings.user)
        yield


def kept_password(folder: Path) -> str:
    """The superuser's password, made once and kept beside the data, for us alone to read."""
    file = folder.with_name("postgres-password")
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as new:
            new.write(token_urlsafe())
    return file.read_text("ascii")
