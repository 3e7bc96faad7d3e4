"""The last stage: a new revision, and the traffic for it once it is healthy."""

# ruff: noqa: PLC0415

from typing import TYPE_CHECKING

from infra.tasks.opening import Opened
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built

if TYPE_CHECKING:
    from infra.manifest import Manifest
    from infra.release.record import Record
    from infra.resources.base import Work


def roll_out(
    opened: Opened, work: "Work", shape: "Manifest", built: Built, record: "Record"
) -> str:
    """Starts the revision and gives it the traffic, step by step. Returns the service's address."""
    from infra.release import rollout

    revision = rollout.next_revision(work, built.version)
    with step_of(work, f"start revision {revision}"):
        candidate = rollout.create(work, shape, revision, record)
    live = rollout.get_service(work)
    for percent in rollout.steps(candidate, opened.environment.release.canary):
        with step_of(work, f"send it {percent} % of the traffic"):
            live = rollout.promote(work, candidate, percent)
    url: str = live.uri
    return url
