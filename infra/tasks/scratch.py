"""What a command makes for itself alone and puts away at its end, whatever the end is."""

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event
from time import sleep

from infra.report import say

REMOVALS = 20
PAUSE_SECONDS = 0.1


@contextmanager
def putting_away() -> Iterator[ExitStack]:
    """What was begun in the block is ended after it; a second Ctrl-C does not keep it from that."""
    put_away = ExitStack()
    try:
        yield put_away
    finally:
        # Windows has no SIGHUP.
        hangup = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []
        numbers = [signal.SIGINT, signal.SIGTERM, *hangup]
        before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
        try:
            put_away.close()
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder, removed with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder, into which a program that was interrupted may still write for a moment."""
    for _ in range(REMOVALS):
        with suppress(OSError):
            shutil.rmtree(folder)
            return
        sleep(PAUSE_SECONDS)
    shutil.rmtree(folder)


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """cookiecutter, uv and others leave files where temporary ones go."""
    with ExitStack() as restored:
        for name in ("TMPDIR", "TEMP", "TMP"):
            restored.enter_context(variable(name, str(folder)))
        before, tempfile.tempdir = tempfile.tempdir, None
        try:
            yield
        finally:
            tempfile.tempdir = before


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """An environment variable, for the length of the block."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def wait_for_interrupt(invitation: str) -> None:
    """Waits for Ctrl-C at a terminal; without one there is nobody to press it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    say(f"  {invitation}")
    try:
        Event().wait()
    except KeyboardInterrupt:
        say()
