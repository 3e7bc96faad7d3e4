"""How a task tells what happens: to a person line by line, or with --json to a CI."""

# ruff: noqa: PLC0415

from collections.abc import Iterator
from contextlib import contextmanager

from invoke.exceptions import Exit

from infra.events import Failure
from infra.reporter import Emit, EventWriter, Reporter
from infra.tasks.options import status_of

TAGS = "Only the resources of these tags, with commas between; what they need is only checked."
SKIP_TAGS = "Not the resources of these tags, with commas between."
JSON = "Write events as JSON, one a line (docs/events.schema.json), and nothing else."


@contextmanager
def telling(
    command: str, *, json: bool = False, diff: bool = False, check: bool = False
) -> Iterator[Emit]:
    """Takes the events of a command. With `json` an error is an event too, the last one."""
    if not json:
        with Reporter(diff) as reporter:
            yield reporter
        return
    with EventWriter(command, check=check) as writer:
        try:
            yield writer
        except Exit:
            raise  # it has been told
        except KeyboardInterrupt as error:
            writer(Failure("interrupted", status_of(error)))
            raise
        except Exception as error:
            text = str(error) if is_for_people(error) else f"{type(error).__name__}: {error}"
            writer(Failure(text, status_of(error)))
            raise


def is_for_people(error: Exception) -> bool:
    """Whether an error's text says what was being done and what to do next."""
    from infra.project import ProjectError
    from infra.release import ReleaseError
    from infra.retry import CloudError
    from infra.tasks.local_cloud import LocalCloudError

    return isinstance(error, ProjectError | CloudError | LocalCloudError | ReleaseError)
