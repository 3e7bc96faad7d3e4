"""What has to be read to know a resource, as data: nothing here reads.

A plan fetches each collection once, whoever asks for something in it; a reading that has to be
fresh gets the thing itself, for a list may lag behind.
"""

from collections.abc import Callable
from dataclasses import dataclass

from infra.rest import Json, Request
from infra.yaml_file import Value

POLICY = '{"options":{"requestedPolicyVersion":3}}'
POLICY_QUERY = "options.requestedPolicyVersion"


@dataclass(frozen=True)
class Ask:
    """Something that has to be read. `title` is what people call it."""

    title: str
    request: Request
    """What a plan fetches: the collection that it is in, or the thing itself."""
    item: Request | None = None
    """What to get for a fresh reading, where that is not `request`."""
    match: tuple[str, str] | None = None
    """Which of a collection's items it is: the one whose field has this value. Of a full name the
    last part counts, for a project has a number besides its id."""
    pick: Callable[[list[Json]], Value] | None = None
    """What the answer is of all of a collection's items, where it is none of them."""
    made: str = ""
    """The name in the run's facts of what it made itself: no list may show it yet."""

    @property
    def fresh(self) -> Request:
        """What to get for a fresh reading."""
        return self.item or self.request

    def answer(self, said: Value) -> Value:
        """What was asked for, of what `request` fetched; None for nothing."""
        if not isinstance(said, list):
            return said
        items = [each for each in said if isinstance(each, dict)]
        if self.pick:
            return self.pick(items)
        if self.match is None:
            return said
        field, value = self.match
        return next((each for each in items if last(each.get(field)) == last(value)), None)

    def fresh_answer(self, said: Value) -> Value:
        """What was asked for, of what `fresh` fetched."""
        return said if self.item else self.answer(said)


def last(name: Value) -> str:
    """The last part of a full name."""
    return str(name).rpartition("/")[2]


def at(value: Value, *path: str) -> Value:
    """What is at a path in an answer, None when there is nothing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text(value: Value, *path: str) -> str:
    """The text at a path; Google leaves out what is empty."""
    found = at(value, *path)
    return "" if found is None else str(found)


def flag(value: Value, *path: str) -> bool:
    """The truth value at a path; Google leaves out what is false."""
    return at(value, *path) is True


def fields(value: Value, *path: str) -> Json:
    """The mapping at a path, an empty one when there is none."""
    found = at(value, *path)
    return found if isinstance(found, dict) else {}


def texts(value: Value, *path: str) -> dict[str, str]:
    """The mapping of texts at a path: labels, annotations."""
    return {key: str(each) for key, each in fields(value, *path).items()}


def listed(value: Value, *path: str) -> list[Json]:
    """The list of mappings at a path, an empty one when there is none."""
    found = at(value, *path)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
