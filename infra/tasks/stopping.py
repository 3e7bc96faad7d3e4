"""Ctrl-C while a plan is carried out: nothing more is started, what is in flight is waited for."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType


@contextmanager
def stopping(*stops: Event) -> Iterator[None]:
    """Makes the first Ctrl-C, or SIGTERM, set the flags; the next one ends the command at once.

    An exception could be raised anywhere, between a write and the note of it too; a flag is not.
    """
    called = Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if called.is_set():
            raise KeyboardInterrupt
        called.set()
        for stop in stops:
            stop.set()

    # Windows has no SIGHUP, which a terminal that is closed sends.
    hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    numbers = [signal.SIGINT, signal.SIGTERM, *hangup]
    before = {each: signal.signal(each, handle) for each in numbers}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
