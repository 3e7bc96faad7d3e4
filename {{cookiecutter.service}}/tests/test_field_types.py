"""What a caller may send for each type of field, and what it says of itself."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from src.models.field_types import (
    Bool,
    BoolQuery,
    Date,
    DateTime,
    Email,
    Exact,
    Float,
    Int,
    IntQuery,
    Json,
    Matching,
    NumberQuery,
    Time,
    Url,
    Whole,
)

Price = Annotated[Decimal, Exact(5, 2, gt=0)]
Code = Annotated[str, Matching(r"^[^a-z]+$", max_length=3)]
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "sent", "held"),
    [
        (Int, 2, 2),
        (Int, 2.0, 2),
        (Int, -(2**53) + 1, -(2**53) + 1),
        (Float, 2, 2.0),
        (Price, 0.35000000000000003, Decimal("0.35")),
        (Price, 999.99, Decimal("999.99")),
        (Bool, False, False),
        (Date, "2026-01-02", date(2026, 1, 2)),
        (DateTime, "2026-01-02T12:00:00Z", NOON),
        (DateTime, "2026-01-02t14:00:00.0+02:00", NOON),
        (Time, "23:59", time(23, 59)),
        (Time, "23:59:58.5", time(23, 59, 58, 500000)),
        (
            Json,
            {"a": [1, "b", None, {"c": 0.5}]},
            {"a": [1, "b", None, {"c": 0.5}]},
        ),
        (Email, "ann+1@example.com", "ann+1@example.com"),
        (
            Url,
            "https://example.com:8080/a?b=c#d",
            "https://example.com:8080/a?b=c#d",
        ),
        (Code, "A-1", "A-1"),
        (IntQuery, "-5", -5),
        (NumberQuery, "1.50", Decimal("1.5")),
        (BoolQuery, "false", False),
    ],
)
def test_what_is_right_is_held(kind: Any, sent: object, held: object) -> None:
    assert TypeAdapter(kind).validate_python(sent) == held


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        (Int, "2"),
        (Int, 2.5),
        (Int, True),
        (Int, 2**53),
        (Annotated[int, Whole(ge=1, lt=5)], 0),
        (Annotated[int, Whole(ge=1, lt=5)], 5),
        (Float, "2"),
        (Float, float("inf")),
        (Float, float("nan")),
        (Price, 0),
        (Price, 0.001),
        (Price, 1000),
        (Price, "1.00"),
        (Price, True),
        (Price, float("nan")),
        (Bool, 1),
        (Bool, "true"),
        (Date, 1767312000),
        (Date, "1767312000"),
        (Date, "2026-02-30"),
        (DateTime, "2026-01-02T12:00:00"),
        (DateTime, "1767312000"),
        (DateTime, "0001-01-01T00:00:00+01:00"),
        (Time, "24:00"),
        (Time, "12:00Z"),
        (Time, 3600),
        (Json, [1]),
        (Json, {"a": "\0"}),
        (Json, {"\0": 1}),
        (Json, {"a": [float("inf")]}),
        (Email, "ann"),
        (Email, "ann@example.com\n"),
        (Email, f"{'a' * 250}@b.com"),
        (Url, "javascript:alert(1)"),
        (Url, "https://"),
        (Url, "https://example.com/\n"),
        (Code, "a"),
        (Code, "A\0"),
        (Code, "ABCD"),
        (IntQuery, "x"),
        (NumberQuery, "nan"),
        (NumberQuery, "1e16"),
        (BoolQuery, "yes"),
    ],
)
def test_what_is_wrong_is_refused(kind: Any, sent: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(sent)


def test_what_goes_out_is_what_comes_in() -> None:
    for kind, sent in (
        (Price, 9.99),
        (DateTime, "2026-01-02T12:00:00Z"),
        (Time, "12:00:00"),
        (Date, "2026-01-02"),
    ):
        adapter: TypeAdapter[object] = TypeAdapter(kind)
        held = adapter.validate_python(sent)
        assert adapter.dump_python(held, mode="json") == sent


def test_bounds_are_documented() -> None:
    assert TypeAdapter(Price).json_schema() == {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 999.99,
        "multipleOf": 0.01,
    }
    assert TypeAdapter(Annotated[int, Whole(gt=0)]).json_schema() == {
        "type": "integer",
        "exclusiveMinimum": 0,
        "maximum": 2**53 - 1,
    }
