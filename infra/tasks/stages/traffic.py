"""The last stage: a new revision, checked, and given the traffic step by step.

Whatever ends it on the way, Ctrl-C included, puts the traffic back to where it was.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.report import complain, say
from infra.retry import CloudError, Stopped
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built
from infra.tasks.stages.pace import Pace
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
    with put_back_unless_done(work, captured):
        with step_of(work, f"start revision {revision}"):
            service = rollout.create(work, shape, revision, record, captured)
        check(work, service, pace)
        if traffic:
            return climb(work, revision, captured, pace)
        rollout.keep(work, revision, captured)
        return live.get_service(work)


def check(work: "Work", service: "run_v2.Service", pace: Pace) -> None:
    """Asks the candidate over HTTP what it has to answer."""
    from infra.release import checks, live
    from infra.release.rollout import unhealthy

    with step_of(work, "check it at its own address"):
        try:
            said = checks.check(work, service, pace.checks)
        except ReleaseError as error:
            raise ReleaseError(unhealthy(work, live.tagged(service), str(error))) from error
    say(f"    {said}")


def climb(work: "Work", revision: str, captured: "Captured", pace: Pace) -> "run_v2.Service":
    """Gives the revision the traffic, step by step, each of them watched."""
    from infra.release import rollout
    from infra.release.watch import Watch

    for percent in rollout.steps(captured, pace.canary):
        with step_of(work, f"send it {percent} % of the traffic"):
            service = rollout.give(work, revision, percent, captured)
            others = [] if percent == 100 else captured.revisions
            watched = Watch(work, revision, others, service.update_time)
            try:
                said = watched.keep(pace.bake if percent < 100 else 0)
            except ReleaseError as error:
                raise ReleaseError(rollout.unhealthy(work, revision, str(error))) from error
        if percent < 100:
            say(f"    {said}")
    return service


@contextmanager
def put_back_unless_done(work: "Work", captured: "Captured") -> Iterator[None]:
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
            try:
                where = rollout.put_back(work, captured)
            except (CloudError, ReleaseError, Stopped) as worse:
                where = f"The traffic could not be put back: {worse or 'the lease is lost'}\n{LEFT}"
        if isinstance(error, ReleaseError | CloudError):
            raise ReleaseError(f"{error}\n{where}") from error
        complain(where)
        raise
