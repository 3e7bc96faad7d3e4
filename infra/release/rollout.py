"""The image and the manifest → a new revision, which gets the traffic once it is healthy.

While it starts it has a tag of its own and no traffic; one that does not become healthy leaves the
traffic where it was.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from google.cloud import run_v2
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.manifest import Manifest
from infra.names import PLACEHOLDER_IMAGE
from infra.release import ReleaseError
from infra.release.conditions import failed_conditions, why_not_ready
from infra.release.logs import SYSTEM, Log, end_of
from infra.release.record import Record
from infra.resources.asks import text
from infra.resources.base import Work
from infra.resources.secrets import APPLIED, find_secret, find_versions
from infra.retry import CloudError

TAG = "candidate"
REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
SHORT_VERSION = 7
# How long each step of a canary is watched.
CANARY_SECONDS = 10.0
# Cloud Logging is read once a poll, and allows 60 reads a minute in a project.
POLL_SECONDS = 2.0

type Split = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Candidate:
    """A healthy revision without traffic. `serving` has the percents of those that have it;
    `is_first`: that is only the placeholder, or nobody."""

    revision: str
    serving: Split
    is_first: bool


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


def next_revision(work: Work, version: str) -> str:
    """The name of the next revision of a version of the source: service, version, count."""
    stem = f"{work.cloud.names.name}-{version[:SHORT_VERSION]}-"
    counts = [
        int(name.removeprefix(stem))
        for name in (short(each.name) for each in list_revisions(work))
        if re.fullmatch(re.escape(stem) + r"\d+", name)
    ]
    return f"{stem}{max(counts, default=0) + 1}"


def list_revisions(work: Work) -> list[run_v2.Revision]:
    """All revisions of the service; none when it is not there."""
    request = run_v2.ListRevisionsRequest(parent=work.cloud.names.service)
    doing = "list the revisions"
    listed = work.read(doing, lambda: list(work.cloud.run_revisions.list_revisions(request)))
    return listed or []


def create(work: Work, manifest: Manifest, revision: str, record: Record) -> Candidate:
    """Makes the revision, without traffic, and returns once it is healthy.

    Raises ReleaseError with the revision's own message and the end of its log.
    """
    live = get_service(work)
    serving = split_of(live)
    is_first = not serving or all(
        container.image.startswith(PLACEHOLDER_IMAGE) for container in live.template.containers
    )
    wanted = manifest.service
    wanted.template.revision = revision
    wanted.template.annotations.update(record.annotations())
    wanted.labels = {**live.labels, **wanted.labels}
    wanted.traffic = list(targets(live, serving or ((revision, 100),), candidate=revision))
    declared = {"traffic", *(snake(field) for field in manifest.fields if field != "name")}
    try:
        update(work, wanted, sorted(declared))
    except CloudError as error:
        raise ReleaseError(unhealthy(work, revision, serving, error.said)) from error
    live = get_service(work)
    if not is_converged(live):
        raise ReleaseError(unhealthy(work, revision, serving, live.terminal_condition.message))
    return Candidate(revision, serving, is_first)


def promote(work: Work, candidate: Candidate, percent: int) -> run_v2.Service:
    """Sends a percentage of the traffic to the revision, and the rest to those that had it.

    Below 100 it is watched for a while. Raises ReleaseError, with the traffic back where it was,
    when the revision is no longer healthy; interrupted below 100, it is put back too.
    """
    others = scaled(candidate.serving, 100 - percent)
    try:
        shift(work, ((candidate.revision, percent), *others))
        failed = watch(work, candidate.revision, CANARY_SECONDS if percent < 100 else 0)
    except KeyboardInterrupt:
        if percent < 100:
            shift(work, candidate.serving)
        raise
    if failed:
        shift(work, candidate.serving)
        raise ReleaseError(unhealthy(work, candidate.revision, candidate.serving, failed))
    return get_service(work)


def watch(work: Work, revision: str, seconds: float) -> str:
    """Why the revision is no longer healthy, as soon as it isn't; "" when it is all the time."""
    deadline = monotonic() + seconds
    deaths = deaths_of(work, revision)
    while True:
        now = get_revision(work, revision)
        failed = failed_conditions(now.conditions) if now else ["it was deleted"]
        failed += dict.fromkeys(line.text for line in deaths.read())
        if failed or monotonic() >= deadline:
            return " ".join(failed)
        work.retry.pause(POLL_SECONDS)


