"""What the tasks share: their options in words, and how a failure ends a command."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType

from invoke.exceptions import Exit

from infra.project import ProjectError
from infra.release import ReleaseError
from infra.retry import CloudError
from infra.tasks.local_cloud import LocalCloudError

ENV = "The environment: a file in environments/. Default: INVOKE_ENV, else local."
SERVICE = "The folder of the service. Default: the one you are in."
LOCK_TIMEOUT = "Seconds to wait while another run holds the lease. Default: 0, stop at once."
USAGE = 2
FAILED = 1
INTERRUPTED = 130


def friendly[**P, T](task: Callable[P, T]) -> Callable[P, T]:
    """Ends the command with a line and an exit status instead of a traceback."""

    @wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return task(*args, **kwargs)
        except (ProjectError, LocalCloudError, ReleaseError, CloudError) as error:
            raise Exit(f"error: {error}", code=status_of(error)) from error
        except KeyboardInterrupt:
            raise Exit("interrupted", code=INTERRUPTED) from None

    return run


def status_of(error: BaseException) -> int:
    """What a command exits with that ends because of an error."""
    if isinstance(error, Exit):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return USAGE if isinstance(error, ProjectError) else FAILED


@contextmanager
def terminated_is_interrupted() -> Iterator[None]:
    """Makes SIGTERM, and a closed terminal, stop what runs as Ctrl-C does, so that everything is
    put away."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Windows has no SIGHUP.
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
