"""What a person sees: steps with their times, and errors. Nothing else prints."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

WIDTH = 44


def say(text: str = "") -> None:
    """A line for the person, at once."""
    print(text, flush=True)


def complain(text: str) -> None:
    """An error, or a warning, on standard error."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(name: str) -> Iterator[None]:
    """A line that names what is being done, and, when it is, the seconds it took."""
    print(f"  {name} ".ljust(WIDTH, "."), end=" ", flush=True)
    started = perf_counter()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{perf_counter() - started:5.1f} s", flush=True)
