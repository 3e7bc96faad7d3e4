"""What is wrong with a request, as an error's `data`: field by field.

The names of unknown fields are the caller's own words, so they are cut to
what an answer may carry: few, short, and text that UTF-8 can write.
"""

from collections.abc import Sequence
from typing import Any

MOST_FAULTS = 100
LONGEST_NAME = 200


def faults(errors: Sequence[Any]) -> dict[str, list[str]]:
    """Each field with its faults, from pydantic's `errors()`: the first
    hundred, since a body can have as many as it has bytes."""
    found: dict[str, list[str]] = {}
    for fault in errors[:MOST_FAULTS]:
        where, *path = fault["loc"]
        if fault["type"] == "json_invalid":
            path = []  # where in the text it is, not in which field
        field = ".".join(str(part) for part in path) or str(where)
        found.setdefault(sendable(field[:LONGEST_NAME]), []).append(
            sendable(fault["msg"])
        )
    return found


def sendable(text: str) -> str:
    """The text with what JSON can carry and UTF-8 cannot as `?`: halves of
    characters, "\\ud800"."""
    return text.encode("utf-8", "replace").decode()
