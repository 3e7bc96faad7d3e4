"""The image and the manifest → a new revision, which gets the traffic once it is healthy.

While it starts it has a tag of its own and no traffic. Every change of the traffic is written into
the service together with what to put back: whatever happens in between, `put_back` undoes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.cloud import run_v2

from infra.manifest import Manifest
from infra.release import ReleaseError
from infra.release.conditions import why_not_ready
from infra.release.live import (
    TakenOverError,
    asked_of,
    get_revision,
    get_service,
    is_converged,
    is_placeholder,
    list_revisions,
    said,
    scaled,
    shift,
    short,
    snake,
    split_of,
    tagged,
    targets,
    update,
)
from infra.release.logs import end_of
from infra.release.memory import Memory, Split
from infra.release.record import Record
from infra.release.watch import from_time, log_of
from infra.resources.asks import text
from infra.resources.base import Work
from infra.resources.secrets import APPLIED, find_secret, find_versions
from infra.retry import CloudError, Stopped

SHORT_VERSION = 7


@dataclass(frozen=True)
class Captured:
    """The traffic before it is changed, at a time. `is_idle`: only the placeholder has it, or
    nobody; `tagged` is the revision that waits for it."""

    split: Split
    memory: Memory
    is_idle: bool
    tagged: str
    since: datetime

    @property
    def revisions(self) -> list[str]:
        """Who serves."""
        return [revision for revision, _ in self.split]


def capture(live: run_v2.Service, revisions: Iterable[run_v2.Revision]) -> Captured:
    """What a release has to put back if it fails, and who serves meanwhile."""
    split = split_of(live)
    serving = dict(split)
    ours = [each for each in revisions if not is_placeholder(list(each.containers))]
    real = [short(each.name) for each in ours if short(each.name) in serving]
    memory = Memory.read(live.annotations).ended()
    if len(split) == 1 and real and memory.served[:1] != (real[0],):
        memory = memory.won(real[0])  # somebody gave it the traffic by other means
    return Captured(split, memory, not real, tagged(live), now())


def now() -> datetime:
    """The time, a little early: this machine's clock and Google's may differ."""
    return datetime.now(UTC) - timedelta(seconds=60)


def secret_versions(work: Work) -> dict[str, str]:
    """The number of the newest enabled version of each secret the service reads, by its short
    name; a secret without one is left out. Raises ReleaseError for the database's password."""
    names = work.cloud.names
    password = find_secret(work, names.project, names.password_secret)
    if applied := text(password, "annotations", APPLIED):
        # The one the database knows; a newer one is given to it by invoke provision.
        work.facts[names.password_secret] = applied
    wanted = sorted({names.password_secret, *work.cloud.environment.secrets.values()})
    found = find_versions(work, names.project, wanted)
    if names.password_secret not in found:
        raise ReleaseError(
            f"the secret {names.password_secret} has no enabled version: run invoke provision "
            f"--env {names.environment.name} first"
        )
    return found


def next_revision(work: Work, version: str) -> str:
    """The name of the next revision of a version of the source: service, version, count."""
    stem = f"{work.cloud.names.name}-{version[:SHORT_VERSION]}-"
    counts = [
        int(name.removeprefix(stem))
        for name in (short(each.name) for each in list_revisions(work))
        if re.fullmatch(re.escape(stem) + r"\d+", name)
    ]
    return f"{stem}{max(counts, default=0) + 1}"


def create(
    work: Work, manifest: Manifest, revision: str, record: Record, captured: Captured
) -> run_v2.Service:
    """Makes the revision, with the candidate's tag and without traffic. Returns the service once
    the revision is healthy.

    Raises ReleaseError with what Google says of it.
    """
    there = get_service(work)
    if split_of(there) != captured.split:
        raise TakenOverError("somebody else changed the traffic a moment ago: run it again")
    wanted = manifest.service
    wanted.etag = there.etag
    wanted.template.revision = revision
    wanted.template.annotations.update(record.annotations())
    wanted.labels = {**there.labels, **wanted.labels}
    split = captured.split or ((revision, 100),)
    begun = captured.memory.begun(revision, captured.split, split)
    wanted.annotations = begun.annotations({**there.annotations, **wanted.annotations})
    wanted.traffic = list(targets(there, split, candidate=revision))
    declared = {
        "annotations",
        "traffic",
        *(snake(field) for field in manifest.fields if field != "name"),
    }
    try:
        update(work, wanted, sorted(declared))
    except CloudError as error:
        raise ReleaseError(error.said) from error
    there = get_service(work)
    if not is_converged(there):
        raise ReleaseError(there.terminal_condition.message)
    return there


