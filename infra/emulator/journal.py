"""What was called: one entry per call, without the bodies. `GET /emulator/journal` shows it."""

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

_SIZE = 100_000


@dataclass(frozen=True)
class Entry:
    """One call. `write` is whether it was meant to change anything."""

    time: str
    product: str
    method: str
    http: str
    path: str
    status: int
    milliseconds: float
    caller: str
    write: bool


class Journal:
    """The last hundred thousand calls."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=_SIZE)
        self._lock = threading.Lock()

    def add(self, entry: Entry) -> None:
        """Notes a call."""
        with self._lock:
            self._entries.append(entry)

    def to_json(self) -> dict[str, Any]:
        """Returns all entries, oldest first."""
        with self._lock:
            return {"calls": [asdict(entry) for entry in self._entries]}

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
