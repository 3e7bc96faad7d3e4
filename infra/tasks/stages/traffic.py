"""The last stage: a new revision, checked, and given the traffic step by step.

Whatever ends it on the way, Ctrl-C included, puts the traffic back to where it was.
"""

# ruff: noqa: PLC0415

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.environment_fields import as_seconds
from infra.environment_release import Release
from infra.project import ProjectError
from infra.release import ReleaseError
from infra.report import complain, say
from infra.retry import CloudError, Stopped
from infra.tasks.releasing import step_of
from infra.tasks.stages.image import Built
from infra.tasks.stopping import uninterrupted

if TYPE_CHECKING:
    from google.cloud import run_v2

    from infra.manifest import Manifest
    from infra.release.record import Record
    from infra.release.rollout import Captured
    from infra.resources.base import Work

CANARY = "Percents of the traffic on the way to 100, as 10,50: instead of the environment's."
BAKE = "How long each step of the canary is watched, as 60s or 2m: instead of the environment's."
LEFT = "The next deploy, promote or rollback puts it back, or: invoke rollback --to REVISION"


@dataclass(frozen=True)
class Pace:
    """How a revision gets the traffic: the steps, the seconds each is watched, and what it has to
    answer before."""

    canary: Sequence[int]
    bake: int
    checks: dict[str, int]

    @classmethod
    def of(cls, release: Release, canary: str | None = None, bake: str | None = None) -> "Pace":
        """What the environment says, but for what the options say. Raises ProjectError."""
        return cls(
            release.canary if canary is None else percents(canary),
            release.bake if bake is None else duration(bake),
            release.checks,
        )


AT_ONCE = Pace((), 0, {})


def percents(text: str) -> list[int]:
    """The steps of --canary; 100 is the last of any."""
    try:
        steps = [int(each) for each in text.replace("%", "").split(",") if each.strip()]
    except ValueError:
        steps = [0]
    if steps != sorted(set(steps)) or not all(1 <= each <= 100 for each in steps):
        raise ProjectError(
            f"--canary must be percents that climb, with commas between, like 10,50 (got {text!r})"
        )
    return [each for each in steps if each < 100]


def duration(text: str) -> int:
    """The seconds of --bake."""
    found = as_seconds(text)
    if not isinstance(found, int):
        raise ProjectError(f"--bake must be a time like 60s or 2m (got {text!r})")
    return found


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
