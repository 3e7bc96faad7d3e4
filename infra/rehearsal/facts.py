"""What happened in a rehearsal, as far as it can be read: from the cloud, and not from what a
command printed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from urllib.parse import urlsplit

from google.cloud import run_v2

from infra.rehearsal.load import AGENT, Request, route
from infra.rehearsal.locks import Lock
from infra.release.conditions import why_not_ready
from infra.release.live import list_revisions, short
from infra.release.logs import PAGE, Line
from infra.release.memory import Split
from infra.release.watch import log_of
from infra.resources.base import Work
from infra.yaml_file import Value

# A request's entry is written after its answer.
LATE_SECONDS = 10.0


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    name: str
    status: int
    said: str
    """What it ended with: its error, "" for none."""
    output: str
    """What it printed on both streams."""
    seconds: float


@dataclass(frozen=True)
class Change:
    """What provision did about a resource, from its JSON event."""

    kind: str
    name: str
    action: str
    status: str
    reason: str
    fields: tuple[str, ...]

    @classmethod
    def read(cls, output: str) -> list["Change"]:
        """All of them, in what `invoke provision --json` wrote."""
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        return [
            cls(
                event["kind"],
                event["name"],
                event["action"],
                event["status"],
                event["reason"],
                tuple(each["path"] for each in event["fields"]),
            )
            for event in events
            if event["event"] == "finished"
        ]


@dataclass(frozen=True)
class Served:
    """A request as the cloud logged it."""

    revision: str
    path: str
    status: int
    when: datetime


@dataclass(frozen=True)
class Revision:
    """A revision: what Cloud Run says of it, what it logged, and the variables it is given."""

    name: str
    trouble: str
    """Why it is not ready; "" for one that is."""
    log: tuple[Line, ...]
    variables: frozenset[str]
    probe: str
    """The path that its startup probe asks; "" for none."""


@dataclass(frozen=True)
class Migration:
    """What the job that migrates did, in one run or several."""

    began: datetime
    seconds: float
    is_failed: bool
    before: str
    after: str
    """The database's revision by Alembic, before and after it; "" for none."""
    locks: tuple[Lock, ...] = ()
    rewritten: tuple[str, ...] = ()
    """Tables that were written anew, row by row."""


@dataclass(frozen=True)
class Facts:
    """All that is known of a rehearsal."""

    environment: str
    provision: Ran
    changes: tuple[Change, ...]
    deploy: Ran | None = None
    """None: it did not come to that."""
    unset: Mapping[str, str] = field(default_factory=dict)
    """Variables whose secret has no value there, and the secret."""
    requests: tuple[Request, ...] = ()
    served: tuple[Served, ...] = ()
    before: tuple[Revision, ...] = ()
    """Those that served in the beginning."""
    tried: Revision | None = None
    """The one that provision made: this tree's settings with the image that is deployed."""
    after: Revision | None = None
    """The one that deploy made."""
    migration: Migration | None = None
    traffic: tuple[tuple[float, Split], ...] = ()
    """The splits that the service had, with the seconds since the release began."""
    still_read: Mapping[str, str] = field(default_factory=dict)
    """Variables that the service is no longer given, and the place in its source that names them.
    """

    @property
    def failed(self) -> list[Change]:
        """The resources that provision failed at, or that wait for somebody."""
        return [each for each in self.changes if each.status in {"failed", "waiting"}]

    @property
    def removed(self) -> list[str]:
        """The variables that the new revision is no longer given."""
        if self.after is None or not self.before:
            return []
        had = frozenset[str]().union(*(each.variables for each in self.before))
        return sorted(had - self.after.variables)

    @property
    def added(self) -> list[str]:
        """The variables that only the new revision is given."""
        if self.after is None or not self.before:
            return []
        had = frozenset[str]().union(*(each.variables for each in self.before))
        return sorted(self.after.variables - had)

    def failures(self) -> dict[tuple[str, str], Counter[int]]:
        """The answers of 500 and more, by revision and route: how many of each status."""
        found: dict[tuple[str, str], Counter[int]] = {}
        for each in self.served:
            if each.status >= 500:
                found.setdefault((each.revision, route(each.path)), Counter())[each.status] += 1
        return found


def newest_revision(work: Work, known: Set[str]) -> Revision | None:
    """The newest of the revisions that are not among the known; None when there is none."""
    new = [each for each in list_revisions(work) if short(each.name) not in known]
    return read_revision(work, max(new, key=lambda each: each.create_time)) if new else None


def read_revision(work: Work, revision: run_v2.Revision) -> Revision:
    """What is known of a revision."""
    name = short(revision.name)
    ready = next((each for each in revision.conditions if each.type_ == "Ready"), None)
    failed = run_v2.Condition.State.CONDITION_FAILED
    trouble = ""
    if ready is not None and ready.state == failed:
        trouble = why_not_ready(revision.conditions)
    return Revision(
        name,
        trouble,
        tuple(log_of(work, name).read()),
        frozenset(variable.name for variable in revision.containers[0].env),
        revision.containers[0].startup_probe.http_get.path,
    )


def executions(work: Work, since: datetime) -> list[run_v2.Execution]:
    """The runs of the job that migrates since then, the oldest first."""
    parent = work.cloud.names.migrate_job
    doing = "the runs of the job that migrates"
    found = work.read(doing, lambda: list(work.cloud.run_executions.list_executions(parent=parent)))
    newer = (each for each in found or () if each.create_time >= since)
    return sorted(newer, key=lambda each: each.create_time)


def served(work: Work, answered: int, since: datetime) -> tuple[Served, ...]:
    """The requests of the load since then, as the cloud logged them: so many, or what there is in
    the end."""
    deadline = monotonic() + LATE_SECONDS
    while True:
        found = tuple(read_served(work, since))
        if len(found) >= answered or monotonic() > deadline:
            return found
        work.retry.pause(0.2)


def read_served(work: Work, since: datetime) -> Iterator[Served]:
    """The requests that were logged so far."""
    project = work.cloud.environment.project
    body: dict[str, Value] = {
        "resourceNames": [f"projects/{project}"],
        "filter": f'logName="projects/{project}/logs/run.googleapis.com%2Frequests" '
        f'AND httpRequest.userAgent="{AGENT}" AND timestamp>="{since.isoformat()}"',
        "pageSize": PAGE,
    }
    while True:
        answer = work.cloud.session.post(f"{work.cloud.logging}/entries:list", json=body)
        answer.raise_for_status()
        page = answer.json()
        for entry in page.get("entries", ()):
            request = entry["httpRequest"]
            yield Served(
                entry["resource"]["labels"].get("revision_name", ""),
                urlsplit(request["requestUrl"]).path,
                int(request["status"]),
                datetime.fromisoformat(entry["timestamp"]),
            )
        if not page.get("nextPageToken"):
            return
        body["pageToken"] = page["nextPageToken"]
