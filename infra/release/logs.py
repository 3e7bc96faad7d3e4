"""What a build, a job or a revision logged, read back through Cloud Logging."""

from dataclasses import dataclass
from time import monotonic, sleep

from infra.cloud import Cloud
from infra.yaml_file import Value

PAGE = 1000
# The end of the name of the log that Cloud Run itself writes.
SYSTEM = "/logs/run.googleapis.com%2Fvarlog%2Fsystem"
LAST_LINES = 20
# An entry can be read a few seconds after it was written, not at once.
LATE_SECONDS = 8
FIRST_POLL_SECONDS = 0.3
SLOWER = 1.5


@dataclass(frozen=True)
class Line:
    """A line of a log; `when` is RFC 3339, as Google writes it. `by_platform`: Cloud Run says it
    of the program."""

    when: str
    severity: str
    text: str
    by_platform: bool = False


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


def parse(entry: dict[str, object]) -> Line:
    """An entry as the line that a person wants to read."""
    text = entry.get("textPayload")
    payload = entry.get("jsonPayload")
    if text is None and isinstance(payload, dict):
        text = payload.get("message", payload)
        if trace := payload.get("exception") or payload.get("exc_info"):
            text = f"{text}\n{trace}"
    return Line(
        when=str(entry.get("timestamp", "")),
        severity=str(entry.get("severity", "DEFAULT")),
        text=str(text),
        by_platform=str(entry.get("logName", "")).endswith(SYSTEM),
    )


def end_of(lines: list[Line]) -> str:
    """The last lines, indented, to stand under an error."""
    texts = "\n".join(line.text.rstrip() for line in lines).splitlines()[-LAST_LINES:]
    return "\n".join(f"  {text}" for text in texts) or "  (nothing was logged)"
