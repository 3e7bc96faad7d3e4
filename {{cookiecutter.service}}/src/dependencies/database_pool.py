"""The pool of connections: who came first is served first.

SQLAlchemy's own pool gives a connection to whoever asks in the moment it is
free, before those who wait for it: under load some wait ten times as long as
others.
"""

import asyncio
from collections import deque
from typing import Any, override

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import Empty, Full


class FairPool(AsyncAdaptedQueuePool):
    """A pool with a line before it, which knows how long the line was."""

    # What it logs of itself is SQLAlchemy's to say, not the service's.
    _sqla_logger_namespace = "sqlalchemy.pool.FairPool"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.places = self.size() + self._max_overflow
        self.line: deque[asyncio.Future[None]] = deque()
        self.most_waiting = 0

    @override
    def _do_get(self) -> ConnectionPoolEntry:
        if self.places > 0:  # so nobody waits
            self.places -= 1
        else:
            await_only(self._wait())
        try:
            return self._take()
        except BaseException:
            self._leave()
            raise

    def _take(self) -> ConnectionPoolEntry:
        """An idle connection, or a new one: a place is for either."""
        try:
            return self._pool.get(block=False)
        except Empty:
            return super()._do_get()

    @override
    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        try:
            self._pool.put(record, block=False)
        except Full:
            # One above the pool's size. To close it politely would wait.
            try:
                record.invalidate()
            finally:
                self._dec_overflow()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Hands the place to the first in the line."""
        while self.line:
            first = self.line.popleft()
            if not first.done():
                first.set_result(None)
                return
        self.places += 1

    async def _wait(self) -> None:
        """Stands in the line. Raises PoolTimeoutError."""
        turn = asyncio.get_running_loop().create_future()
        self.line.append(turn)
        self.most_waiting = max(self.most_waiting, len(self.line))
        try:
            await asyncio.wait_for(turn, self._timeout)
        except BaseException as error:
            if turn in self.line:
                self.line.remove(turn)
            elif turn.done() and not turn.cancelled():
                self._leave()  # the turn came in the same moment
            if isinstance(error, TimeoutError):
                raise PoolTimeoutError("no connection is free") from error
            raise

    def take_most_waiting(self) -> int:
        """How many waited at once, at most, since this was last asked."""
        most, self.most_waiting = self.most_waiting, len(self.line)
        return most
