"""A YAML mapping read key by key, so that what nobody asked for is an error with its path.

It knows no field of Knative's or of Cloud Run's.
"""

import json
import re
from difflib import get_close_matches

from infra.yaml_file import Value, Where

type Fields = dict[str, Value]


class FieldError(Exception):
    """A field that is unknown, missing or wrong; `where` is its path."""

    def __init__(self, where: Where, message: str) -> None:
        super().__init__(message)
        self.where = where


class Reader:
    """A mapping whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, value: Value, where: Where = ()) -> None:
        if not isinstance(value, dict):
            raise FieldError(where, "must be a group of fields")
        self.where = where
        self._left = dict(value)
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._left

    @property
    def left(self) -> list[str]:
        """The keys that were not taken yet."""
        return list(self._left)

    def take(self, key: str) -> Value:
        """The value of a key, None when there is none."""
        self._known.append(key)
        return self._left.pop(key, None)

    def at(self, key: str | int) -> Where:
        """The path of a key."""
        return (*self.where, key)

    def text(self, key: str) -> str | None:
        """Text, or a number or a truth value as text."""
        value = self.take(key)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return str(value)
        if value is not None and not isinstance(value, str):
            raise FieldError(self.at(key), "must be text")
        return value

    def number(self, key: str) -> int | None:
        """A whole number, also when it is written in quotes."""
        value = self.take(key)
        if isinstance(value, str) and re.fullmatch(r"[0-9]+", value):
            return int(value)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise FieldError(self.at(key), f"must be a whole number (got {value!r})")
        return value

    def flag(self, key: str) -> bool | None:
        """true or false, also when it is written in quotes."""
        text = self.text(key)
        if text is None:
            return None
        if text not in {"true", "false"}:
            raise FieldError(self.at(key), f"must be true or false (got {text!r})")
        return text == "true"

    def reader(self, key: str) -> "Reader":
        """A group of fields, an empty one when there is none."""
        value = self.take(key)
        return Reader({} if value is None else value, self.at(key))

    def each(self, key: str) -> list["Reader"]:
        """A list of groups of fields."""
        value = self.take(key) or []
        if not isinstance(value, list):
            raise FieldError(self.at(key), "must be a list")
        return [Reader(item, (*self.at(key), index)) for index, item in enumerate(value)]

    def texts(self, key: str) -> list[Value] | None:
        """A list of texts."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FieldError(self.at(key), "must be a list of texts")
        return value

    def mapping(self, key: str) -> Fields | None:
        """A mapping of texts."""
        value = self.take(key)
        if value is None:
            return None
        reader = Reader(value, self.at(key))
        return {name: reader.text(name) for name in reader.left}

    def json(self, key: str) -> Value:
        """A value that is written as JSON in a text."""
        text = self.text(key)
        try:
            value: Value = json.loads(text) if text is not None else None
        except ValueError:
            raise FieldError(self.at(key), "must be JSON") from None
        return value

    def done(self) -> None:
        """Raises FieldError when a key is left."""
        for key in self.left:
            near = get_close_matches(key, self._known, 1)
            known = ", ".join(sorted(self._known))
            hint = f"did you mean {near[0]}?" if near else f"there are {known}"
            raise FieldError(self.at(key), f"there is no such field: {hint}")


def given(**fields: Value) -> Fields:
    """The fields that were written."""
    return {key: value for key, value in fields.items() if value not in (None, [], {})}
