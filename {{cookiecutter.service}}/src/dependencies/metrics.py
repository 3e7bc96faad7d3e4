"""What the service measures of itself: requests by route, the pool, the lag
of the event loop.

Counted here in plain Python, for it is done at every request; sent by
`google_metrics.py`, which is imported on Cloud Run only.
"""

import os
from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from src.dependencies.config import Settings

# Seconds. OpenTelemetry, "Semantic conventions for HTTP metrics".
BOUNDS = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25),
    *(0.5, 0.75, 1, 2.5, 5, 7.5, 10),
)
METHODS = {"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"}
LAG_SECONDS = 0.5
"""How often the event loop is asked how late it is."""

type Labels = tuple[str, str, int]
"""Method, route template, status: few, whatever callers send."""


class Series:
    """The durations of one set of labels."""

    __slots__ = ("counts", "longest", "shortest", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.shortest = float("inf")
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Counts one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        if seconds < self.shortest:
            self.shortest = seconds
        if seconds > self.longest:
            self.longest = seconds


class Requests:
    """How long requests took, since the start of the process."""

    def __init__(self) -> None:
        self.series: dict[Labels, Series] = {}

    def record(
        self, method: str, route: str | None, status: int, seconds: float
    ) -> None:
        """Counts a request; status 0 is one that was never answered."""
        labels = (
            method if method in METHODS else "_OTHER",
            route or "",
            status,
        )
        series = self.series.get(labels)
        if series is None:
            series = self.series[labels] = Series()
        series.add(seconds)


requests = Requests()


class LoopLag:
    """How late the event loop runs what is due: a timer that looks."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Looks from now on, in the running loop."""
        self._wait(get_running_loop())

    def stop(self) -> None:
        """Looks no more."""
        if self._timer:
            self._timer.cancel()

    def take(self) -> float:
        """The worst since this was last asked, in seconds."""
        worst, self.worst = self.worst, 0.0
        return worst

    def _wait(self, loop: AbstractEventLoop) -> None:
        due = loop.time() + LAG_SECONDS
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: AbstractEventLoop, due: float) -> None:
        self.worst = max(self.worst, loop.time() - due)
        self._wait(loop)


@contextmanager
def sending_metrics(settings: Settings, engine: AsyncEngine) -> Iterator[None]:
    """Sends what is measured every minute and at the end, on Cloud Run."""
    if settings.environment == "local" or "K_SERVICE" not in os.environ:
        yield
        return
    from src.dependencies.google_metrics import start_metrics

    lag = LoopLag()
    provider = start_metrics(settings, engine, lag)
    lag.start()
    try:
        yield
    finally:
        lag.stop()
        provider.shutdown(timeout_millis=2_000)
