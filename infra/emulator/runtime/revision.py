"""The instances of a revision: as many as the requests need, between its minimum and maximum.

Lives on the runtime's loop. A request that finds no room waits for an instance that is starting,
or for its turn; the gateway says what it makes of it when that takes too long.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine
from typing import Any

from infra.emulator.runtime.instance import Instance, Spec, StartError
from infra.emulator.runtime.logs import LogWriter
from infra.emulator.runtime.settings import Settings

# Seconds before an instance that must be there is started again after it crashed.
RESTARTS = (0.2, 1.0, 3.0, 10.0)


class BusyError(Exception):
    """Every instance there may be is full, and stayed so for as long as a request may wait."""


class Revision:
    """Starts, gives out and ends instances of one revision."""

    def __init__(self, spec: Spec, logs: LogWriter, settings: Settings):
        self.spec = spec
        self._logs = logs
        self._settings = settings
        self._instances: list[Instance] = []
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._serves = False
        self._stop_told = asyncio.Event()
        self._crashes = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def instances(self) -> list[Instance]:
        """Those that serve or are about to."""
        return [one for one in self._instances if one.state in ("starting", "ready")]

    async def check(self) -> None:
        """Returns when an instance is ready, starting one if need be. Raises StartError."""
        if not self._ready():
            await self._start(self._add())

    def serve(self, serves: bool) -> None:
        """Whether the revision gets requests: then its minimum of instances is kept."""
        self._serves = serves
        if serves:
            self._keep()
        else:
            self._shrink()

    async def acquire(self) -> Instance:
        """An instance with room for one more request, until it is given back with `release`.

        Raises StartError when none can be started, BusyError when none has room.
        """
        if (instance := self._free()) is not None:
            instance.in_flight += 1
            return instance
        turn: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._grow()
        try:
            while True:
                done, _ = await asyncio.wait((turn,), timeout=self._settings.queue_seconds)
                if done:
                    return turn.result()
                if not self._starting():
                    raise BusyError
        except BaseException:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            turn.cancel()
            raise

    def release(self, instance: Instance) -> None:
        """Gives an instance back after a request."""
        instance.in_flight -= 1
        self._idle(instance)
        self._feed()

    async def stop(self) -> None:
        """Ends every instance; returns when they are gone."""
        self._stop_told.set()
        if self._timer:
            self._timer.cancel()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(StartError("The revision is being deleted."))
        for instance in self._instances:
            instance.end()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # Counting.

    @property
    def _stopped(self) -> bool:
        return self._stop_told.is_set()

    def _ready(self) -> list[Instance]:
        return [one for one in self._instances if one.state == "ready"]

    def _starting(self) -> list[Instance]:
        return [one for one in self._instances if one.state == "starting"]

    def _free(self) -> Instance | None:
        room = [one for one in self._ready() if one.in_flight < self.spec.concurrency]
        return min(room, key=lambda one: one.in_flight, default=None)

    # Growing.

    def _grow(self) -> None:
        """Starts an instance when those that are starting have too little room."""
        waiting = sum(not turn.done() for turn in self._waiting)
        coming = len(self._starting()) * self.spec.concurrency
        if waiting > coming and len(self.instances) < self.spec.maximum and not self._stopped:
            self._spawn(self._start_for_waiting(self._add()))

    def _keep(self) -> None:
        missing = self.spec.minimum - len(self.instances)
        for _ in range(missing if self._serves and not self._stopped else 0):
            self._spawn(self._start_for_waiting(self._add()))

    def _add(self) -> Instance:
        """A new instance, which counts from now on."""
        instance = Instance(self.spec, self._logs)
        self._instances.append(instance)
        return instance

    async def _start_for_waiting(self, instance: Instance) -> None:
        try:
            await self._start(instance)
        except StartError as error:
            if not self.instances:
                while self._waiting:
                    turn = self._waiting.popleft()
                    if not turn.done():
                        turn.set_exception(error)
            await self._again()

    async def _start(self, instance: Instance) -> None:
        try:
            await instance.start()
        except BaseException as error:
            instance.end()
            # In a task of its own: whoever asked for the start need not wait for the end.
            self._spawn(self._bury(instance))
            if isinstance(error, Exception) and not isinstance(error, StartError):
                raise StartError(f"The emulator could not start it: {error!r}") from error
            raise
        if self._stopped:
            instance.end()
        self._spawn(self._bury(instance))
        self._idle(instance)
        self._feed()

    async def _bury(self, instance: Instance) -> None:
        status = await instance.wait()
        self._instances.remove(instance)
        if not instance.expected_end:
            instance.ended(status)
            self._grow()
            await self._again()

    async def _again(self) -> None:
        """After a crash: has the minimum started again, later and later."""
        pause = RESTARTS[min(self._crashes, len(RESTARTS) - 1)]
        self._crashes += 1
        if self._serves and self.spec.minimum > len(self.instances) and not self._stopped:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_told.wait(), pause)
            self._keep()

    # Giving out, and shrinking.

    def _feed(self) -> None:
        while self._waiting and (instance := self._free()) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                instance.in_flight += 1
                turn.set_result(instance)
        self._grow()

    def _idle(self, instance: Instance) -> None:
        if instance.in_flight == 0:
            instance.idle_since = asyncio.get_running_loop().time()
            self._wait_for_idleness(self._settings.idle_seconds)

    def _wait_for_idleness(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._shrink)

    def _shrink(self) -> None:
        """Ends instances that have been idle for long enough, down to the minimum."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        now, least = asyncio.get_running_loop().time(), self.spec.minimum if self._serves else 0
        for instance in [one for one in self._ready() if one.in_flight == 0]:
            left = instance.idle_since + self._settings.idle_seconds - now
            if len(self._ready()) <= least:
                break
            # The timer may be early by its own resolution.
            if left > 0.01:
                self._wait_for_idleness(left)
                continue
            self._crashes = 0
            instance.end()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._stopped and not self._instances:
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(_retrieve)


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Takes note of a task's failure, which otherwise would be printed."""
    with contextlib.suppress(asyncio.CancelledError):
        task.exception()
