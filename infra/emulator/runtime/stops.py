"""When something under way is to end: because it was told to, or because its time is over."""

import threading
import time


class Stop:
    """Told to end with `set`, or by its deadline, or by the one it is within."""

    def __init__(self, seconds: float | None = None, within: "Stop | None" = None):
        self._event = threading.Event()
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._within = within

    def set(self) -> None:
        """Tells it to end."""
        self._event.set()

    @property
    def told(self) -> bool:
        """Whether somebody told it to end."""
        return self._event.is_set() or (self._within is not None and self._within.told)

    @property
    def late(self) -> bool:
        """Whether its time is over."""
        late = self._deadline is not None and time.monotonic() > self._deadline
        return late or (self._within is not None and self._within.late)

    def is_set(self) -> bool:
        """Whether it is to end."""
        return self.told or self.late
