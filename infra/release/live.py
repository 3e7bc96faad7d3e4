"""The live Cloud Run service: who serves, and how that is changed.

Nothing is judged here: whether a revision is well is said in watch.py and checks.py.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from google.cloud import run_v2
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.names import PLACEHOLDER_IMAGE
from infra.release import ReleaseError
from infra.release.memory import Memory, Split
from infra.resources.base import Work
from infra.retry import REDONE, CloudError, Spent

TAG = "candidate"
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED


def get_service(work: Work) -> run_v2.Service:
    """The live service. Raises ReleaseError when it is not there."""
    names = work.cloud.names
    request = run_v2.GetServiceRequest(name=names.service)
    service = work.read(names.name, lambda: work.cloud.run_services.get_service(request))
    if service is None:
        raise ReleaseError(
            f"there is no service {names.name}: run invoke provision --env "
            f"{names.environment.name} first"
        )
    return service


def list_revisions(work: Work) -> list[run_v2.Revision]:
    """All revisions of the service; none when it is not there."""
    request = run_v2.ListRevisionsRequest(parent=work.cloud.names.service)
    doing = "list the revisions"
    listed = work.read(doing, lambda: list(work.cloud.run_revisions.list_revisions(request)))
    return listed or []


def get_revision(work: Work, revision: str) -> run_v2.Revision | None:
    """A revision, by its short name; None when there is none."""
    request = run_v2.GetRevisionRequest(name=f"{work.cloud.names.service}/revisions/{revision}")
    return work.read(revision, lambda: work.cloud.run_revisions.get_revision(request))


def update(work: Work, service: run_v2.Service, fields: list[str]) -> None:
    """Changes the fields of the live service, and returns when Cloud Run is done."""
    request = run_v2.UpdateServiceRequest(
        service=service, update_mask=field_mask_pb2.FieldMask(paths=fields)
    )
    doing = f"update the service {work.cloud.names.name}"
    work.wait(doing, work.call(doing, lambda: work.cloud.run_services.update_service(request)))


class TakenOverError(ReleaseError):
    """Somebody else changed the traffic while a release was at it: it is theirs now."""


def shift(
    work: Work,
    split: Split,
    memory: Memory,
    tagged: str = "",
    may: Callable[[run_v2.Service], None] = lambda there: None,
) -> run_v2.Service:
    """Gives the revisions their percents, and what the service is to remember of it.

    `tagged` is the revision that has the candidate's tag then. `may` raises when the service, as it
    is, must not be changed. Returns the service when it is so; what fails in passing is done again.
    """
    spent = Spent(work.retry.clock, REDONE)
    while True:
        there = get_service(work)
        if is_asked(there, split, memory, tagged):
            break
        may(there)
        service = run_v2.Service(
            name=there.name,
            etag=there.etag,
            traffic=list(targets(there, split, candidate=tagged)),
            annotations=memory.annotations(there.annotations),
        )
        try:
            update(work, service, ["traffic", "annotations"])
        except CloudError as error:
            if is_asked(get_service(work), split, memory, tagged):
                break  # what failed is the newest revision, or only the answer
            if spent.is_over(error.cause):
                raise
            pause = spent.next(error.cause)
            work.retry.pause(pause)
            spent.add(error.cause, pause)
    return await_split(work, split)


def is_asked(there: run_v2.Service, split: Split, memory: Memory, tag: str) -> bool:
    """Whether this is what the service was asked to be, be it so already or not."""
    return (
        dict(asked_of(there)) == dict(split)
        and tagged(there) == tag
        and Memory.read(there.annotations) == memory
    )


def await_split(work: Work, split: Split) -> run_v2.Service:
    """The service, once the traffic goes where it was asked to. Raises ReleaseError."""

    def is_there() -> bool:
        there = get_service(work)
        return dict(split_of(there)) == dict(split) or not there.reconciling

    work.retry.until("waiting for the traffic", is_there)
    there = get_service(work)
    if split and dict(split_of(there)) != dict(split):
        said_why = there.terminal_condition.message or "Cloud Run does not say why"
        raise ReleaseError(f"the traffic could not be sent to {said(split)}: {said_why}")
    return there


def targets(
    live: run_v2.Service, split: Split, candidate: str = ""
) -> Iterator[run_v2.TrafficTarget]:
    """The traffic of a split, with the tags that are not ours where they are."""
    for revision, percent in split:
        yield run_v2.TrafficTarget(type_=REVISION, revision=revision, percent=percent)
    for target in live.traffic:
        if target.tag and target.tag != TAG:
            yield run_v2.TrafficTarget(type_=target.type_, revision=target.revision, tag=target.tag)
    if candidate:
        yield run_v2.TrafficTarget(type_=REVISION, revision=candidate, tag=TAG)


def split_of(live: run_v2.Service) -> Split:
    """Which revisions serve, and what percent each; empty when none ever was ready."""
    return summed(live, live.traffic_statuses)


def asked_of(live: run_v2.Service) -> Split:
    """Which revisions were asked to serve, which may not have come about yet."""
    return summed(live, live.traffic)


def summed(
    live: run_v2.Service,
    parts: Iterable[run_v2.TrafficTarget | run_v2.TrafficTargetStatus],
) -> Split:
    """What each revision has of the traffic, of all its parts."""
    percents: dict[str, int] = {}
    for part in parts:
        revision = part.revision
        if part.type_ == LATEST or not revision:
            revision = short(live.latest_ready_revision)
        if part.percent and revision:
            percents[revision] = percents.get(revision, 0) + part.percent
    return tuple(percents.items())


def scaled(split: Split, total: int) -> Split:
    """The split in the same proportions, its percents adding up to the total."""
    whole = sum(percent for _, percent in split)
    left, result = total, []
    for revision, percent in split:
        share = round(left * percent / whole) if whole else 0
        whole -= percent
        left -= share
        if share:
            result.append((revision, share))
    return tuple(result)


def tagged(live: run_v2.Service) -> str:
    """The revision that has the candidate's tag; "" for none."""
    found = (target.revision for target in live.traffic if target.tag == TAG)
    return next(found, "")


def tag_uri(live: run_v2.Service) -> str:
    """Where the revision with the candidate's tag is reached by itself; "" where nowhere."""
    found = (status.uri for status in live.traffic_statuses if status.tag == TAG)
    return next(found, "")


def is_placeholder(containers: list[run_v2.Container]) -> bool:
    """Whether they are what is served until the first release."""
    return any(each.image.startswith(PLACEHOLDER_IMAGE) for each in containers)


def is_converged(service: run_v2.Service) -> bool:
    """Whether Cloud Run has made of the service what was asked for."""
    return (
        not service.reconciling
        and service.terminal_condition.state == SUCCEEDED
        and service.observed_generation == service.generation
    )


def said(split: Split) -> str:
    """The split, for people."""
    return ", ".join(f"{revision} {percent} %" for revision, percent in split) or "nobody"


def short(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def snake(field: str) -> str:
    """A field's name as field masks have it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()
