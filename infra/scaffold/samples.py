"""What the tests of an entity send for each of its fields: right, at the edges, and wrong.

A value is Python source; what differs from row to row has `number` in it, which counts from 1.
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import cache

from infra.project import ProjectError
from infra.scaffold import spelling
from infra.scaffold.entity import Entity, Field, OnDelete, Text, Type
from infra.scaffold.pattern_samples import matching
from infra.scaffold.wrong_samples import right, wrong

ROWS = 3
RULES = {
    OnDelete.RESTRICT: "stays",
    OnDelete.CASCADE: "takes_it_along",
    OnDelete.SET_NULL: "leaves_it",
}


def words(entity: Entity, *, apart: bool = False) -> dict[str, object]:
    """What templates/test.py.jinja needs. Raises ProjectError for a field of which the tests could
    not make enough rows, or find a text for its pattern. `apart`: a new row refers to nothing."""
    judge(entity)
    inside = [each for each in entity.fields if not is_apart(entity, each, apart)]
    parents = [each for each in inside if each.type is Type.REF]
    refs = [each for each in entity.fields if each.type is Type.REF]
    samples = [(each.attribute, sample(each)) for each in inside]
    listed = [each for each in inside if spelling.is_listed_by(entity, each)]
    return {
        "imports": test_imports(entity, refs),
        "parents": parents,
        "samples": samples + [(each.attribute, "None") for each in refs if each not in inside],
        "changed": [attribute for attribute, _ in samples],
        "counted": any("number" in value for _, value in samples),
        "right": [(each.attribute, value) for each in inside for value in right(each)],
        "defaults": [
            (each.attribute, spelling.sent_default(each))
            for each in inside
            if each.has_default or each.optional
        ],
        "filtered": quoted(each.attribute for each in listed if capacity(each) > 1),
        "sorted": quoted(each.attribute for each in listed if each.type is not Type.ENUM),
        "ranked": [
            {"name": each.name, "listed": ", ".join(map(spelling.literal, each.values[:ROWS]))}
            for each in listed
            if each.type is Type.ENUM
        ],
        "optional": [each.attribute for each in inside if each.optional],
        "unique": [quoted([each.attribute]) for each in inside if each.unique]
        + [quoted(group) for group in entity.unique],
        "refs": [
            {
                "attribute": each.attribute,
                "words": snake(each.target).replace("_", " ").capitalize(),
            }
            for each in refs
        ],
        "referred": [referred(entity, each, each not in inside) for each in refs],
        "required": [
            each.attribute for each in inside if not each.optional and not each.has_default
        ],
        "wrong": [(each.attribute, value) for each in entity.fields for value in wrong(each)],
    }


def judge(entity: Entity) -> None:
    """Raises ProjectError where a unique field has too few values for any table."""
    for field in entity.fields:
        if field.unique and capacity(field) < ROWS:
            raise ProjectError(
                f"{field.name}: it is unique, and has only {capacity(field)} values: the table "
                f"could have no more rows. Leave out `unique`"
            )
        if field.type is Type.REF and field.target == entity.class_name and not field.optional:
            raise ProjectError(
                f"{field.name}: the first {entity.words} has none to refer to: write "
                f'"{field.name}:ref {field.target}?"'
            )


def is_apart(entity: Entity, field: Field, all_refs: bool) -> bool:
    """Whether a new row's sample leaves it out: one of itself, which would never end."""
    return field.type is Type.REF and (all_refs or field.target == entity.class_name)


def quoted(names: Iterable[str]) -> str:
    """The names as Python has them, in a row."""
    return ", ".join(f'"{name}"' for name in names)


def snake(class_name: str) -> str:
    """A class as the module's name has it: `line_item`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


def referred(entity: Entity, field: Field, apart: bool) -> dict[str, object]:
    """What the test of a reference's on-delete rule needs."""
    own = field.target == entity.class_name
    create = "create" if own else f"create_{snake(field.target)}"
    return {
        "name": field.name,
        "attribute": field.attribute,
        "own": own,
        "rule": RULES[field.on_delete],
        "url": "URL" if own else f"{snake(field.target).upper()}_URL",
        "apart": f"other = await {create}(client)" if apart else "",
    }


def test_imports(entity: Entity, refs: list[Field]) -> str:
    """The imports of the tests, those of the tests of what is referred to among them."""
    others = sorted({snake(each.target) for each in refs} - {entity.name})
    parents = [
        f"from tests.test_{name} import URL as {name.upper()}_URL\n"
        f"from tests.test_{name} import create as create_{name}"
        for name in others
    ]
    return "\n".join(
        [
            "from datetime import datetime",
            "from itertools import count",
            "from typing import Any",
            "from uuid import UUID, uuid4",
            "import pytest",
            "from fastapi import FastAPI",
            "from httpx import AsyncClient",
            "from sqlalchemy import text",
            *parents,
        ]
    )


