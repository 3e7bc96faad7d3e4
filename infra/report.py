"""What a person sees: steps with their times, and errors. Nothing else prints."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from time import perf_counter
from typing import TextIO

WIDTH = 44
ERASE = "\x1b[K"  # to the end of the line
RESET = "\x1b[0m"
NARROWEST = 20
# Escape sequences (ECMA-48), and what else moves a terminal's cursor.
ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


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


# Whether of a log only the line that is the last stands behind a step, while it is.
IN_BRIEF = ContextVar("in brief", default=False)


@contextmanager
def logs_in_brief() -> Iterator[None]:
    """Shows no log of the steps inside: of one that fails, its error has the last lines."""
    before = IN_BRIEF.set(True)
    try:
        yield
    finally:
        IN_BRIEF.reset(before)


class Step:
    """The line of a step that is under way, which stays the last one while it is."""

    def __init__(self, name: str) -> None:
        self.head = f"  {name} ".ljust(WIDTH, ".")
        self.is_live = sys.stdout.isatty()
        self.room = shutil.get_terminal_size().columns - len(self.head) - 2
        self.text = ""
        self.is_open = False
        """Whether the cursor stands behind the head."""

    def __call__(self, text: str) -> None:
        """At a terminal, what stands behind the name meanwhile."""
        self.text = text.partition("\n")[0]
        if self.is_live and self.room > 0:
            print(f"\r{self.head} {self.text[: self.room]}{ERASE}", end="", flush=True)

    def begin(self) -> None:
        """Names it; the line is not ended."""
        if not self.is_open:
            print(self.head, end=" ", flush=True)
        self.is_open = True

    def log(self, text: str) -> None:
        """Lines of a log, above its own; in a log, where that can't be moved, below it."""
        if IN_BRIEF.get():
            self(plain(text).rstrip().rpartition("\n")[2].strip())
            return
        if self.is_live:
            print("\r", end=ERASE)
        elif self.is_open:
            print()
        self.is_open = False
        for line in plain(text).splitlines():
            print(f"    {line}")
        if self.is_live:
            self.begin()
            self(self.text)
        sys.stdout.flush()

    def end(self, text: str) -> None:
        """Ends its line with a word."""
        self("")
        self.begin()
        print(text, flush=True)


def plain(text: str) -> str:
    """A program's output without what only a terminal of its own would take: colours, and lines
    that are written over."""
    lines = (
        line.rstrip("\r").rpartition("\r")[2] for line in ANSI.sub("", text.rstrip()).split("\n")
    )
    return "\n".join(CONTROL.sub("", line) for line in lines)


@contextmanager
def step(name: str) -> Iterator[Step]:
    """A line that names what is being done, and, when it is, the seconds it took.

    What it yields is called with what stands there meanwhile, at a terminal, and shows a log.
    """
    started = perf_counter()
    line = Step(name)
    line.begin()
    try:
        yield line
    except BaseException:
        line.end("failed")
        raise
    line.end(f"{perf_counter() - started:5.1f} s")
