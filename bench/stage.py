"""What the contestants of bench/service.py stand on: cores, PostgreSQL, a table, a baked service.

All of it is temporary. Nothing here measures.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from infra.emulator.postgres import Server
from infra.project import environment, find_uv

REPOSITORY = Path(__file__).parents[1]
CONTESTANTS = REPOSITORY / "bench" / "contestants" / "service"
DATABASE, ROWS, CONNECTIONS = "bench", 10_000, 400
DESCRIPTION = "What a person would write about it in a sentence, or in nearly two."
FILL = f"""
INSERT INTO items (id, created_at, updated_at, name, description)
SELECT gen_random_uuid(), moment, moment, 'item ' || number, '{DESCRIPTION}'
FROM generate_series(1, {ROWS}) AS number, LATERAL (
    SELECT timestamptz '2026-01-01 00:00:00.123456Z' + number * interval '1 second' AS moment
) AS moments"""  # noqa: S608
# Requests that are compared, and of which the traffic is made.
PAGES = 10


@dataclass(frozen=True)
class Cores:
    """Which cores serve, and which are the database's and the load's."""

    serving: frozenset[int]
    others: frozenset[int]

    @classmethod
    def share(cls, workers: int = 1) -> "Cores":
        """A core for each worker, where as many are left for the others; else they share all."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(frozenset(), frozenset())
        every = sorted(os.sched_getaffinity(0))
        if len(every) < 2 * workers:
            return cls(frozenset(every), frozenset(every))
        return cls(frozenset(every[:workers]), frozenset(every[workers:]))


@contextmanager
def pinned(cores: frozenset[int]) -> Iterator[None]:
    """What is started meanwhile stays on the cores; none: on any."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class Contestant:
    """How a server is started: `{port}` in words and variables is where it is to listen."""

    name: str
    words: tuple[str, ...]
    folder: Path
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """A database with the table, and the service that made it."""

    server: Server
    service: Path
    folder: Path
    pool: int

    @property
    def python(self) -> Path:
        """The interpreter of the service's virtual environment, which all contestants share."""
        return self.service / ".venv" / "bin" / "python"

    def generated(self, name: str, service: Path) -> Contestant:
        """A generated service as its image runs it, with nothing switched off."""
        program = service / ".venv" / "bin"
        return Contestant(
            name,
            (str(program / "python"), str(program / "app")),
            service,
            self.settings() | {"SERVER__PORT": "{port}"},
        )

    def written(self, name: str, module: str) -> Contestant:
        """A contestant written for the bench, with the server options of ours."""
        login = f"{self.server.user}:{self.server.password}"
        url = f"{login}@{self.server.host}:{self.server.port}/{DATABASE}"
        words = ("-m", "uvicorn", f"{module}:app", "--port", "{port}", "--no-access-log")
        return Contestant(
            name,
            (str(self.python), *words, "--no-server-header", "--log-level", "warning"),
            CONTESTANTS,
            {
                "BENCH_URL": url,
                "BENCH_DSN": f"postgresql://{url}",
                "BENCH_POOL": str(self.pool),
                "PYTHONUNBUFFERED": "1",
            },
        )

    def settings(self) -> dict[str, str]:
        """The service's variables."""
        return {
            "ENVIRONMENT": "stg",
            "DATABASE__HOST": self.server.host,
            "DATABASE__PORT": str(self.server.port),
            "DATABASE__USER": self.server.user,
            "DATABASE__PASSWORD": self.server.password,
            "DATABASE__NAME": DATABASE,
            "PYTHONUNBUFFERED": "1",
        }

    def traffic(self) -> dict[str, str]:
        """The requests of each endpoint, as bench/load.py reads them.

        They are the same in every run. `{run}` is to be replaced by what no other load has: what a
        server has in hand when one ends may be done after the table was tidied.
        """
        ids = self.server.psql("SELECT id FROM items ORDER BY created_at", DATABASE).split()
        random.Random(1).shuffle(ids)  # noqa: S311
        body = f'{{"name": "new {{run}} {{n}}", "description": "{DESCRIPTION}"}}'
        return {
            "get": "\n".join(f"GET /items/{id}" for id in ids),
            "page": "\n".join(f"GET /items/?page={page + 1}" for page in range(PAGES)),
            "insert": f"POST /items/ {body}",
            "health": "GET /health",
        }

    def tidy(self) -> None:
        """The table as it was before the inserts."""
        self.server.psql("DELETE FROM items WHERE name LIKE 'new %'", DATABASE)
        self.server.psql("VACUUM ANALYZE items", DATABASE)


def clean(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program of the bench: ours, but for what would change the service."""
    ours = environment(**variables)
    own = ("DATABASE__", "PYTHONDONTWRITE", "K_", "PORT", "GOOGLE_")
    kept = {key: value for key, value in ours.items() if not key.startswith(own)}
    return kept | dict(variables)


def run(words: list[str], folder: Path, **variables: str) -> str:
    """What a program prints. Exits with all it said when it fails."""
    done = subprocess.run(
        words, cwd=folder, env=clean(variables), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def bake(folder: Path) -> Path:
    """A generated service with its virtual environment: what its image has, and psycopg."""
    # cookiecutter keeps answers and copies in its user's folder, unless told to keep them here.
    settings = folder / "cookiecutter.yaml"
    settings.write_text(f"cookiecutters_dir: {folder}/copies\nreplay_dir: {folder}/replay\n")
    options = ["--no-input", "--config-file", str(settings), "--output-dir", str(folder)]
    answers = ["service=orders", "entity=item"]
    run([sys.executable, "-m", "cookiecutter", *options, str(REPOSITORY), *answers], folder)
    service = folder / "orders"
    uv, python = find_uv(), str(service / ".venv" / "bin" / "python")
    run([uv, "sync", "-q", "--frozen", "--no-dev", "--compile-bytecode"], service)
    run([uv, "pip", "install", "-q", "--python", python, "psycopg[binary]"], service)
    return service


@contextmanager
def set_up(cores: Cores) -> Iterator[Stage]:
    """Everything in place, for as long as it is needed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bench-")))
        service = bake(folder)
        with pinned(cores.others):
            server = Server(
                password=token_hex(),
                durable=False,
                settings={"max_connections": str(CONNECTIONS), "shared_buffers": "256MB"},
            )
            stack.enter_context(server)
        server.create_database(DATABASE)
        python = str(service / ".venv" / "bin" / "python")
        ask = "from src.dependencies.config import get_config as c; print(c().database.pool_size)"
        stage = Stage(server, service, folder, 0)
        pool = int(run([python, "-c", ask], service, **stage.settings()))
        migrate = ["-m", "alembic", "-c", "db/alembic.ini", "upgrade", "head"]
        run([python, *migrate], service, **stage.settings())
        server.psql(FILL, DATABASE)
        stage = Stage(server, service, folder, pool)
        stage.tidy()
        yield stage
