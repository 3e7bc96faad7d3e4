"""What a person sees: steps with their times, and errors. Nothing else prints."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from time import perf_counter
from typing import TextIO

WIDTH = 44
ERASE = "\x1b[K"  # to the end of the line
RESET = "\x1b[0m"
NARROWEST = 20


class Colour(StrEnum):
    """A colour, as terminals take it (ECMA-48)."""

    RED = "\x1b[31m"
    GREEN = "\x1b[32m"
    YELLOW = "\x1b[33m"
    MAGENTA = "\x1b[35m"
    CYAN = "\x1b[36m"
    BLUE = "\x1b[94m"


def is_coloured(stream: TextIO) -> bool:
    """Whether colours are shown there: at a terminal, unless NO_COLOR; elsewhere with FORCE_COLOR.

    NO_COLOR is that of no-color.org: set to anything but nothing.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour | None) -> str:
    """The text in a colour, where standard output shows colours."""
    return f"{colour}{text}{RESET}" if colour and is_coloured(sys.stdout) else text


def fold(text: str, indent: int, hang: int = 0) -> list[str]:
    """The text in lines that, so far from the left, fit the terminal; in a log, as it is.

    All but the first are `hang` further from the left.
    """
    room = shutil.get_terminal_size().columns - indent
    if not sys.stdout.isatty() or room < NARROWEST:
        return [text]
    lines = textwrap.wrap(
        text,
        room,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines or [text]


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