def sample(field: Field) -> str:
    """A right value, each number's another as far as there are others."""
    value = one(field)
    if not field.is_list:
        return value
    return f"[{', '.join([value] * max(field.minimum or 1, 1))}]"


def one(field: Field) -> str:
    """A right value, or a list's item."""
    if field.type is Type.STR:
        return text(field)
    if field.type in {Type.INT, Type.DECIMAL, Type.FLOAT}:
        return number(field)
    if field.type is Type.ENUM:
        return chosen(field.values)
    if field.type is Type.REF:
        return f'(await create_{snake(field.target)}(client))["id"]'
    return SIMPLE[field.type]


SIMPLE = {
    Type.BOOL: "number % 2 == 0",
    Type.DATE: 'f"2026-01-{number % 28 + 1:02}"',
    Type.DATETIME: 'f"2026-01-02T12:00:{number % 60:02}Z"',
    Type.TIME: 'f"12:00:{number % 60:02}"',
    Type.UUID: "str(uuid4())",
    Type.JSON: '{"number": number, "of": ["é", None, 0.5]}',
}


def chosen(values: Iterable[str]) -> str:
    """One of the values, by the number."""
    listed = [*map(spelling.literal, values)]
    return f"[{', '.join(listed)}][number % {len(listed)}]"


def text(field: Field) -> str:
    """A text of the field's pattern and lengths. Raises ProjectError when none is found."""
    least, most = (0, None) if field.is_list else (field.minimum or 0, field.maximum)
    if field.pattern is not None:
        found = matching(field.pattern, least, most)
        if not found:
            raise ProjectError(
                f"{field.name}: no text was found that matches {field.pattern} and its lengths"
            )
        return chosen(found)
    head, tail = field.name.replace("_", " ") + " ", ""
    if field.text is Text.EMAIL:
        head, tail = "ann", "@example.com" if most is None or most >= 20 else "@b.io"
    if field.text is Text.URL:
        head = "https://example.com/" if most is None or most >= 26 else "http://b.io/"
    digits = max(4, least - len(head) - len(tail))
    room = digits if most is None else most - len(head) - len(tail)
    if room < digits and field.text is None:
        head, room = "", min(most or 1, 4)
        digits = room
    if room < digits:
        digits = max(room, 1)
    counted = "number" if digits >= 4 else f"number % {10**digits}"
    return f'f"{head}{{{counted}:0{digits}}}{tail}"'


def number(field: Field) -> str:
    """A number within its bounds, in steps of its last place."""
    places = steps(field)
    low, high = within(field)
    if low is None or (low <= 1 and (high is None or high >= 10_000)):
        start = "number" if high is None or high >= 10_000 else f"{high - 9_999} + number % 10_000"
    elif high is None or high - low >= 10_000:
        start = f"number + {low - 1}"
    else:
        start = f"{low} + number % {high - low + 1}" if low else f"number % {high - low + 1}"
    if not places:
        return start
    return f"{start} / {10**places}" if start == "number" else f"({start}) / {10**places}"


def steps(field: Field) -> int:
    """How many places behind the point a sample has. A float's are its bounds', and one more."""
    if field.type is Type.DECIMAL:
        return field.places
    if field.type is Type.INT:
        return 0
    given = [Decimal(each) for each in (field.gt, field.ge, field.lt, field.le) if each is not None]
    exponents = [-int(each.as_tuple().exponent) for each in given]
    return max([1, *(each + 1 for each in exponents)])


def within(field: Field) -> tuple[int | None, int | None]:
    """The lowest and the highest sample, in steps."""
    scale = Decimal(10) ** steps(field)
    low = high = None
    if field.ge is not None:
        low = int(-(-Decimal(field.ge) * scale // 1))
    if field.gt is not None:
        low = int(Decimal(field.gt) * scale // 1) + 1
    if field.le is not None:
        high = int(Decimal(field.le) * scale // 1)
    if field.lt is not None:
        high = int(-(-Decimal(field.lt) * scale // 1)) - 1
    if field.type is Type.DECIMAL and high is None:
        high = 10**field.digits - 1
    return low, high


@cache
def capacity(field: Field) -> int:
    """How many different samples there are."""
    if field.type is Type.ENUM:
        return len(field.values)
    if field.type is Type.BOOL:
        return 2
    if field.type in {Type.INT, Type.DECIMAL, Type.FLOAT}:
        low, high = within(field)
        return 10_000 if low is None or high is None else high - low + 1
    if field.type is Type.STR and field.pattern is not None:
        return len(matching(field.pattern, field.minimum or 0, field.maximum))
    return 10_000
