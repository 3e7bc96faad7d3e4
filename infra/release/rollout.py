"""The image and the manifest → a new revision, which gets the traffic once it is healthy.

While it starts it has a tag of its own and no traffic. Every change of the traffic is written into
the service together with what to put back: whatever happens in between, `put_back` undoes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from google.cloud import run_v2

from infra.manifest import Manifest
from infra.release import ReleaseError
from infra.release.conditions import why_not_ready
from infra.release.live import (
    Split,
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
from infra.release.memory import Memory
from infra.release.record import Record
from infra.release.watch import log_of
from infra.resources.asks import text
from infra.resources.base import Work
from infra.resources.secrets import APPLIED, find_secret, find_versions
from infra.retry import CloudError

SHORT_VERSION = 7


@dataclass(frozen=True)
class Captured:
    """The traffic before it is changed. `is_idle`: only the placeholder has it, or nobody."""

    split: Split
    memory: Memory
    is_idle: bool

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
    if not memory.served and len(split) == 1 and real:
        memory = memory.won(real[0])  # it was released by a version that kept no memory
    return Captured(split, memory, is_idle=not real)


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

    Raises ReleaseError with the revision's own message and the end of its log.
    """
    live = get_service(work)
    wanted = manifest.service
    wanted.template.revision = revision
    wanted.template.annotations.update(record.annotations())
    wanted.labels = {**live.labels, **wanted.labels}
    begun = captured.memory.begun(revision, captured.split)
    wanted.annotations = begun.annotations({**live.annotations, **wanted.annotations})
    split = captured.split or ((revision, 100),)
    wanted.traffic = list(targets(live, split, candidate=revision))
    declared = {
        "annotations",
        "traffic",
        *(snake(field) for field in manifest.fields if field != "name"),
    }
    try:
        update(work, wanted, sorted(declared))
    except CloudError as error:
        raise ReleaseError(unhealthy(work, revision, error.said)) from error
    live = get_service(work)
    if not is_converged(live):
        raise ReleaseError(unhealthy(work, revision, live.terminal_condition.message))
    return live


def keep(work: Work, revision: str, captured: Captured) -> None:
    """Leaves the revision as it is, healthy and without traffic: it is no longer under way."""
    shift(work, captured.split, captured.memory, tagged=revision)


def tag(work: Work, revision: str, captured: Captured) -> run_v2.Service:
    """Gives a revision that is there the candidate's tag, and returns when it can be asked."""
    return shift(
        work, captured.split, captured.memory.begun(revision, captured.split), tagged=revision
    )


def give(work: Work, revision: str, percent: int, captured: Captured) -> run_v2.Service:
    """Sends a percentage of the traffic to the revision, and the rest to those that had it."""
    if percent == 100:
        return shift(work, ((revision, 100),), captured.memory.won(revision))
    split = ((revision, percent), *scaled(captured.split, 100 - percent))
    return shift(work, split, captured.memory.begun(revision, captured.split), tagged=revision)


def put_back(work: Work, captured: Captured) -> str:
    """Gives the traffic back to those that had it, takes the candidate's tag away, and returns
    where the traffic is, for people. Raises CloudError, and ReleaseError."""
    live = get_service(work)
    if (
        split_of(live) != captured.split
        or tagged(live)
        or Memory.read(live.annotations) != captured.memory
    ):
        shift(work, captured.split, captured.memory)
    return f"The traffic is where it was: {said(captured.split)}"


def cut_off(work: Work) -> Captured | None:
    """What a release that was killed has left to be put back; None when none was.

    Where its revision has no traffic, or no longer, the traffic stays: somebody else saw to it. A
    revision that was deleted meanwhile gets nothing.
    """
    live = get_service(work)
    memory = Memory.read(live.annotations)
    if memory.rollout is None:
        return None
    split = split_of(live)
    there = {short(each.name) for each in list_revisions(work)}
    before = tuple((name, part) for name, part in memory.rollout.serving if name in there)
    if memory.rollout.candidate in dict(split) and before:
        split = scaled(before, 100)
    return Captured(split, memory.ended(), is_idle=False)


def unhealthy(work: Work, revision: str, message: str) -> str:
    """What to say of a revision that is not well: its own words, and its log."""
    there = get_revision(work, revision)
    if there is None:
        return f"the revision {revision} was refused: {message}"
    lines = log_of(work, revision).settled()
    return (
        f"the revision {revision} is not healthy: {why_not_ready(there.conditions, message)}\n"
        f"The end of its log:\n{end_of(lines)}"
    )


def steps(captured: Captured, canary: Iterable[int]) -> list[int]:
    """The percents of the traffic the revision gets, one after the other. The first release has
    nobody to share it with."""
    return [100] if captured.is_idle else [*canary, 100]
