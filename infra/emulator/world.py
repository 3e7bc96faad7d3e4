"""The emulator's memory: named JSON documents in one SQLite file, and a folder for big bytes.

Knows nothing of Google's products; what a kind's documents look like is their owner's business.
"""

import copy
import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.emulator.clock import Clock

type Document = dict[str, Any]
type Documents = list[Document]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""

_OLDEST = (
    "SELECT name, body FROM documents WHERE kind = ? AND name >= ? AND name < ?"
    " ORDER BY name LIMIT ?"
)
_NEWEST = _OLDEST.replace("ORDER BY name", "ORDER BY name DESC")
_BATCH = 500
_CLOCK = ("emulator", "clock")

# For how many seconds what is written here and now is not seen by `World.seen`.
_LATE: ContextVar[float] = ContextVar("late", default=0.0)

# The last character there is: no name that starts with a prefix sorts after prefix + this.
_LAST = "\U0010ffff"


class Conflict(Exception):
    """A document was not at the revision its writer expected."""


class World:
    """Documents by kind and name, kept in a folder. Safe from any thread, whole after a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs"
        self.closing = threading.Event()
        self._lock = threading.RLock()
        self._depth = 0
        # What writes that are seen late have replaced, and until when that is still seen.
        self._unseen: dict[tuple[str, str], list[tuple[float, Document | None]]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.blobs.mkdir(exist_ok=True)
        for left_over in self.blobs.glob("*.part"):
            left_over.unlink(missing_ok=True)
        self._database = sqlite3.connect(
            folder / "world.sqlite", isolation_level=None, check_same_thread=False
        )
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute(_SCHEMA)
        # A clock that was moved goes on from there: time does not go back at a restart.
        self.clock = Clock((self.get(*_CLOCK) or {}).get("offset", 0))

    def get(self, kind: str, name: str) -> Document | None:
        """Returns a copy of a document, or None."""
        row = self._row("SELECT body FROM documents WHERE kind = ? AND name = ?", kind, name)
        return None if row is None else json.loads(row[0])

    def seen(self, kind: str, name: str) -> Document | None:
        """Returns a document as the rest of the cloud sees it: as it was, while a write is late."""
        if (kind, name) not in self._unseen:
            return self.get(kind, name)
        now = self.clock.time()
        with self._lock:
            for until, before in self._unseen[kind, name]:
                if now < until:
                    return copy.deepcopy(before)
            return self.get(kind, name)

    @contextmanager
    def late(self, seconds: float) -> Iterator[None]:
        """What this context writes inside is not `seen` before some seconds are over."""
        token = _LATE.set(seconds)
        try:
            yield
        finally:
            _LATE.reset(token)

    def revision(self, kind: str, name: str) -> int:
        """Returns how often a document has been put since it was created; 0 where there is none."""
        row = self._row("SELECT revision FROM documents WHERE kind = ? AND name = ?", kind, name)
        return 0 if row is None else int(row[0])

    def put(self, kind: str, name: str, body: Document, *, expect: int | None = None) -> int:
        """Stores a document and returns its revision.

        `expect` is the revision it must be at (0: it must not exist); Conflict is raised if not.
        """
        text = json.dumps(body, separators=(",", ":"))
        with self.transaction():
            revision = self.revision(kind, name)
            if expect is not None and revision != expect:
                raise Conflict(f"{kind} {name} is at revision {revision}, not {expect}")
            self._hide(kind, name)
            self._database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)",
                (kind, name, revision + 1, text),
            )
            return revision + 1

    def delete(self, kind: str, name: str) -> bool:
        """Removes a document; returns whether there was one."""
        with self._lock:
            self._hide(kind, name)
            return (
                self._database.execute(
                    "DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name)
                ).rowcount
                > 0
            )

    def list(self, kind: str, prefix: str = "") -> Documents:
        """Returns the documents whose name starts with `prefix`, by name."""
        return [body for _, body in self.items(kind, prefix)]

    def items(
        self, kind: str, prefix: str = "", start: str = "", *, newest_first: bool = False
    ) -> Iterator[tuple[str, Document]]:
        """Gives names and documents in order of name, those from `start` on, read bit by bit."""
        select = _NEWEST if newest_first else _OLDEST
        low, high = max(prefix, start), prefix + _LAST
        while True:
            with self._lock:
                rows = self._database.execute(select, (kind, low, high, _BATCH)).fetchall()
            for name, body in rows:
                yield name, json.loads(body)
            if len(rows) < _BATCH:
                return
            low, high = (low, rows[-1][0]) if newest_first else (rows[-1][0] + "\0", high)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is kept, or none of it; nobody else reads or writes meanwhile.

        May be nested: the outermost one decides.
        """
        with self._lock:
            self._depth += 1
            try:
                if self._depth == 1:
                    self._database.execute("BEGIN IMMEDIATE")
                yield
            except BaseException:
                if self._depth == 1 and self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            else:
                if self._depth == 1:
                    self._database.execute("COMMIT")
            finally:
                self._depth -= 1

    def put_blob(self, name: str, content: bytes) -> Path:
        """Stores bytes under a name of one path segment, whole or not at all."""
        descriptor, partial = tempfile.mkstemp(suffix=".part", dir=self.blobs)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        path = self.blobs / name
        Path(partial).replace(path)
        return path

    def now(self) -> datetime:
        """Returns the time of the cloud, in UTC, as a stamp for what is made now."""
        return self.clock.now()

    def timestamp(self) -> str:
        """Returns the time as Google's JSON writes it: RFC 3339 in UTC, with microseconds."""
        return f"{self.now():%Y-%m-%dT%H:%M:%S.%fZ}"

    def sleep(self, seconds: float) -> bool:
        """Waits in the cloud's time, not beyond `close`; returns False when it is closing."""
        return self.clock.sleep(seconds)

    def pause(self, seconds: float) -> bool:
        """Waits in real time, as `sleep` does: for who looks whether real work has ended."""
        return not self.closing.wait(seconds)

    def advance(self, target: float) -> None:
        """Moves the clock that stands still (see Clock.advance), for good."""
        self.clock.advance(target)
        self.put(*_CLOCK, {"offset": self.clock.offset})

    def end(self) -> None:
        """Ends every `sleep` and `pause`, before `close`."""
        self.closing.set()
        self.clock.close()

    def close(self) -> None:
        """Ends all waiting and closes the file; documents can no longer be read."""
        self.end()
        with self._lock:
            self._database.close()

    def _hide(self, kind: str, name: str) -> None:
        """Notes what a late write replaces."""
        if seconds := _LATE.get():
            waiting = (self.clock.time() + seconds, self.get(kind, name))
            self._unseen.setdefault((kind, name), []).append(waiting)

    def _row(self, statement: str, *values: str) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
            return row