def keep(work: Work, revision: str, captured: Captured) -> run_v2.Service:
    """Leaves the revision as it is, healthy and without traffic: it is no longer under way."""
    return shift(work, captured.split, captured.memory, revision, only_ours)


def tag(work: Work, revision: str, captured: Captured) -> run_v2.Service:
    """Gives a revision that is there the candidate's tag, and returns when it can be asked."""
    begun = captured.memory.begun(revision, captured.split, captured.split)
    return shift(work, captured.split, begun, revision)


def give(work: Work, revision: str, percent: int, captured: Captured) -> run_v2.Service:
    """Sends a percentage of the traffic to the revision, and the rest to those that had it.

    Raises TakenOverError when somebody else has changed the traffic since the last step.
    """
    if percent == 100:
        return shift(work, ((revision, 100),), captured.memory.won(revision), may=only_ours)
    split = ((revision, percent), *scaled(captured.split, 100 - percent))
    begun = captured.memory.begun(revision, captured.split, split)
    return shift(work, split, begun, revision, only_ours)


def only_ours(there: run_v2.Service) -> None:
    """Raises TakenOverError when the traffic is not as a release under way has asked for it."""
    under_way = Memory.read(there.annotations).rollout
    if under_way is None or dict(asked_of(there)) != dict(under_way.given):
        raise TakenOverError("somebody else changed the traffic meanwhile")


def put_back(work: Work, captured: Captured, revision: str = "") -> str:
    """Gives the traffic back to those that had it, and the candidate's tag, and returns where the
    traffic is, for people. What somebody else has made of it stays.

    `revision` is that of the release, which may have just been given all of it.

    Raises Stopped when the lease is lost, CloudError, and ReleaseError.
    """
    if work.retry.stop.is_set():
        raise Stopped
    there = get_service(work)
    memory = Memory.read(there.annotations)
    known = [captured.split]
    if memory.rollout:
        known.append(memory.rollout.given)
    elif memory.served[:1] == (revision,):
        known.append(((revision, 100),))
    if dict(asked_of(there)) not in map(dict, known):
        forget(work, there)
        return f"Somebody else changed the traffic, and it stays so: {said(asked_of(there))}"
    shift(work, captured.split, captured.memory, captured.tagged)
    return f"The traffic is where it was: {said(captured.split)}"


def forget(work: Work, there: run_v2.Service) -> None:
    """Takes the note of a rollout under way out of the service, and touches nothing else."""
    memory = Memory.read(there.annotations).ended()
    annotations = memory.annotations(there.annotations)
    service = run_v2.Service(name=there.name, etag=there.etag, annotations=annotations)
    update(work, service, ["annotations"])


def cut_off(work: Work) -> Captured | None:
    """What a release that was killed has left to be put back; None when none was.

    A revision that was deleted meanwhile gets nothing.
    """
    there = get_service(work)
    memory = Memory.read(there.annotations)
    if memory.rollout is None:
        return None
    names = {short(each.name) for each in list_revisions(work)}
    left = tuple((name, part) for name, part in memory.rollout.serving if name in names)
    split = scaled(left, 100) or asked_of(there)
    return Captured(split, memory.ended(), is_idle=False, tagged="", since=now())


def unhealthy(work: Work, revision: str, message: str, since: datetime) -> str:
    """What to say of a revision that is not well: its own words, and what it logged from a time on.

    It is said after the traffic is back, and never fails: it is not what matters then.
    """
    try:
        there = get_revision(work, revision)
        if there is None:
            return f"the revision {revision} was refused: {message}"
        log = from_time(log_of(work, revision), since)
        lines = end_of(log.last(work))
        why = why_not_ready(there.conditions, message)
    except (CloudError, Stopped) as error:
        why, lines = message, f"  (it can't be read: {error})"
    return f"the revision {revision} is not healthy: {why}\nThe end of its log:\n{lines}"


def steps(captured: Captured, canary: Iterable[int]) -> list[int]:
    """The percents of the traffic the revision gets, one after the other. The first release has
    nobody to share it with."""
    return [100] if captured.is_idle else [*canary, 100]
