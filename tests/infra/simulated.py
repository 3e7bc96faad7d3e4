"""Processes of ours that share a cloud, its time, and their mortality, inside this one.

Time passes only while everybody waits, to the moment that the first waits for: minutes of backoff
and of propagation take none, and no one's deadline is used up by another's waiting. A process dies
at a call, and its calls fail from then on; nothing of it may catch that.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from threading import Condition
from types import SimpleNamespace
from unittest import mock

from google.api_core.retry import retry_unary
from google.auth.transport.requests import AuthorizedSession

from infra.cloud import Cloud
from infra.emulated_clock import EmulatedClock
from infra.rest import Request, Rest
from tests.infra.disturbances import Kill
from tests.infra.worlds import Died, Send

QUIET = 0.002
"""Real seconds without a call after which nobody is taken to be about to make one."""
STUCK = 1.0
"""Real seconds after which a call is taken to wait for the cloud's time itself."""


class SimulatedClock:
    """The emulated cloud's time, moved on when all who share it wait. Safe from any thread."""

    def __init__(self, host: str) -> None:
        self._cloud = EmulatedClock(host)
        self._cloud.freeze()
        self._now = self._cloud.now()
        self._calls = 0
        self._sleepers: dict[object, float] = {}
        self._changed = Condition()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Returns when that time has passed in the cloud."""
        key, target = object(), self._now + seconds
        with self._changed:
            self._sleepers[key] = target
            while self._now < target:
                if self._changed.wait(STUCK if self._calls else QUIET):
                    continue
                if target <= min(self._sleepers.values()):
                    self._cloud.advance_to(target)
                    self._now = target
            del self._sleepers[key]
            self._changed.notify_all()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Inside, a call is under way."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._calls += change
            self._changed.notify_all()


@dataclass
class Process:
    """One of our processes: what it reaches the cloud with, and where it dies, if it does."""

    cloud: Cloud
    kill: Kill | None = None
    calls: int = 0
    dead: bool = False

    def dies(self) -> bool:
        """Counts a call; returns whether it is the one that the process dies at."""
        if self.dead:
            raise Died
        self.calls += 1
        self.dead = self.kill is not None and self.calls >= self.kill.call
        return self.dead


@dataclass
class Simulation:
    """The processes, by their credentials, and the time they share."""

    clock: SimulatedClock
    processes: dict[int, Process] = field(default_factory=dict)

    @contextmanager
    def living(self, process: Process) -> Iterator[Process]:
        """Inside, the process lives, unless it dies."""
        # What writes is known by its credentials, and what reads is one for each cloud.
        keys = id(process.cloud.credentials), id(process.cloud.rest)
        self.processes.update(dict.fromkeys(keys, process))
        try:
            yield process
        finally:
            for key in keys:
                del self.processes[key]

    @contextmanager
    def running(self) -> Iterator["Simulation"]:
        """Inside, every call of this process's clients is one of the simulation's."""
        write, read = AuthorizedSession.request, Rest.send

        def request(session: AuthorizedSession, *rest: object, **more: object) -> object:
            return self.call(id(session.credentials), partial(write, session, *rest, **more))

        def fetch(rest: Rest, asked: Request) -> object:
            return self.call(id(rest), partial(read, rest, asked))

        time = SimpleNamespace(sleep=self.clock.sleep, monotonic=self.clock.now)
        with (
            mock.patch.object(AuthorizedSession, "request", request),
            mock.patch.object(Rest, "send", fetch),
            # Google's clients retry some reads themselves.
            mock.patch.object(retry_unary, "time", time),
        ):
            yield self

    def call(self, key: int, send: Send) -> object:
        """Makes a call, unless its process dies of it, before or after. Raises Died then."""
        process = self.processes.get(key)
        dies = process is not None and process.dies()
        if dies and process and process.kill and not process.kill.committed:
            raise Died
        with self.clock.calling():
            answer = send()
        if process and process.dead:
            raise Died
        return answer
