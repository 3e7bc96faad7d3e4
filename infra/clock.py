"""The time that waiting is measured in: this machine's, or an emulator's that passes faster."""

from threading import Event
from time import monotonic
from typing import Protocol


class Clock(Protocol):
    """A time that only goes forward."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Returns when that time has passed."""


class SystemClock:
    """This machine's time."""

    def now(self) -> float:
        """Seconds since some moment."""
        return monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleeps, whatever happens."""
        Event().wait(seconds)


SYSTEM = SystemClock()


def pause(clock: Clock, seconds: float, stop: Event) -> bool:
    """Sleeps until that time has passed or the flag is set. Returns whether it is."""
    if clock is SYSTEM:
        return stop.wait(seconds)
    if not stop.is_set():
        clock.sleep(seconds)
    return stop.is_set()
