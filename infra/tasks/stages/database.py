"""The second stage: the database, migrated by the image that is to be released."""

# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

from infra.tasks.opening import Opened
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built

if TYPE_CHECKING:
    from infra.manifest import Manifest
    from infra.release.record import Record
    from infra.resources.base import Work


def migrate(opened: Opened, work: "Work", shape: "Manifest", built: Built) -> "Record":
    """Brings the database to the image's newest revision. Returns what the service's revision is
    to remember."""
    from infra.release import migrate as migration

    with step_of(work, "migrate the database") as tell:
        migration.update_job(work, shape, built.image)
        migration.run(work, migration.HEAD, tell)
    return built.record
