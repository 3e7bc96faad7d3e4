"""What the tasks share: their options in words, and how a failure ends a command."""

import logging
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import takewhile
from pathlib import Path
from types import FrameType

from invoke.exceptions import Exit, Failure, ParseError
from invoke.util import log

from infra.project import ProjectError
from infra.release import ReleaseError
from infra.report import complain
from infra.retry import CloudError
from infra.tasks.local_cloud import LocalCloudError
from infra.upgrade import UpgradeError

ENV = "The environment: a file in environments/. Default: INVOKE_ENV, else local."
SERVICE = "The folder of the service. Default: the one you are in."
SERVICES = "The folder of the service, or of several: 'services/*'. Default: the one you are in."
LOCK_TIMEOUT = "Seconds to wait while another run holds the lease. Default: 0, stop at once."
PACKAGE = Path(__file__).parents[1]
DEBUG = "--debug"
USAGE = 2
FAILED = 1
INTERRUPTED = 130


def friendly[**P, T](task: Callable[P, T]) -> Callable[P, T]:
    """Ends the command with a line and an exit status instead of a traceback, which is for
    `invoke --debug`."""

    @wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return task(*args, **kwargs)
        except (Exit, Failure, ParseError):
            raise
        except KeyboardInterrupt:
            raise Exit("interrupted", code=INTERRUPTED) from None
        except Exception as error:
            if is_debugging():
                complain(traceback.format_exc().rstrip())
            raise Exit(*ending(error)) from error

    return run


def is_debugging() -> bool:
    """Whether invoke was called with --debug, or INVOKE_DEBUG is set."""
    # Behind a task's name invoke takes the option, and turns nothing on.
    words = list(takewhile(lambda word: word != "--", sys.argv[1:]))
    return log.isEnabledFor(logging.DEBUG) or DEBUG in words


def ending(error: Exception) -> tuple[str, int]:
    """What a command that failed says last, and its exit status."""
    if isinstance(error, ProjectError):
        return f"error: {error}", USAGE
    if isinstance(error, LocalCloudError | ReleaseError | CloudError | UpgradeError):
        return f"error: {error}", FAILED
    words = [word for word in sys.argv[1:] if word != DEBUG]
    again = shlex.join(["invoke", DEBUG, *words])
    if isinstance(error, OSError):
        return f"error: {error}. To see where it happened: {again}", FAILED
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"error: this is a bug of cookiecutter-cloudrun: {said} ({place_of(error)}). "
        f"Please report it, with what this prints: {again}",
        FAILED,
    )


def place_of(error: Exception) -> str:
    """The file and line of ours that an exception came by last."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]
    place = ours[-1] if len(ours) > 1 else frames[-1]
    return f"{Path(place.filename).name}:{place.lineno}"


def status_of(error: BaseException) -> int:
    """What a command exits with that ends because of an error."""
    if isinstance(error, Exit):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return ending(error)[1] if isinstance(error, Exception) else FAILED


class Terminated(KeyboardInterrupt):
    """SIGTERM, or a closed terminal: unlike Ctrl-C, our children need not have been told."""


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """Makes SIGTERM, and a closed terminal, stop what runs as Ctrl-C does, so that everything is
    put away. Raises Terminated."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Terminated

    # Windows has no SIGHUP.
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
