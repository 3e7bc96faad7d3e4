"""What programs print, as Cloud Logging's entries.

Source: Google Cloud, "Structured logging" and "Logging and viewing logs in Cloud Run". Entries go
to a sink, from one thread, so that neither a program nor the gateway ever waits for it.
"""

import contextlib
import json
import queue
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.emulator.runtime.processes import Stream

type Entry = dict[str, Any]
type Sink = Callable[[Sequence[Entry]], None]

PREFIX = "logging.googleapis.com/"
SEVERITIES = [
    "DEFAULT",
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARNING",
    "ERROR",
    "CRITICAL",
    "ALERT",
    "EMERGENCY",
]  # in their order
# Fields of a JSON line that Logging takes out of the payload, and where it puts them.
MOVED = {
    f"{PREFIX}trace": "trace",
    f"{PREFIX}spanId": "spanId",
    f"{PREFIX}trace_sampled": "traceSampled",
    f"{PREFIX}insertId": "insertId",
    f"{PREFIX}labels": "labels",
    f"{PREFIX}operation": "operation",
    f"{PREFIX}sourceLocation": "sourceLocation",
    "httpRequest": "httpRequest",
}
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class Origin:
    """Who writes: a project's monitored resource, and labels of the entry itself."""

    project: str
    resource: str
    labels: Mapping[str, str]
    entry_labels: Mapping[str, str] = field(default_factory=dict)

    def entry(self, log: str, severity: str = "DEFAULT", **fields: Any) -> Entry:
        """An entry of one of the resource's logs, such as `run.googleapis.com/stdout`."""
        return {
            "logName": f"projects/{self.project}/logs/{log.replace('/', '%2F')}",
            "resource": {"type": self.resource, "labels": {**self.labels}},
            "timestamp": now(),
            "severity": severity,
            "insertId": uuid.uuid4().hex[:20],
            "labels": {**self.entry_labels},
            **fields,
        }


class LogWriter:
    """Takes entries from any thread and gives them to the sink in batches."""

    def __init__(self, sink: Sink):
        self._sink = sink
        self._queue: queue.SimpleQueue[Entry | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="logs", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def write(self, *entries: Entry) -> None:
        """Returns at once."""
        for entry in entries:
            self._queue.put(entry)

    def flush(self, seconds: float = 5.0) -> None:
        """Waits until what was given so far is written."""
        done = threading.Event()
        self._queue.put(done)
        done.wait(seconds)

    def stop(self) -> None:
        """Writes what is left."""
        self._queue.put(None)
        self._thread.join(5.0)

    def _work(self) -> None:
        running = True
        while running:
            batch: list[Entry] = []
            waiting: list[threading.Event] = []
            item = self._queue.get()
            while True:
                if item is None:
                    running = False
                elif isinstance(item, threading.Event):
                    waiting.append(item)
                else:
                    batch.append(item)
                if not running or len(batch) >= MOST_AT_ONCE or self._queue.empty():
                    break
                item = self._queue.get()
            if batch:
                # A sink that fails must not end the writing: the next batch may fit again.
                with contextlib.suppress(Exception):
                    self._sink(batch)
            for event in waiting:
                event.set()


def line_entry(origin: Origin, stream: Stream, line: str, product: str = "run") -> Entry:
    """The entry of a printed line: an object in JSON is taken apart, anything else is text."""
    log = f"{product}.googleapis.com/{stream}"
    payload = _payload(line)
    if payload is None:
        return origin.entry(log, textPayload=line)
    entry = origin.entry(log, severity=_severity(payload.pop("severity", None)))
    for name, target in MOVED.items():
        if name in payload:
            value = payload.pop(name)
            entry[target] = {**entry["labels"], **value} if target == "labels" else value
    if (time := payload.pop("time", payload.pop("timestamp", None))) is not None:
        entry["timestamp"] = _time(time) or entry["timestamp"]
    return {**entry, "jsonPayload": payload}


def now() -> str:
    """The time as Google writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _payload(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        payload = json.loads(line)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None


def _severity(value: object) -> str:
    name = str(value).upper()
    return name if name in SEVERITIES else "DEFAULT"


def _time(value: object) -> str | None:
    """An RFC 3339 time in Google's spelling; None for what is none."""
    with contextlib.suppress(ValueError):
        time = datetime.fromisoformat(str(value).replace(" ", "T"))
        if time.tzinfo is not None:
            return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return None
