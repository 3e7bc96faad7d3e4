"""What a build, a job or a revision logged, read back through Cloud Logging."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic, sleep

from google.api_core.exceptions import from_http_response

from infra.cloud import Cloud
from infra.resources.base import Work
from infra.yaml_file import Value

PAGE = 1000
# The end of the name of the log that Cloud Run itself writes.
SYSTEM = "/logs/run.googleapis.com%2Fvarlog%2Fsystem"
LAST_LINES = 20
# An entry can be read a few seconds after it was written, not at once.
LATE_SECONDS = 8
FIRST_POLL_SECONDS = 0.3
# Cloud Logging allows 60 reads a minute in a project.
FOLLOW_SECONDS = 2.0
SLOWER = 1.5


@dataclass(frozen=True)
class Line:
    """A line of a log; `when` is RFC 3339, as Google writes it. `by_platform`: Cloud Run says it
    of the program."""

    when: str
    severity: str
    text: str
    by_platform: bool = False
    id: str = ""
    """Unique among the lines of the same time."""
    fields: Mapping[str, object] = field(default_factory=dict, compare=False)
    """What a structured line says for programs."""

    @property
    def moment(self) -> datetime:
        """The time of it."""
        return datetime.fromisoformat(self.when)


@dataclass(frozen=True)
class Log:
    """The entries a filter of Cloud Logging finds, oldest first.

    https://cloud.google.com/logging/docs/view/logging-query-language
    """

    cloud: Cloud
    filter: str

    def read(self, since: str | None = None) -> list[Line]:
        """Its lines, from a time on. Empty when they can't be read: a log is never worth a
        failure of its own."""
        newer = f' AND timestamp>="{since}"' if since else ""
        body: dict[str, Value] = {
            "resourceNames": [f"projects/{self.cloud.environment.project}"],
            "filter": self.filter + newer,
            "orderBy": "timestamp asc",
            "pageSize": PAGE,
        }
        lines: list[Line] = []
        while True:
            answer = self.cloud.session.post(f"{self.cloud.logging}/entries:list", json=body)
            if answer.status_code != 200:
                return lines
            page = answer.json()
            lines += [parse(entry) for entry in page.get("entries", [])]
            if not page.get("nextPageToken"):
                return lines
            body["pageToken"] = page["nextPageToken"]

    def settled(self) -> list[Line]:
        """Its lines once there are any, and no more come; waits some seconds for that."""
        deadline = monotonic() + LATE_SECONDS
        pause = FIRST_POLL_SECONDS
        lines = self.read()
        while monotonic() < deadline:
            sleep(pause)
            pause *= SLOWER
            before, lines = lines, self.read()
            if lines and len(lines) == len(before):
                break
        return lines

    def last(self, work: Work) -> list[Line]:
        """Its last lines once there are any, and no more come; waits some seconds for that.

        Raises CloudError.
        """
        deadline = monotonic() + LATE_SECONDS
        pause = FIRST_POLL_SECONDS
        lines = self.newest(work, LAST_LINES)
        while monotonic() < deadline:
            work.retry.pause(pause)
            pause *= SLOWER
            before, lines = lines, self.newest(work, LAST_LINES)
            if lines and lines == before:
                break
        return lines

    def newest(self, work: Work, count: int) -> list[Line]:
        """Its newest lines, the oldest of them first. Raises CloudError."""
        return [parse(entry) for entry in reversed(self.entries(work, count))]

    def entries(self, work: Work, count: int) -> list[dict[str, object]]:
        """Its newest entries, the newest first, as Cloud Logging has them. Raises CloudError."""
        body: dict[str, Value] = {
            "resourceNames": [f"projects/{self.cloud.environment.project}"],
            "filter": self.filter,
            "orderBy": "timestamp desc",
            "pageSize": count,
        }

        def fetch() -> list[dict[str, object]]:
            answer = self.cloud.session.post(f"{self.cloud.logging}/entries:list", json=body)
            if not answer.ok:
                raise from_http_response(answer)  # type: ignore[no-untyped-call]
            entries: list[dict[str, object]] = answer.json().get("entries", [])
            return entries

        return work.read("the logs", fetch) or []

    def follow(self, work: Work, shown: list[Line]) -> Iterator[Line]:
        """The lines that come after those that were shown, as they come, without end.

        One that can be read late stands behind a younger one. Raises CloudError.
        """
        recent = shown
        first = shown[0].moment if shown else None
        while True:
            work.retry.pause(FOLLOW_SECONDS)
            known = {(line.when, line.id) for line in recent}
            recent = self.since(recent).newest(work, PAGE)
            for line in recent:
                # Those before were left out on purpose.
                if (line.when, line.id) not in known and (not first or line.moment >= first):
                    yield line

    def since(self, recent: list[Line]) -> "Log":
        """This log from shortly before the newest of the lines on; all of it without any."""
        if not recent:
            return self
        newest = max(line.moment for line in recent)
        since = (newest - timedelta(seconds=LATE_SECONDS)).isoformat()
        return replace(self, filter=f'{self.filter} AND timestamp>="{since}"')


class Tail:
    """The lines of a log as they come, each once, also one that can be read late."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.lines: list[Line] = []
        self.known: set[tuple[str, str]] = set()

    def more(self) -> list[Line]:
        """Those that can be read since the last time, of which none is lost: what could not be
        read now is read next time."""
        found = self.log.since(self.lines[-PAGE:]).read()
        new = [line for line in found if (line.when, line.id) not in self.known]
        self.known.update((line.when, line.id) for line in new)
        self.lines += new
        return new

    def rest(self, last: str) -> Iterator[list[Line]]:
        """Those that can be read up to one that is the last, or for the seconds it may be late.
        At once when none could be read before: then it is not for want of time."""
        deadline = monotonic() + LATE_SECONDS
        pause = FIRST_POLL_SECONDS
        yield self.more()
        while self.lines and self.lines[-1].text.strip() != last and monotonic() < deadline:
            sleep(pause)
            pause *= SLOWER
            yield self.more()


def parse(entry: dict[str, object]) -> Line:
    """An entry as the line that a person wants to read."""
    text = entry.get("textPayload")
    payload = entry.get("jsonPayload")
    if text is None and isinstance(payload, dict):
        text = payload.get("message", payload)
        if trace := payload.get("exception") or payload.get("exc_info"):
            text = f"{text}\n{trace}"
    request = entry.get("httpRequest")
    if text is None and isinstance(request, dict):
        parts = ("requestMethod", "requestUrl", "status", "latency")
        text = " ".join(str(request[part]) for part in parts if part in request)
    return Line(
        when=str(entry.get("timestamp", "")),
        severity=str(entry.get("severity", "DEFAULT")),
        text=str(text),
        by_platform=str(entry.get("logName", "")).endswith(SYSTEM),
        id=str(entry.get("insertId", "")),
        fields=payload if isinstance(payload, dict) else {},
    )


def end_of(lines: list[Line]) -> str:
    """The last lines, indented, to stand under an error."""
    texts = "\n".join(line.text.rstrip() for line in lines).splitlines()[-LAST_LINES:]
    return "\n".join(f"  {text}" for text in texts) or "  (nothing was logged)"
