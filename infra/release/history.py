"""The releases of a service, as its revisions tell them."""

from collections.abc import Sequence
from dataclasses import dataclass

from google.cloud import run_v2

from infra.names import PLACEHOLDER_IMAGE
from infra.release.live import get_service, list_revisions, short, split_of, tagged
from infra.release.memory import Memory, Split
from infra.release.record import Record, was_released
from infra.resources.base import Work


@dataclass(frozen=True)
class Release:
    """A revision that was released."""

    revision: str
    created: str
    """When it was created, in UTC."""
    image: str
    record: Record
    percent: int
    """Its part of the traffic."""
    is_ready: bool
    fate: str = ""
    """Of one without traffic, for people: it waits for it, or was given up."""


def find(work: Work) -> list[Release]:
    """All releases of the live service, the newest first. Raises ReleaseError without a service."""
    live = get_service(work)
    served = Memory.read(live.annotations).served
    return of_revisions(list_revisions(work), split_of(live), served, tagged(live))


def of_revisions(
    revisions: Sequence[run_v2.Revision],
    split: Split,
    served: Sequence[str] = (),
    waiting: str = "",
) -> list[Release]:
    """The releases among revisions, the newest first, with what each has of the traffic.

    `served` are those that had all of it, as far as that is remembered; `waiting` is to get it.
    """
    percents = dict(split)
    times = [each.create_time for each in revisions if short(each.name) in served]

    def fate(each: run_v2.Revision) -> str:
        name = short(each.name)
        if percents.get(name) or name in served or not times or each.create_time < min(times):
            return ""
        if name == waiting:
            return "waits"
        # Cloud Run names those that a change of the shape makes, as provision does.
        return "given up" if was_released(name) else "not released"

    newest_first = sorted(revisions, key=lambda each: each.create_time, reverse=True)
    return [
        Release(
            revision=short(each.name),
            created=f"{each.create_time:%Y-%m-%d %H:%M}",
            image=each.containers[0].image,
            record=Record.read(each.annotations),
            percent=percents.get(short(each.name), 0),
            is_ready=is_ready(each),
            fate=fate(each),
        )
        for each in newest_first
        if not any(one.image.startswith(PLACEHOLDER_IMAGE) for one in each.containers)
    ]


def is_ready(revision: run_v2.Revision) -> bool:
    """Whether it became ready; a revision that is not serving stays so."""
    failed = run_v2.Condition.State.CONDITION_FAILED
    return not any(each.type_ == "Ready" and each.state == failed for each in revision.conditions)
