"""Ctrl-C where an exception out of anywhere would lose something: told by a flag, or put off."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
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

    with handled(handle):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Puts Ctrl-C, and what else ends a command, off until the end of the block.

    A process that has just been started is then known to whoever has to end it. Only the main
    thread is ever interrupted: in another one this does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    came: list[int] = []
    try:
        with handled(lambda number, frame: came.append(number)):
            yield
    finally:
        for number in came:
            signal.raise_signal(number)


@contextmanager
def handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Lets the handler take what ends a command: Ctrl-C, SIGTERM, and a terminal that is closed."""
    # Windows has no SIGHUP.
    hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
    numbers = [signal.SIGINT, signal.SIGTERM, *hangup]
    before = {each: signal.signal(each, handle) for each in numbers}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
