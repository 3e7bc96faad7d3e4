"""The last stage: a new revision, checked, and given the traffic step by step.

Whatever ends it on the way, Ctrl-C included, puts the traffic back to where it was.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.report import complain, say, step
from infra.retry import CloudError, Stopped
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built
from infra.tasks.stages.pace import ALL, Pace
from infra.tasks.stopping import uninterrupted

if TYPE_CHECKING:
    from google.cloud import run_v2

    from infra.manifest import Manifest
    from infra.release.record import Record
    from infra.release.rollout import Captured
    from infra.resources.base import Work

LEFT = "The next deploy, promote or rollback puts it back, or: invoke rollback --to REVISION"


def recover(work: "Work") -> None:
    """Undoes what a release that was killed has left, before another one begins."""
    from infra.release import rollout

    if left := rollout.cut_off(work):
        with step_of(work, "undo a release that was cut off"):
            said = rollout.put_back(work, left)
        say(f"    {said}")


def roll_out(  # noqa: PLR0913
    work: "Work",
    shape: "Manifest",
    built: Built,
    record: "Record",
    pace: Pace,
    *,
    traffic: bool = True,
) -> "run_v2.Service":
    """Starts the revision and gives it the traffic; or with `traffic` false keeps it for promote.

    Returns the service. Raises ReleaseError.
    """
    from infra.release import live, rollout

    revision = rollout.next_revision(work, built.version)
    captured = rollout.capture(live.get_service(work), live.list_revisions(work))
    with put_back_unless_done(work, revision, captured):
        with step_of(work, f"start revision {revision}"):
            service = rollout.create(work, shape, revision, record, captured)
        check(work, service, pace)
        if traffic:
            return climb(work, revision, captured, pace)
        return rollout.keep(work, revision, captured)


def check(work: "Work", service: "run_v2.Service", pace: Pace, otherwise: str = "") -> None:
    """Asks the candidate over HTTP what it has to answer. Raises ReleaseError when it does not,
    with what else there is to do."""
    from infra.release import checks

    with step_of(work, "check it at its own address"):
        try:
            said = checks.check(work, service, pace.checks)
        except ReleaseError as error:
            raise ReleaseError(f"{error}.{otherwise}" if otherwise else str(error)) from error
    say(f"    {said}")


def climb(work: "Work", revision: str, captured: "Captured", pace: Pace) -> "run_v2.Service":
    """Gives the revision the traffic, step by step, each of them watched."""
    from infra.release import rollout
    from infra.release.watch import Watch

    for percent in rollout.steps(captured, pace.canary):
        with step_of(work, f"send it {percent} % of the traffic"):
            service = rollout.give(work, revision, percent, captured)
            watched = Watch(work, revision, captured.revisions, service.update_time)
            said = watched.keep(pace.bake) if percent < ALL else watched.glance()
        if said:
            say(f"    {said}")
    return service


@contextmanager
def put_back_unless_done(work: "Work", revision: str, captured: "Captured") -> Iterator[None]:
    """Puts the traffic back when the block fails, or is interrupted, and says so.

    One that lost its lease touches nothing: another run may be at work, and would undo it.
    """
    from infra.release import rollout

    try:
        yield
    except Stopped:
        complain(f"The traffic is left as it is. {LEFT}")
        raise
    except BaseException as error:
        with uninterrupted():
            where = put_back(work, revision, captured)
            complain(where)
        if isinstance(error, ReleaseError | CloudError):
            why = rollout.unhealthy(work, revision, str(error), captured.since)
            raise ReleaseError(why) from error
        raise


def put_back(work: "Work", revision: str, captured: "Captured") -> str:
    """Where the traffic is then, for people."""
    from infra.release import rollout

    try:
        with step("put the traffic back"):
            return rollout.put_back(work, captured, revision)
    except (CloudError, ReleaseError) as error:
        return f"The traffic could not be put back: {error}\n{LEFT}"
    except Stopped:
        return f"The traffic could not be put back: the lease is lost. {LEFT}"
