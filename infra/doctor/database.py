"""The arithmetic of connections: those that all instances may open, and those the database has."""

import ast
from dataclasses import dataclass
from pathlib import Path

from infra import manifest
from infra.doctor.base import Context, Finding, Unreadable, failed, ok, skipped
from infra.names import PLACEHOLDER_IMAGE
from infra.sql_tiers import megabytes
from infra.yaml_file import Value

CHECK = "connections"
SETTINGS = "src/dependencies/config.py"
SECTION = "DatabaseSettings"
WORKERS = "SERVER__WORKERS"
SIZE = "pool_size"
OVERFLOW = "pool_overflow"
RESERVED = 3
"""PostgreSQL keeps these for superusers: superuser_reserved_connections."""
# Cloud SQL's max_connections by its memory in MB: cloud.google.com/sql/docs/postgres/flags
DEFAULTS = (
    (120 * 1024, 1000),
    (60 * 1024, 800),
    (30 * 1024, 600),
    (15 * 1024, 500),
    (7680, 400),
    (6 * 1024, 200),
    (3840, 100),
    (1700, 50),
    (0, 25),
)


@dataclass(frozen=True)
class Pool:
    """The connections that an instance of the service opens at most."""

    size: int
    overflow: int
    workers: int = 1

    @property
    def most(self) -> int:
        """Both together, in each of its processes."""
        return self.workers * (self.size + self.overflow)

    def __str__(self) -> str:
        processes = f"{self.workers} workers × " if self.workers > 1 else ""  # noqa: RUF001
        return f"{processes}(pool {self.size} + overflow {self.overflow})"


def connections(context: Context) -> list[Finding]:
    """Whether the database has connections for all instances."""
    environment = context.environment
    if environment.is_local:
        return [skipped(CHECK, "the local database is this machine's, whatever its tier")]
    pool = pool_of(context)
    have, source = available(context)
    instances = environment.service.max_instances
    wanted = instances * pool.most
    text = (
        f"{instances} instances × {pool} = {wanted} "  # noqa: RUF001
        f"connections of the {have} that {source}"
    )
    left = have - RESERVED
    if wanted <= left:
        return [ok(CHECK, text)]
    return [
        failed(CHECK, f"{text}, {RESERVED} of which are superusers'", fix(left, pool, instances))
    ]


def fix(left: int, pool: Pool, instances: int) -> str:
    """What makes them fit, in the environment's words."""
    choices = [f'database.flags.max_connections: "{instances * pool.most + RESERVED}"']
    if left >= pool.most:
        choices.append(f"service.max_instances: {left // pool.most}")
    processes = instances * pool.workers
    if left // processes > pool.overflow:
        choices.append(f'config.DATABASE__POOL_SIZE: "{left // processes - pool.overflow}"')
    return f"Set {', or '.join(choices)}, or a larger database.tier"


def available(context: Context) -> tuple[int, str]:
    """The connections that the database has, and what says so. Raises Unreadable."""
    database = context.environment.database
    flag = database.flags.get("max_connections")
    if flag is not None:
        if not flag.isdecimal():
            raise Unreadable(f"database.flags.max_connections is no number: {flag}")
        return int(flag), "database.flags.max_connections gives"
    memory = megabytes(database.tier)
    if memory is None:
        raise Unreadable(f"the memory of {database.tier} is not known here")
    return next(count for least, count in DEFAULTS if memory >= least), f"{database.tier} has"


def pool_of(context: Context) -> Pool:
    """The pool of an instance: what its variables say, else its defaults. Raises Unreadable."""
    defaults = defaults_of(context.folder / SETTINGS)
    variables = variables_of(context)

    workers = variables.get(WORKERS, 1)
    if not str(workers).isdecimal():
        raise Unreadable(f"{WORKERS} is no number: {workers}")

    def value(name: str) -> int:
        given = variables.get(f"DATABASE__{name.upper()}", defaults.get(name))
        if given is None or not str(given).isdecimal():
            raise Unreadable(f"neither a variable nor {SETTINGS} says the {name} of {SECTION}")
        return int(str(given))

    return Pool(value(SIZE), value(OVERFLOW), int(str(workers)))


def defaults_of(path: Path) -> dict[str, int]:
    """The numbers that the service's settings begin with; none where there are no such settings."""
    try:
        module = ast.parse(path.read_text("utf-8"))
    except (OSError, SyntaxError):
        return {}
    section = next(
        (each for each in module.body if isinstance(each, ast.ClassDef) and each.name == SECTION),
        None,
    )
    return {
        each.target.id: each.value.value
        for each in (section.body if section else [])
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and isinstance(each.value, ast.Constant)
        and type(each.value.value) is int
    }


def variables_of(context: Context) -> dict[str, Value]:
    """The variables that an instance gets, but for those of secrets. Raises Unreadable."""
    try:
        read = manifest.read(
            context.folder, context.environment, image=PLACEHOLDER_IMAGE, versions={}, partial=True
        )
    except manifest.ManifestError as error:
        raise Unreadable(str(error)) from error
    container = manifest.serving_container(read.fields["template"])
    listed = container.get("env", [])
    if not isinstance(listed, list):
        return {}
    entries = [manifest.as_fields(each) for each in listed]
    return {str(each["name"]): each["value"] for each in entries if "value" in each}
