"""What happens while a plan is carried out, for whoever tells it to a person."""

from dataclasses import dataclass
from enum import StrEnum

from infra.yaml_file import Value


class Status(StrEnum):
    """How it ended with a resource."""

    OK = "ok"
    CHANGED = "changed"
    FAILED = "failed"
    WAITING = "waiting"
    """Somebody has to do something first, and is told what."""
    BLOCKED = "blocked"
    """Something that it needs failed, or waits."""


@dataclass(frozen=True)
class Started:
    """Work on a resource began."""

    kind: str
    name: str
    doing: str


@dataclass(frozen=True)
class Waited:
    """Work on a resource takes long: what is waited for, in seconds, and for how long at most."""

    kind: str
    name: str
    what: str
    seconds: float
    deadline: float


@dataclass(frozen=True)
class Field:
    """A field that changes."""

    path: str
    old: Value
    new: Value


@dataclass(frozen=True)
class Finished:
    """It ended with a resource."""

    kind: str
    name: str
    status: Status
    text: str = ""
    seconds: float = 0
    fields: tuple[Field, ...] = ()


type Event = Started | Waited | Finished
