"""What happens while a plan is made and carried out, for whoever tells it to a person or a CI."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from infra.yaml_file import Value

SENSITIVE = "(sensitive)"
"""What is told instead of a value that is secret."""


class Status(StrEnum):
    """How it ended with a resource."""

    OK = "ok"
    CHANGED = "changed"
    FAILED = "failed"
    WAITING = "waiting"
    """Somebody has to do something first, and is told what."""
    BLOCKED = "blocked"
    """Something that it needs failed, waits, or is left out and not as declared."""
    SKIPPED = "skipped"
    """It is left out of the run, and not as declared."""


@dataclass(frozen=True)
class Several:
    """A command is about to begin on several services."""

    services: tuple[str, ...]
    environment: str
    text: str
    """What is done, in a word: Checking, Provisioning."""


@dataclass(frozen=True)
class Begun:
    """A command began on a service."""

    service: str
    environment: str
    project: str
    text: str
    """What is done, in a word: Checking, Provisioning, Destroying."""


@dataclass(frozen=True)
class Started:
    """Work on a resource began."""

    kind: str
    name: str
    doing: str
    service: str = ""


@dataclass(frozen=True)
class Waited:
    """Work on a resource takes long: what is waited for, in seconds, and for how long at most."""

    kind: str
    name: str
    what: str
    seconds: float
    deadline: float
    """0 when there is none."""
    service: str = ""


@dataclass(frozen=True)
class Field:
    """A field that changes."""

    path: str
    old: Value
    new: Value
    reason: str = ""
    """Why it is taken away, where it is."""


@dataclass(frozen=True)
class Finished:
    """It ended with a resource."""

    kind: str
    name: str
    status: Status
    text: str = ""
    seconds: float = 0
    fields: tuple[Field, ...] = ()
    action: str = "none"
    """What was done about it, would be, or was to be: none, create, update, delete, refuse."""
    service: str = ""


@dataclass(frozen=True)
class Ended:
    """A command ended on a service: how many resources ended how, and its exit status."""

    service: str
    environment: str
    counts: Mapping[Status, int]
    seconds: float
    exit_status: int


@dataclass(frozen=True)
class Failure:
    """A command failed before, or besides, any resource."""

    text: str
    exit_status: int


type ResourceEvent = Started | Waited | Finished
type Told = Begun | ResourceEvent | Ended | Failure
type Event = Several | Told
