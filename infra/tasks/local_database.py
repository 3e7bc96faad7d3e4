"""The database of `invoke dev`: the one the service's configuration names, brought up if need be.

One that answers already is used as it is; else Docker's where an engine answers, else a PostgreSQL
of our own in an ignored folder. Programs started by hand find the same one by the same settings.
"""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.emulator.postgres import Server
from infra.project import Project, ProjectError
from infra.report import say

HERE = {"localhost", "127.0.0.1", "::1"}
FOLDER = ".local/postgres"
COMPOSE_SERVICE = "database"

# Run with the service's Python: its driver, its configuration.
READ = """
import json
from src.dependencies.config_error import ConfigError
try:
    from src.dependencies.config import load_config
    given = load_config().database
except ConfigError as error:
    raise SystemExit(str(error))
names = ("host", "port", "name", "user")
answer = {name: getattr(given, name) for name in names}
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


@contextmanager
def local_database(project: Project) -> Iterator[None]:
    """The database, up for the length of the block. Raises ProjectError or PostgresError."""
    settings = read_settings(project)
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
    with start(project, settings):
        yield


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
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with (project.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"\n# Port {settings.port} was another server's.\nDATABASE__PORT={port}\n")
    moved = read_settings(project)
    if moved.port != port:
        raise ProjectError(
            f"port {settings.port} is another server's ({why}), and a stronger setting than .env "
            "says it: change DATABASE__PORT in the environment"
        )
    say(f"Port {settings.port} is another server's ({why}).")
    say(f"From now on this service's is {port}: see DATABASE__PORT in .env")
    return moved


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
    started = subprocess.run([*compose, "up", "--detach", "--wait", COMPOSE_SERVICE], check=False)
    if started.returncode:
        raise ProjectError("docker compose could not start the database: see above")
    try:
        yield
    finally:
        subprocess.run([*compose, "stop", COMPOSE_SERVICE], check=False)


@contextmanager
def on_this_machine(project: Project, settings: Settings) -> Iterator[None]:
    """A PostgreSQL of our own; its data stay in the service's ignored folder."""
    server = Server(
        Path(project.folder, FOLDER),
        port=settings.port,
        user=settings.user,
        password=settings.password,
    )
    with server:
        version = ".".join(str(part) for part in server.version)
        say(f"Database: PostgreSQL {version}, its data in {server.data}")
        server.create_database(settings.name)
        yield
