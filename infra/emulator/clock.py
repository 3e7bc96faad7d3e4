"""The time of the emulated cloud: this machine's, or one that stands still until it is moved.

Only what the cloud would decide by its own time belongs here. Processes that really run (probes,
the grace after SIGTERM, latency) take real time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime, timedelta

_SECOND = 1_000_000
_PATIENCE = 30.0
# The first second of the year 9000: a date can still be made of what comes a while after it.
LAST = 221_845_392_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that never goes back. Safe from any thread."""

    def __init__(self, offset: int = 0) -> None:
        """`offset`: by how many microseconds it is ahead of this machine's clock."""
        self._offset = offset
        self._frozen: int | None = None
        self._closed = False
        self._condition = threading.Condition()
        self._sleepers: dict[object, int] = {}
        # How many threads do something that takes real time, and whether this one does.
        self._working = 0
        self._mine = threading.local()

    @property
    def virtual(self) -> bool:
        """Whether it stands still."""
        return self._frozen is not None

    @property
    def moved(self) -> bool:
        """Whether it differs from this machine's."""
        return self.virtual or self._offset != 0

    @property
    def offset(self) -> int:
        """By how many microseconds it is ahead of this machine's clock."""
        with self._condition:
            return self._read() - _machine()

    def time(self) -> float:
        """Returns the time in seconds since 1970, in UTC."""
        with self._condition:
            return self._read() / _SECOND

    def now(self) -> datetime:
        """Returns the time as a stamp for what is made now.

        A clock that stands still goes on by a microsecond, so that what is made later has a later
        stamp, and sorts as such.
        """
        with self._condition:
            if self._frozen is not None:
                self._frozen += 1
            return _datetime(self._read())

    def of_machine(self, stamp: datetime) -> datetime:
        """Returns what this clock showed when the machine's did `stamp`; frozen, what it shows."""
        with self._condition:
            if self._frozen is None:
                return stamp + timedelta(microseconds=self._offset)
        return self.now()

    def freeze(self) -> None:
        """Makes it stand still."""
        with self._condition:
            if self._frozen is None:
                self._frozen = self._read()
            self._condition.notify_all()

    def run(self) -> None:
        """Lets it run again, from the time that it shows."""
        with self._condition:
            if self._frozen is not None:
                self._offset = self._frozen - _machine()
                self._frozen = None
            self._condition.notify_all()

    def advance(self, target: float) -> None:
        """Moves a clock that stands still on to a time in seconds since 1970, if it is later.

        Who has slept until then goes on. Returns when the real work that is under way has ended,
        and at the latest after as much real time as the clock was moved (half a minute at most):
        so the cloud's time does not run away from a database that is being started.
        """
        with self._condition:
            if self._frozen is None:
                raise ValueError("the clock runs by itself")
            moved = round(target * _SECOND) - self._frozen
            if moved <= 0:
                return
            self._frozen += moved
            reached = self._frozen
            self._condition.notify_all()
            limit = min(moved / _SECOND, _PATIENCE)
            self._condition.wait_for(lambda: self._settled(reached), limit)

    def sleep(self, seconds: float) -> bool:
        """Waits for some seconds; returns False when the clock was closed before."""
        return self.sleep_until(self.time() + seconds)

    def sleep_until(self, moment: float) -> bool:
        """Waits for a time in seconds since 1970; returns False when it was closed before."""
        key, target = object(), round(moment * _SECOND)
        with self._condition, self.resting():
            self._sleepers[key] = target
            try:
                while not self._closed and (left := target - self._read()) > 0:
                    self._condition.wait(None if self.virtual else left / _SECOND)
            finally:
                del self._sleepers[key]
            return not self._closed

    def begin_work(self, work: Callable[[], object], name: str) -> None:
        """Does something in a thread of its own that takes real time, which `advance` allows it."""
        # It counts from now on, not from when the thread has come to life.
        self._count(1)

        def run() -> None:
            self._mine.working = True
            try:
                work()
            finally:
                self._count(-1)

        context = copy_context()
        threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Inside, the thread waits for something else than real work."""
        working = getattr(self._mine, "working", False)
        self._count(-working)
        try:
            yield
        finally:
            self._count(working)

    def close(self) -> None:
        """Ends every sleep."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _count(self, change: int) -> None:
        with self._condition:
            self._working += change
            self._condition.notify_all()

    def _settled(self, reached: int) -> bool:
        due = any(target <= reached for target in self._sleepers.values())
        return self._closed or not (due or self._working)

    def _read(self) -> int:
        return _machine() + self._offset if self._frozen is None else self._frozen


def parse(text: str) -> float:
    """Returns an ISO 8601 time in seconds since 1970, in UTC if it names no zone. Or ValueError."""
    given = datetime.fromisoformat(text)
    return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()


def text(seconds: float) -> str:
    """Returns seconds since 1970 as Google writes a time."""
    return f"{_datetime(round(seconds * _SECOND)):%Y-%m-%dT%H:%M:%S.%fZ}"


def _machine() -> int:
    return time.time_ns() // 1000


def _datetime(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
