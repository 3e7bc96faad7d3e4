"""What a field takes at its edges, and what it refuses, as Python source."""

import re
from decimal import Decimal

from infra.scaffold import spelling
from infra.scaffold.entity import Field, Text, Type

MOST = 2**53 - 1
HOSTILE = r"""'Crème brûlée 🍮 with "quotes" \\ and {braces}'"""
LONG = 5_000


def right(field: Field) -> list[str]:
    """What has to be kept as it was sent, beside the samples."""
    if field.is_list:
        return ["[]"] if not field.minimum else []
    if field.type is Type.STR and field.text is None and field.pattern is None:
        return texts(field)
    if field.type in {Type.INT, Type.DECIMAL, Type.FLOAT}:
        return [each for each in (field.ge, field.le) if each is not None]
    if field.type is Type.BOOL:
        return ["True", "False"]
    if field.type is Type.ENUM:
        return [spelling.literal(each) for each in field.values]
    return []


def texts(field: Field) -> list[str]:
    """Texts of any characters, and those of the shortest and the longest length."""
    least, most = field.minimum or 0, field.maximum
    found = [] if least > 10 or (most is not None and most < 60) else [HOSTILE]
    found.append(f'"x" * {least}' if least > 1 else '"x"' if least else '""')
    if most is not None and most <= LONG:
        found.append(f'"é" * {most}')
    return found


def wrong(field: Field) -> list[str]:
    """What is refused."""
    found = [] if field.optional else ["None"]
    if not field.is_list:
        return found + wrong_value(field)
    found += ['"x"', "[None]"] + [f"[{each}]" for each in wrong_value(field)[:1]]
    if field.minimum:
        found.append("[]")
    return found


def wrong_value(field: Field) -> list[str]:
    """What is no value of the type, or outside its bounds."""
    if field.type is Type.STR:
        return wrong_text(field)
    if field.type in {Type.INT, Type.FLOAT, Type.DECIMAL}:
        return wrong_number(field)
    if field.type is Type.ENUM:
        return ["1", spelling.literal("_".join(field.values) + "_")]
    return SIMPLE[field.type]


SIMPLE = {
    Type.BOOL: ["1", '"true"'],
    Type.DATE: ["1", '"2026-02-30"'],
    Type.DATETIME: ["1", '"2026-01-02T12:00:00"'],
    Type.TIME: ["1", '"24:00"'],
    Type.JSON: ["[1]", '"x"', r'{"nul": "\0"}'],
    Type.UUID: ["1", '"x"'],
    Type.REF: ["1", '"x"'],
}


def wrong_number(field: Field) -> list[str]:
    """What is no number of the type, or outside its bounds."""
    if field.type is Type.INT:
        return ['"1"', "0.5", "True", str(MOST + 1), *outside(field, Decimal(1))]
    if field.type is Type.FLOAT:
        return ['"1"', "True", *outside(field, Decimal("0.5"))]
    step = Decimal(10) ** -field.places
    finer, most = f"{step / 10:f}", str(10 ** (field.digits - field.places))
    return ['"1"', "True", finer, most, *outside(field, step)]


def outside(field: Field, step: Decimal) -> list[str]:
    """The numbers just outside of the bounds."""
    found = [each for each in (field.gt, field.lt) if each is not None]
    if field.ge is not None:
        found.append(f"{Decimal(field.ge) - step:f}")
    if field.le is not None:
        found.append(f"{Decimal(field.le) + step:f}")
    return found


def wrong_text(field: Field) -> list[str]:
    """Texts that are none, or too short, or too long, or not of the pattern."""
    found = ["1", r'"nul\0"']
    if field.text is Text.EMAIL:
        found.append('"ann"')
    if field.text is Text.URL:
        found.append('"javascript:alert(1)"')
    if field.pattern is not None:
        pattern = re.compile(field.pattern)
        tried = (each for each in ("", "?", "no such text", "\n") if not pattern.search(each))
        found += [spelling.literal(each) for each in tried][:1]
    if field.is_list:
        return found
    if field.minimum:
        found.append(f'"x" * {field.minimum - 1}' if field.minimum > 1 else '""')
    if field.maximum is not None and field.maximum <= LONG:
        found.append(f'"x" * {field.maximum + 1}')
    return found
