"""What was called: one entry per call, without the bodies. `GET /emulator/journal` shows it."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

_SIZE = 100_000


@dataclass(frozen=True)
class Entry:
    """One call. `write` is whether it was meant to change anything.

    `milliseconds` is what the emulator took, without the latency and the delays it was told to
    have. `status` is 0 for a call that was cut off before it was carried out. `fault` has the ids
    of the faults that happened to it.
    """

    time: str
    product: str
    method: str
    http: str
    path: str
    status: int
    milliseconds: float
    caller: str
    write: bool
    fault: str = ""


class Journal:
    """The last hundred thousand calls, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_SIZE)
        self._added = 0
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Notes a call."""
        with self._lock:
            self._entries.append(entry)
            self._added += 1

    def to_json(self, since: int = 0, *, writes: bool = False) -> dict[str, Any]:
        """Returns the entries after number `since`, oldest first, and the last one's number."""
        found, last = self._since(since)
        calls = [asdict(entry) for entry in found if entry.write or not writes]
        return {"calls": calls, "last": last}

    def counts(self, since: int = 0) -> dict[str, int]:
        """Returns how many calls, and how many of them writes, came after number `since`."""
        found, last = self._since(since)
        writes = sum(entry.write for entry in found)
        return {"calls": len(found), "writes": writes, "last": last}

    def clear(self) -> None:
        """Forgets everything, and counts from 1 again."""
        with self._lock:
            self._entries.clear()
            self._added = 0

    def _since(self, number: int) -> tuple[list[Entry], int]:
        with self._lock:
            skipped = max(0, number - (self._added - len(self._entries)))
            return list(islice(self._entries, skipped, None)), self._added
