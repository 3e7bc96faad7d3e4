"""A plan → what a picture of it shows: a box for each resource, an arrow from each of its needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from infra.plan import Action, Change, Plan
from infra.resources.base import Resource


class State(StrEnum):
    """How a resource is to what is declared; the text is what the legend says."""

    DECLARED = "as declared"
    CREATE = "to create"
    CHANGE = "to change"
    DELETE = "to delete"
    REFUSED = "refused"
    WAITING = "waits for somebody"
    UNREAD = "could not be read"


@dataclass(frozen=True)
class Colours:
    """The colours of a state: of a box, its border, and the text in it."""

    fill: str
    border: str
    text: str


COLOURS = {
    State.DECLARED: Colours("#e6f4ea", "#34a853", "#14361f"),
    State.CREATE: Colours("#e3eefc", "#1a73e8", "#0b2a57"),
    State.CHANGE: Colours("#fdf0c8", "#c58a00", "#4a3400"),
    State.DELETE: Colours("#fbd5d1", "#c5221f", "#5c0f0d"),
    State.REFUSED: Colours("#f7d7ea", "#a8327e", "#4f113a"),
    State.WAITING: Colours("#e7e0f8", "#6b4fc4", "#2c1b63"),
    State.UNREAD: Colours("#e3e5e8", "#5f6368", "#202124"),
}
STATES = {
    Action.NONE: State.DECLARED,
    Action.CREATE: State.CREATE,
    Action.UPDATE: State.CHANGE,
    Action.WAIT: State.CHANGE,
    Action.DELETE: State.DELETE,
    Action.REFUSE: State.REFUSED,
}


@dataclass(frozen=True)
class Box:
    """A resource."""

    key: str
    kind: str
    name: str
    state: State
    left_out: bool = False
    """Whether the run only looks at it."""


@dataclass(frozen=True)
class Picture:
    """What is drawn. An arrow goes from what is needed to what needs it."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, str], ...]

    @property
    def states(self) -> list[State]:
        """The states that there are, in the order of the legend."""
        return [state for state in State if any(box.state is state for box in self.boxes)]


def picture(title: str, stack: Sequence[Resource], planned: Plan) -> Picture:
    """The picture of a plan of the stack; what has no change could not be read."""
    changes = {change.resource.key: change for change in planned.changes}
    keys = {resource.key for resource in stack}
    return Picture(
        title,
        tuple(box(each, changes.get(each.key)) for each in stack),
        tuple((need.key, each.key) for each in stack for need in each.needs if need.key in keys),
    )


def box(resource: Resource, change: Change | None) -> Box:
    """A resource's box."""
    if change is None:
        return Box(resource.key, resource.kind, resource.name, State.UNREAD)
    state = STATES[change.action]
    if change.action is Action.NONE and change.live is not None and change.live.waiting:
        state = State.WAITING
    return Box(resource.key, resource.kind, resource.name, state, change.left_out)
