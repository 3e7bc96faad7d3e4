"""`invoke migrate`: the database brought to a revision, by the image that was deployed last."""

# ruff: noqa: PLC0415

import sys
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from infra.project import ProjectError
from infra.report import complain, say
from infra.tasks.opening import Opened, open_cloud
from infra.tasks.options import ENV, LOCK_TIMEOUT, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.releasing import releasing, step_of, work_on
from infra.tasks.stages import database

if TYPE_CHECKING:
    from infra.release.migrate import Migrated
    from infra.release.schema import Migration
    from infra.resources.base import Work

REVISION = "A revision of db/versions, or one relative to it like +1. Default: the newest, head."
SQL = "Print the SQL that would run, from where the database is, and run nothing."
DOWNGRADE = "Undo the migrations after this revision, or all with base."
YES = "Do not ask before something is undone."
HELP = {
    "env": ENV,
    "service": SERVICE,
    "revision": REVISION,
    "sql": SQL,
    "downgrade": DOWNGRADE,
    "yes": YES,
    "lock-timeout": LOCK_TIMEOUT,
}
WIDTH = 9


@task(help=HELP)
@friendly
def migrate(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    revision: str = "head",
    sql: bool = False,
    downgrade: str | None = None,
    yes: bool = False,
    lock_timeout: int = 0,
) -> None:
    """Run the migrations of the image deployed last, as a Cloud Run job, and say what they did."""
    with terminated_is_interrupted():
        opened = open_cloud(context, service, env)
        if sql:
            print_sql(opened, revision, downgrade)
            return
        with releasing(opened, "migrate", lock_timeout) as work:
            if downgrade is None:
                go_up(opened, work, revision)
            else:
                go_down(opened, work, downgrade, yes=yes)


def go_up(opened: Opened, work: "Work", revision: str) -> None:
    """Migrates to a revision, once what is pending is judged."""
    from infra.release import live, schema
    from infra.release import migrate as migration

    image = migration.deployed_image(work)
    chain = schema.read(opened.project.folder)
    to = schema.resolve(chain, migration.current(work), revision) if chain else ""
    say(f"Migrating {opened.environment.database.name} in {opened.environment.name}")
    say(f"with {image}\n")
    database.check(opened, work, live.get_service(work), to=to)
    with step_of(work, f"migrate to {revision}") as tell:
        # What was judged is what runs: Alembic has its own idea of what +1 is.
        exact = revision if revision == migration.HEAD else to or revision
        migrated = migration.run(work, exact, tell)
    show(migrated)


def go_down(opened: Opened, work: "Work", revision: str, *, yes: bool) -> None:
    """Undoes the migrations after a revision, unless a revision that serves needs them."""
    from infra.release import live, pending, schema
    from infra.release import migrate as migration

    image = migration.deployed_image(work)
    chain = schema.read(opened.project.folder)
    current = migration.current(work)
    if current is None:
        raise ProjectError(
            "nobody noted where the database is, so what would be undone is not known: "
            f"invoke migrate --env {opened.environment.name} notes it"
        )
    to = schema.resolve(chain, current, revision)
    undone = schema.between(chain, to, current)
    if not undone:
        say(f"Nothing is undone: the database is at {current or 'no revision'}")
        return
    there = live.get_service(work)
    schema.refuse_downgrade(chain, to, pending.needs_of(work, live.split_of(there)))
    if not yes:
        confirm(undone)
    say(f"Undoing in {opened.environment.database.name} in {opened.environment.name}")
    say(f"with {image}\n")
    with step_of(work, f"migrate back to {revision}") as tell:
        migrated = migration.run(work, to or migration.BASE, tell, down=True)
    show(migrated)


def confirm(undone: "tuple[Migration, ...]") -> None:
    """Asks whether migrations may be undone. Raises ProjectError when they may not."""
    say("This undoes, with what was written into it since:\n")
    for each in reversed(undone):
        say(f"  {each}")
    if not sys.stdin.isatty():
        raise ProjectError("nothing was undone: there is no terminal to ask at; say --yes")
    say("\nType yes to go on:")
    try:
        typed = input().strip()
    except EOFError:
        typed = ""
    if typed != "yes":
        raise ProjectError("nothing was undone")


def print_sql(opened: Opened, revision: str, downgrade: str | None) -> None:
    """Prints the SQL that would run, and nothing else on standard output."""
    from infra.release import migrate as migration
    from infra.release import schema, service_python

    folder = opened.project.folder
    chain = schema.read(folder)
    if not chain:
        raise ProjectError(f"{folder} has no migrations in {schema.VERSIONS}")
    current = migration.current(work_on(opened))
    if current is None:
        complain("nobody noted where the database is: this is all, from an empty one")
    start = current or ""
    to = schema.resolve(chain, start, revision if downgrade is None else downgrade)
    older, newer = (start, to) if downgrade is None else (to, start)
    if not schema.between(chain, older, newer):
        complain(f"nothing would run: the database is at {start or 'no revision'}")
    elif downgrade is None:
        say(service_python.print_upgrade(folder, start or migration.BASE, to).rstrip())
    else:
        to = to or migration.BASE
        say(service_python.print_downgrade(folder, start, to).rstrip())


def show(migrated: "Migrated") -> None:
    """What a run did: the revision before, what was pending, what ran, the revision after."""
    database.tell_events(migrated)
    if migrated.after is None:
        # The db/env.py of an older template.
        for line in migrated.lines:
            if not line.by_platform:
                say(f"  {line.text.rstrip()}")
        return
    for name, value in {
        "before": migrated.before or "",
        "pending": ", ".join(migrated.pending),
        "ran": ", ".join(migrated.applied),
        "after": migrated.after,
    }.items():
        say(f"  {name:<{WIDTH}}{value or 'none'}")
