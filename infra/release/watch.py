"""A revision that has a part of the traffic, watched: its instances, its failures, its latency.

It is compared with those that serve beside it, by the request log of Cloud Run: what both answer
badly is not the new one's fault.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import quantiles
from time import monotonic

from infra.release import ReleaseError
from infra.release.conditions import failed_conditions
from infra.release.live import get_revision
from infra.release.logs import SYSTEM, Log, parse
from infra.resources.base import Work

REQUESTS = "/logs/run.googleapis.com%2Frequests"
# A poll reads two or three logs, and Cloud Logging allows 60 reads a minute in a project.
POLL_SECONDS = 4.0
# The newest requests of a step: enough to judge by, and one page of the log.
MOST = 1000
FEW = 20
# It fails when at least so many of its requests did, and their part is so much above the others'.
LEAST_FAILURES = 3
FAILURES_FACTOR = 2.0
FAILURES_MARGIN = 0.01
# It is too slow when its 90th percentile is so much above the others', with so many requests each.
LEAST_REQUESTS = 20
SLOWER_FACTOR = 2.0
SLOWER_SECONDS = 0.1
SERVER_ERROR = 500


@dataclass(frozen=True)
class Answers:
    """What was answered: how many requests, how many of them with 5xx, and the seconds in which
    nine of ten were."""

    count: int = 0
    failed: int = 0
    p90: float = 0.0

    @classmethod
    def of(cls, entries: Iterable[dict[str, object]]) -> "Answers":
        """The answers in entries of a request log."""
        requests = [each["httpRequest"] for each in entries if "httpRequest" in each]
        given = [each for each in requests if isinstance(each, dict)]
        failed = sum(int(each.get("status", 0)) >= SERVER_ERROR for each in given)
        return cls(len(given), failed, p90([seconds(each.get("latency")) for each in given]))

    @property
    def ratio(self) -> float:
        """The part that failed."""
        return self.failed / self.count if self.count else 0.0

    def __str__(self) -> str:
        if not self.count:
            return "no request"
        count = f"{self.count}{'+' if self.count >= MOST else ''}"
        return f"{count} requests, {self.failed} failed, p90 {self.p90 * 1000:.0f} ms"


def p90(values: Sequence[float]) -> float:
    """The value that nine of ten do not exceed."""
    if not values:
        return 0.0
    return quantiles(values, n=10, method="inclusive")[-1] if len(values) > 1 else values[0]


def seconds(latency: object) -> float:
    """A duration as Google writes it, `0.012s`."""
    try:
        return float(str(latency).removesuffix("s"))
    except ValueError:
        return 0.0


def worse(new: Answers, old: Answers, *, latency: bool) -> str:
    """In what the new revision is worse than the old ones; "" when it is not. The latency is
    judged at the end only: in the beginning it has the starts of instances in it."""
    most = max(old.ratio * FAILURES_FACTOR, old.ratio + FAILURES_MARGIN)
    if new.failed >= LEAST_FAILURES and new.ratio > most:
        return (
            f"{new.failed} of {new.count} requests failed with 5xx, and of the others "
            f"{old.failed} of {old.count}"
        )
    slowest = old.p90 * SLOWER_FACTOR + SLOWER_SECONDS
    if latency and min(new.count, old.count) >= LEAST_REQUESTS and new.p90 > slowest:
        return (
            f"nine of ten requests took up to {new.p90 * 1000:.0f} ms, and of the others up to "
            f"{old.p90 * 1000:.0f} ms"
        )
    return ""


@dataclass(frozen=True)
class Watch:
    """A revision under watch from a time on, beside those that serve."""

    work: Work
    revision: str
    others: Sequence[str]
    since: datetime

    def keep(self, seconds: float) -> str:
        """Watches so long. Returns what was seen, for people.

        Raises ReleaseError as soon as the revision is not well, with why.
        """
        deadline = monotonic() + seconds
        while True:
            is_over = monotonic() >= deadline
            if failed := self.failures():
                raise ReleaseError(" ".join(failed))
            seen, others = self.answers([self.revision]), self.answers(self.others)
            if why := worse(seen, others, latency=is_over):
                raise ReleaseError(f"under a part of the traffic {why}")
            if is_over:
                return f"{seen}; the others: {others}"
            self.work.retry.pause(min(POLL_SECONDS, max(deadline - monotonic(), 0)))

    def glance(self) -> str:
        """Looks once, when it has all the traffic and there is nothing to compare it with. Returns
        "". Raises ReleaseError when it is not well."""
        if failed := self.conditions():
            raise ReleaseError(" ".join(failed))
        return ""

    def failures(self) -> list[str]:
        """Why it is no longer healthy, in Google's words; empty when it is."""
        deaths = from_time(deaths_of(self.work, self.revision), self.since)
        lines = [parse(entry).text for entry in deaths.entries(self.work, FEW)]
        return [*self.conditions(), *dict.fromkeys(reversed(lines))]

    def conditions(self) -> list[str]:
        """Which of its conditions failed; empty when none has."""
        there = get_revision(self.work, self.revision)
        return failed_conditions(there.conditions) if there else ["it was deleted"]

    def answers(self, revisions: Sequence[str]) -> Answers:
        """What the revisions answered, of the newest requests."""
        if not revisions:
            return Answers()
        log = requests_of(self.work, revisions, self.since)
        return Answers.of(log.entries(self.work, MOST))


def log_of(work: Work, revision: str) -> Log:
    """What a revision logs, and what Cloud Run says of it; not its requests."""
    return Log(
        work.cloud,
        f'logName!="projects/{work.cloud.names.project}{REQUESTS}" '
        'AND resource.type="cloud_run_revision" '
        f'AND resource.labels.service_name="{work.cloud.names.name}" '
        f'AND resource.labels.revision_name="{revision}"',
    )


def deaths_of(work: Work, revision: str) -> Log:
    """What Cloud Run says of instances that ended by themselves, or were ended by a probe or for
    their memory. A revision keeps its conditions then: others take their place."""
    of_ours = log_of(work, revision)
    name = f"projects/{work.cloud.names.project}{SYSTEM}"
    # An exit is a warning to Cloud Run; 143 is that of one that was told to end.
    died = (
        '(severity>=ERROR OR textPayload=~"^Container called exit") '
        'AND NOT textPayload=~"exit.(0|143)."'
    )
    return replace(of_ours, filter=f'{of_ours.filter} AND logName="{name}" AND {died}')


def from_time(log: Log, since: datetime) -> Log:
    """The log from a time on."""
    return replace(log, filter=f'{log.filter} AND timestamp>="{since.isoformat()}"')


def requests_of(work: Work, revisions: Sequence[str], since: datetime) -> Log:
    """The requests that the revisions answered, from a time on."""
    names = " OR ".join(f'"{each}"' for each in revisions)
    log = Log(
        work.cloud,
        f'logName="projects/{work.cloud.names.project}{REQUESTS}" '
        'AND resource.type="cloud_run_revision" '
        f'AND resource.labels.service_name="{work.cloud.names.name}" '
        f"AND resource.labels.revision_name=({names})",
    )
    return from_time(log, since)
