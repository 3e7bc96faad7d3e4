"""Which tables were locked against their users during a migration, for how long, and who waited.

PostgreSQL keeps no record of its locks: they are looked at, many times a second. The times are
therefore right to a twentieth of a second, and a shorter lock is most likely not seen.

https://www.postgresql.org/docs/current/explicit-locking.html
"""

from contextlib import suppress
from dataclasses import dataclass
from subprocess import Popen
from threading import Thread
from types import TracebackType
from typing import Self

from infra.rehearsal.psql import PARTED, Psql

EVERY_SECONDS = 0.05
# Those that keep others from writing, or from reading too.
# The strongest first.
BLOCKING = {
    "AccessExclusiveLock": "reads and writes",
    "ExclusiveLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ShareLock": "writes",
}
LOOK = """
SELECT extract(epoch FROM clock_timestamp()), held.pid, held.granted, c.relname, held.mode,
    extract(epoch FROM clock_timestamp() - held.waitstart),
    left(regexp_replace(a.query, '\\s+', ' ', 'g'), 120)
FROM pg_locks held
JOIN pg_class c ON c.oid = held.relation AND c.relkind IN ('r', 'p', 'm')
JOIN pg_namespace n ON n.oid = c.relnamespace
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
JOIN pg_stat_activity a ON a.pid = held.pid AND a.backend_type = 'client backend'
WHERE held.locktype = 'relation' AND a.datname = current_database()
    AND (NOT held.granted OR held.mode IN ('AccessExclusiveLock', 'ExclusiveLock',
        'ShareRowExclusiveLock', 'ShareLock'))
"""
TABLES = """
SELECT c.oid, c.relname, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND n.nspname NOT LIKE 'pg_temp%';
"""


@dataclass(frozen=True)
class Seen:
    """A lock on a table, held or waited for, at a moment; times are in seconds."""

    at: float
    pid: int
    granted: bool
    table: str
    mode: str
    waited: float
    query: str

    @classmethod
    def parse(cls, line: str) -> "Seen":
        """A row of LOOK."""
        at, pid, granted, table, mode, waited, query = line.split(PARTED, 6)
        return cls(float(at), int(pid), granted == "t", table, mode, float(waited or 0), query)


@dataclass(frozen=True)
class Lock:
    """A table that was locked against others."""

    table: str
    mode: str
    seconds: float
    """For how long, as far as was seen."""
    waiting: int
    """How many statements waited for the table meanwhile."""
    waited: float
    """For how long the one that waited longest did, in seconds."""
    query: str
    """The statement it was seen with first."""

    @property
    def keeps_out(self) -> str:
        """What others could not do: "writes", or "reads and writes"."""
        return BLOCKING[self.mode]


class Sampler:
    """Looks at the locks from the beginning of the block to its end."""

    def __init__(self, psql: Psql) -> None:
        self._psql = psql
        self._seen: list[Seen] = []
        self._tables: dict[str, tuple[str, str]] = {}
        self._process: Popen[str] | None = None
        self._thread: Thread | None = None
        self.rewritten: list[str] = []
        """The tables that got new files, row by row: written anew, or emptied."""

    def __enter__(self) -> Self:
        self._tables = self._files()
        self._process = self._psql.watch(LOOK, EVERY_SECONDS)
        self._thread = Thread(target=self._read, args=(self._process,), name="locks")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None and self._thread is not None  # noqa: S101
        self._process.terminate()
        self._thread.join()
        self._process.wait()
        if error is None:
            now = self._files()
            changed = (oid for oid, table in self._tables.items() if now.get(oid, table) != table)
            self.rewritten = sorted(
                {now[oid][0] for oid in changed if now[oid][1] != self._tables[oid][1]}
            )

    @property
    def locks(self) -> list[Lock]:
        """The locks that were held, the longest first."""
        return summary(self._seen)

    def _read(self, process: Popen[str]) -> None:
        assert process.stdout is not None  # noqa: S101
        with process.stdout as lines:
            for line in lines:
                # The last line may be cut off where psql was ended.
                with suppress(ValueError):
                    self._seen.append(Seen.parse(line.rstrip("\n")))

    def _files(self) -> dict[str, tuple[str, str]]:
        """Of each table, by its id, the name and the number of its file."""
        return {oid: (name, file) for oid, name, file in self._psql.ask(TABLES)}


def summary(seen: list[Seen]) -> list[Lock]:
    """What was seen moment by moment, as locks: one for each table and kind that a backend held."""
    held: dict[tuple[int, str, str], list[Seen]] = {}
    for each in seen:
        if each.granted and each.mode in BLOCKING:
            held.setdefault((each.pid, each.table, each.mode), []).append(each)
    locks = []
    for (pid, table, mode), moments in held.items():
        first, last = moments[0].at, moments[-1].at
        waits = [
            each
            for each in seen
            if not each.granted
            and each.table == table
            and each.pid != pid
            and first <= each.at <= last + EVERY_SECONDS
        ]
        locks.append(
            Lock(
                table,
                mode,
                seconds=last - first + EVERY_SECONDS,
                waiting=len({each.pid for each in waits}),
                waited=max((each.waited for each in waits), default=0.0),
                query=moments[0].query,
            )
        )
    return sorted(without_weaker(locks), key=lambda lock: -lock.seconds)


def without_weaker(locks: list[Lock]) -> list[Lock]:
    """Those of the locks that a stronger one on the same table did not outlast."""
    strength = list(BLOCKING)
    return [
        lock
        for lock in locks
        if not any(
            other.table == lock.table
            and strength.index(other.mode) < strength.index(lock.mode)
            and other.seconds + EVERY_SECONDS >= lock.seconds
            for other in locks
        )
    ]
