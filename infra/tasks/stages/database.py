"""The stages about the database: what is pending is judged before the build, and runs after it."""

# ruff: noqa: PLC0415

from dataclasses import replace
from typing import TYPE_CHECKING

from infra.report import complain, say
from infra.tasks.opening import Opened
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built

if TYPE_CHECKING:
    from google.cloud import run_v2

    from infra.manifest import Manifest
    from infra.release.migrate import Migrated
    from infra.release.pending import Pending
    from infra.release.record import Record
    from infra.resources.base import Work


def check(opened: Opened, work: "Work", service: "run_v2.Service", *, to: str = "") -> "Pending":
    """Judges the migrations that did not run yet, up to a revision. Raises what
    `infra.release.pending.find` does, before anything is built."""
    from infra.release import pending, schema
    from infra.release.live import split_of

    folder = opened.project.folder
    if not schema.has_migrations(folder):
        return pending.Pending()
    with step_of(work, "check the migrations"):
        found = pending.find(work, folder, split_of(service), to=to)
    if found.current is None:
        complain("  nobody noted where the database is: what is pending was not checked")
    for each in found.migrations:
        kind = "contract" if each in found.contracts else "expand"
        say(f"    pending: {each}, {kind}")
    return found


def migrate(
    opened: Opened, work: "Work", shape: "Manifest", built: Built, pending: "Pending"
) -> "Record":
    """Brings the database to the image's newest revision. Returns what the service's revision is
    to remember."""
    from infra.release import migrate as migration
    from infra.release import schema

    with step_of(work, "migrate the database") as tell:
        migration.update_job(work, shape, built.image)
        migrated = migration.run(work, migration.HEAD, tell)
    tell_events(migrated)
    if migrated.after is None and pending.head:
        migration.keep(work, pending.head)
    return replace(built.record, schema=pending.head, columns=schema.note(pending.columns))


def tell_events(migrated: "Migrated") -> None:
    """Says what a run did, and what was in its way."""
    for line in migrated.lines:
        told = line.fields.get("migration")
        if isinstance(told, dict) and told.get("event") not in {"before", "after"}:
            say(f"    {line.text}")
