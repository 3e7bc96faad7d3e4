"""What a person sees: steps with their times, and errors. Nothing else prints."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

WIDTH = 44
ERASE = "\x1b[K"  # to the end of the line


def say(text: str = "") -> None:
    """A line for the person, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """An error, or a warning, on standard error."""
    print(text, file=sys.stderr, flush=True)


def say_meanwhile(text: str) -> None:
    """At a terminal, a line that the next one takes the place of; nothing in a log."""
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - 1
        print(f"\r{text[:room]}{ERASE}", end="" if text else "\r", flush=True)


def spell(seconds: float) -> str:
    """Seconds as people say them: `0.4 s`, `40 s`, `7 min`, `3 min 20 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


@contextmanager
def step(name: str) -> Iterator[Callable[[str], None]]:
    """A line that names what is being done, and, when it is, the seconds it took.

    At a terminal, what is given to the function it yields stands there meanwhile.
    """
    head = f"  {name} ".ljust(WIDTH, ".")
    print(head, end=" ", flush=True)
    started = perf_counter()
    live = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns - len(head) - 2

    def tell(text: str) -> None:
        if live and room > 0:
            line = text.partition("\n")[0]
            print(f"\r{head} {line[:room]}{ERASE}", end="", flush=True)

    try:
        yield tell
    except BaseException:
        tell("")
        print("failed", flush=True)
        raise
    tell("")
    print(f"{perf_counter() - started:5.1f} s", flush=True)
