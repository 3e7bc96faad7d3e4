"""The types of fields: what a caller may send, and what a row holds.

A type's part of the OpenAPI document says all there is to it: what it allows
is accepted, and nothing else. A number is no text, and a text no number.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    WithJsonSchema,
)
from pydantic import Field as Example
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from sqlalchemy import Enum

from src.models.base_model import NO_NUL, Text

# What any reader of JSON keeps exactly (RFC 8259, section 6): a whole number
# up to here, and so many digits of another.
MOST = 2**53 - 1
DIGITS = 15
LARGEST = 1e300
MOST_ASKED = 1e15

# What the bounds are called in a JSON Schema.
WORDS = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# As browsers have it (HTML, section 4.10.5.1.5).
EMAIL = (
    r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9]"
    r"(?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
)
URL = r"^https?://[a-zA-Z0-9.-]+(?::[0-9]{1,5})?(?:[/?#][!-~]*)?$"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a number is between: above, or not below; below, or not above."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def within(self, most: float) -> dict[str, Any]:
        """The bounds that are given; on a side without one, the type's."""
        given = {
            "gt": self.gt,
            "ge": -most if self.gt is None and self.ge is None else self.ge,
            "lt": self.lt,
            "le": most if self.lt is None and self.le is None else self.le,
        }
        return {
            name: bound for name, bound in given.items() if bound is not None
        }


class Whole(Bounds):
    """A whole number."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        number = core_schema.int_schema(strict=True, **self.within(MOST))
        return core_schema.no_info_before_validator_function(whole, number)


class Real(Bounds):
    """A number of double precision."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.float_schema(
            strict=True, allow_inf_nan=False, **self.within(LARGEST)
        )


@dataclass(frozen=True)
class Exact(Bounds):
    """A decimal number: so many digits in all, and so many of them behind the
    point. In JSON it is a number."""

    digits: int
    places: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        limits = self.within(self.most).items()
        number = core_schema.decimal_schema(
            max_digits=self.digits,
            decimal_places=self.places,
            **cast("Any", {name: Decimal(str(each)) for name, each in limits}),
        )
        return core_schema.no_info_before_validator_function(
            as_written,
            number,
            serialization=core_schema.plain_serializer_function_ser_schema(
                float,
                return_schema=core_schema.float_schema(),
                when_used="json",
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        limits = self.within(self.most).items()
        found = {
            "type": "number",
            **{WORDS[name]: each for name, each in limits},
        }
        if handler.mode == "validation":
            found["multipleOf"] = float(Decimal(10) ** -self.places)
        return found

    @property
    def most(self) -> float:
        """The largest number with so many digits."""
        return float((10**self.digits - 1) * Decimal(10) ** -self.places)


@dataclass(frozen=True)
class Matching:
    """A text of a pattern, as Rust's regex has it, and of so many
    characters."""

    pattern: str
    min_length: int | None = None
    max_length: int | None = None

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.str_schema(
            pattern=self.pattern,
            min_length=self.min_length,
            max_length=self.max_length,
        )
        return core_schema.no_info_after_validator_function(without_nul, text)


def whole(value: object) -> object:
    """2.0 is a whole number too, to JSON Schema."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def as_written(value: object) -> object:
    """A number of JSON's as the decimal that was written. Raises ValueError
    for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("Input should be a number")
    return Decimal(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def from_text(value: object) -> object:
    """The number of a query. Raises ValueError for what is none, or larger
    than any row has."""
    number = float(str(value))
    if not -MOST_ASKED <= number <= MOST_ASKED:
        raise ValueError("Input should be a number of at most 15 digits")
    return as_written(number)


def text_like(pattern: re.Pattern[str], what: str, value: object) -> object:
    """Refuses, with ValueError, what pydantic would read a date or a time
    from although it is none: a number, or a text of digits."""
    if isinstance(value, date | time):
        return value
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"Input should be {what}")
    return value


def like(pattern: str | re.Pattern[str], what: str) -> BeforeValidator:
    """Lets only such texts through."""
    return BeforeValidator(partial(text_like, re.compile(pattern), what))


def in_utc(value: datetime) -> datetime:
    """The moment in UTC, where a row has it. Raises ValueError where that
    would be before the year 1 or after 9999."""
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("Input should be in the years 1 to 9999") from None


def without_nul(value: str) -> str:
    """The text, which PostgreSQL can hold. Raises ValueError for NUL."""
    if "\0" in value:
        raise ValueError("Input should have no NUL")
    return value


Int = Annotated[int, Whole()]
Float = Annotated[float, Real()]
Bool = Annotated[bool, Strict()]
Date = Annotated[date, like(DATE, "a date: YYYY-MM-DD")]
DateTime = Annotated[
    datetime,
    like(DATE_TIME, "a time with its zone: YYYY-MM-DDThh:mm:ssZ"),
    AfterValidator(in_utc),
]
Time = Annotated[
    time,
    like(TIME, "a time of day: hh:mm:ss"),
    WithJsonSchema(
        {"type": "string", "pattern": f"^{TIME}$", "examples": ["12:30:00"]}
    ),
]
Uuid = UUID
Email = Annotated[
    str,
    Matching(EMAIL, max_length=254),
    Example(examples=["ann@example.com"]),
]
Url = Annotated[
    str,
    Matching(URL, max_length=2083),
    Example(examples=["https://example.com/"]),
]
type JsonValue = Text | Int | Float | Bool | list[JsonValue] | Json | None
type Json = Annotated[
    dict[Text, JsonValue],
    Example(json_schema_extra={"propertyNames": {"pattern": NO_NUL}}),
]

# In a query everything is text.
IntQuery = Annotated[int, Example(ge=-MOST, le=MOST)]
NumberQuery = Annotated[
    Decimal,
    BeforeValidator(from_text),
    WithJsonSchema(
        {"type": "number", "minimum": -MOST_ASKED, "maximum": MOST_ASKED}
    ),
]
BoolQuery = Annotated[bool, like("true|false", "true or false")]


def unsent() -> Any:
    """Stands for a field that was not sent, for `default_factory`: nobody
    reads it, for only what was sent is written."""
    return None


def native_enum(kind: type[StrEnum], name: str) -> Enum:
    """The column's type: PostgreSQL's own, of this name, with the values."""
    return Enum(kind, name=name, values_callable=values_of)


def values_of(kind: type[StrEnum]) -> list[str]:
    """What stands in the table for each."""
    return [each.value for each in kind]
