"""What the tasks that release have in common: the cloud they call, one at a time, step by step."""

# ruff: noqa: PLC0415

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from infra.release import ReleaseError
from infra.report import Step, complain, spell, step
from infra.tasks.opening import Opened

if TYPE_CHECKING:
    from infra.resources.base import Work


def work_on(opened: Opened, stop: Event | None = None) -> "Work":
    """What the steps call the cloud with."""
    from infra.resources.base import Reads, Work
    from infra.retry import Retry

    # With shared reads, what an API that is not enabled would have is just not there.
    return Work(opened.cloud, Retry(stop or Event()), {}, Reads())


@contextmanager
def releasing(opened: Opened, command: str, lock_timeout: float = 0) -> Iterator["Work"]:
    """The lease of the environment, held to the end of the block, and what to call the cloud with.

    `command` is what runs, for whoever finds it held: `deploy`. Raises LeaseError, and ReleaseError
    when nothing was provisioned, or the lease was lost on the way.
    """
    from infra import lease
    from infra.causes import Cause
    from infra.retry import CloudError, Stopped

    stop = Event()
    name = opened.environment.name
    called = f"invoke {command} --env {name}"
    try:
        with lease.held(
            opened.cloud, called, stop=stop, timeout=lock_timeout, tell=complain
        ) as held:
            try:
                yield work_on(opened, stop)
            except Stopped:
                raise ReleaseError(held.lost or "interrupted") from None
    except CloudError as error:
        if error.cause is Cause.ABSENT and error.doing.endswith("the lease"):
            raise ReleaseError(
                f"there is no bucket {opened.cloud.names.bucket}: run invoke provision --env "
                f"{name} first"
            ) from error
        raise


@contextmanager
def step_of(work: "Work", name: str) -> Iterator[Step]:
    """A step on whose line stands what its calls wait for. Raises Stopped, instead of beginning,
    when the lease is lost."""
    from infra.retry import Stopped

    if work.retry.stop.is_set():
        raise Stopped
    with step(name) as tell:
        work.retry.report = lambda waiting: tell(f"{waiting.what}, {spell(waiting.seconds)}")
        yield tell