def shift(work: Work, split: Split) -> None:
    """Gives the revisions their percents, and returns when they have them."""
    live = get_service(work)
    service = run_v2.Service(name=live.name, traffic=list(targets(live, split)))
    update(work, service, ["traffic"])


def update(work: Work, service: run_v2.Service, fields: list[str]) -> None:
    """Changes the fields of the live service, and returns when Cloud Run is done."""
    request = run_v2.UpdateServiceRequest(
        service=service, update_mask=field_mask_pb2.FieldMask(paths=fields)
    )
    doing = f"update the service {work.cloud.names.name}"
    work.wait(doing, work.call(doing, lambda: work.cloud.run_services.update_service(request)))


def targets(
    live: run_v2.Service, split: Split, candidate: str | None = None
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
    percents: dict[str, int] = {}
    for status in live.traffic_statuses:
        revision = status.revision
        if status.type_ == LATEST or not revision:
            revision = short(live.latest_ready_revision)
        if status.percent and revision:
            percents[revision] = percents.get(revision, 0) + status.percent
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


def is_converged(service: run_v2.Service) -> bool:
    """Whether Cloud Run has made of the service what was asked for."""
    return (
        not service.reconciling
        and service.terminal_condition.state == SUCCEEDED
        and service.observed_generation == service.generation
    )


def get_revision(work: Work, revision: str) -> run_v2.Revision | None:
    """A revision, by its short name; None when there is none."""
    request = run_v2.GetRevisionRequest(name=f"{work.cloud.names.service}/revisions/{revision}")
    return work.read(revision, lambda: work.cloud.run_revisions.get_revision(request))


def unhealthy(work: Work, revision: str, serving: Split, message: str) -> str:
    """What to say of a revision that did not get ready: its own words, its log, the traffic."""
    there = get_revision(work, revision)
    if there is None:
        return f"the revision {revision} was refused: {message}\n{unmoved(dict(serving))}"
    lines = log_of(work, revision).settled()
    return (
        f"the revision {revision} is not healthy: {why_not_ready(there.conditions, message)}\n"
        f"The end of its log:\n{end_of(lines)}\n{unmoved(dict(serving))}"
    )


def unmoved(serving: Mapping[str, int]) -> str:
    """Where the traffic is."""
    if not serving:
        return "No revision serves."
    where = ", ".join(f"{revision} {percent} %" for revision, percent in serving.items())
    return f"The traffic is where it was: {where}"


def log_of(work: Work, revision: str) -> Log:
    """What a revision logs."""
    return Log(
        work.cloud,
        'resource.type="cloud_run_revision" '
        f'AND resource.labels.service_name="{work.cloud.names.name}" '
        f'AND resource.labels.revision_name="{revision}"',
    )


def deaths_of(work: Work, revision: str) -> Log:
    """What Cloud Run says of instances that ended by themselves, or were ended by a probe. A
    revision keeps its conditions then: others take their place."""
    of_ours = log_of(work, revision)
    name = f"projects/{work.cloud.names.project}{SYSTEM}"
    return replace(of_ours, filter=f'{of_ours.filter} AND logName="{name}" AND severity>=ERROR')


def steps(candidate: Candidate, canary: Iterable[int]) -> list[int]:
    """The percents of the traffic the revision gets, one after the other. The first release has
    nobody to share it with."""
    return [100] if candidate.is_first else [*canary, 100]


def short(name: str) -> str:
    """The last part of a resource's name."""
    return name.rpartition("/")[2]


def snake(field: str) -> str:
    """A field's name as field masks have it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", field).lower()
