"""The emulator's memory: named JSON documents in one SQLite file, and a folder for big bytes.

Knows nothing of Google's products; what a kind's documents look like is their owner's business.
"""

import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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

# The last character there is: no name that starts with a prefix sorts after prefix + this.
_LAST = "\U0010ffff"


class Conflict(Exception):
    """A document was not at the revision its writer expected."""


class World:
    """Documents by kind and name, kept in a folder. Safe from any thread, whole after a kill."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` gives the time that documents are stamped with; the real one by default."""
        self.folder = folder
        self.blobs = folder / "blobs"
        self.closing = threading.Event()
        self.clock = clock or (lambda: datetime.now(UTC))
        self._lock = threading.RLock()
        self._depth = 0
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

    def get(self, kind: str, name: str) -> Document | None:
        """Returns a copy of a document, or None."""
        row = self._row("SELECT body FROM documents WHERE kind = ? AND name = ?", kind, name)
        return None if row is None else json.loads(row[0])

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
            self._database.execute(
                "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)",
                (kind, name, revision + 1, text),
            )
            return revision + 1

    def delete(self, kind: str, name: str) -> bool:
        """Removes a document; returns whether there was one."""
        with self._lock:
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
        """Returns the time, in UTC."""
        return self.clock()

    def timestamp(self) -> str:
        """Returns the time as Google's JSON writes it: RFC 3339 in UTC, with microseconds."""
        return f"{self.now():%Y-%m-%dT%H:%M:%S.%fZ}"

    def sleep(self, seconds: float) -> bool:
        """Waits, though not beyond `close`; returns False when the world is closing."""
        return not self.closing.wait(seconds)

    def close(self) -> None:
        """Ends every `sleep` and closes the file; documents can no longer be read."""
        self.closing.set()
        with self._lock:
            self._database.close()

    def _row(self, statement: str, *values: str) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._database.execute(statement, values).fetchone()
            return row
