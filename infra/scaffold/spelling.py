"""How a field is written in Python: its annotation, what stands in its `Field(…)`, its query type.

What a type accepts is said by the service's own `src/models/field_types.py`; here are its words.
"""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

from infra.scaffold.entity import Entity, Field, OnDelete, Text, Type

ON_DELETE = {
    OnDelete.RESTRICT: "RESTRICT",
    OnDelete.CASCADE: "CASCADE",
    OnDelete.SET_NULL: "SET NULL",
}
QUERIES = {
    Type.STR: "Text",
    Type.INT: "IntQuery",
    Type.DECIMAL: "NumberQuery",
    Type.BOOL: "BoolQuery",
    Type.DATE: "Date",
    Type.DATETIME: "DateTime",
    Type.TIME: "Time",
    Type.UUID: "UUID",
    Type.REF: "UUID",
}
PLAIN = {
    Type.INT: "Int",
    Type.FLOAT: "Float",
    Type.BOOL: "Bool",
    Type.DATE: "Date",
    Type.DATETIME: "DateTime",
    Type.TIME: "Time",
    Type.UUID: "UUID",
    Type.REF: "UUID",
    Type.JSON: "Json",
}


def literal(text: str) -> str:
    """The text as Python has it; raw, where it has backslashes that a pattern needs."""
    if "\\" in text and '"' not in text and not text.endswith("\\") and text.isprintable():
        return f'r"{text}"'
    return json.dumps(text, ensure_ascii=False)


def pascal(name: str) -> str:
    """A name in snake_case as a class's."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def enum_class(entity: Entity, field: Field) -> str:
    """The class of an enum's values: `ProductStatus`."""
    return entity.class_name + pascal(field.name)


def enum_type(entity: Entity, field: Field) -> str:
    """PostgreSQL's type of an enum: `product_status`."""
    return f"{entity.name}_{field.name}"


def member(value: str) -> str:
    """What a value of an enum is called in its class."""
    name = re.sub(r"[^A-Za-z0-9]", "_", value).upper()
    return f"VALUE_{name}" if not name[:1].isalpha() else name


def bounds(field: Field) -> list[str]:
    """The bounds of a number, as arguments."""
    given = {"gt": field.gt, "ge": field.ge, "lt": field.lt, "le": field.le}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def lengths(field: Field) -> list[str]:
    """The bounds of a text's characters, or a list's items, as arguments."""
    given = {"min_length": field.minimum, "max_length": field.maximum}
    return [f"{name}={value}" for name, value in given.items() if value is not None]


def scalar(entity: Entity, field: Field) -> str:
    """The type of one value."""
    if field.type is Type.ENUM:
        return enum_class(entity, field)
    if field.type is Type.STR:
        return text_type(field)
    limits = bounds(field)
    if field.type is Type.DECIMAL:
        exact = ", ".join([str(field.digits), str(field.places), *limits])
        return f"Annotated[Decimal, Exact({exact})]"
    if field.type is Type.INT and limits:
        return f"Annotated[int, Whole({', '.join(limits)})]"
    if field.type is Type.FLOAT and limits:
        return f"Annotated[float, Real({', '.join(limits)})]"
    return PLAIN[field.type]


def text_type(field: Field) -> str:
    """The type of a text. The bounds of one with a pattern stand in it; a list's are the list's."""
    limits = [] if field.is_list else lengths(field)
    if field.text is None and field.pattern is None:
        return "Text"
    if field.pattern is not None:
        pattern = literal(field.pattern)
    elif limits:
        pattern = "EMAIL" if field.text is Text.EMAIL else "URL"
    else:
        return "Email" if field.text is Text.EMAIL else "Url"
    return f"Annotated[str, Matching({', '.join([pattern, *limits])})]"


def annotation(entity: Entity, field: Field) -> str:
    """The annotation of the field in the models a caller writes."""
    kind = scalar(entity, field)
    if field.is_list:
        kind = f"list[{kind}]"
    return f"{kind} | None" if field.optional else kind


def query_type(entity: Entity, field: Field) -> str:
    """What it is in a query, where everything is text."""
    return enum_class(entity, field) if field.type is Type.ENUM else QUERIES[field.type]


def own_lengths(field: Field) -> list[str]:
    """The lengths that stand in `Field(…)`: those that are not in the annotation."""
    plain = field.type is Type.STR and field.text is None and field.pattern is None
    return lengths(field) if field.is_list or plain else []


def column_type(entity: Entity, field: Field) -> str | None:
    """The column's type, where SQLModel would not find the right one."""
    if field.is_list:
        item = column_type(entity, replace(field, is_list=False)) or ITEMS[field.type]
        return f"sa.ARRAY({item if item.endswith(')') else f'{item}()'})"
    if field.type is Type.DECIMAL:
        return f"sa.Numeric({field.digits}, {field.places})"
    if field.type is Type.ENUM:
        return f'native_enum({enum_class(entity, field)}, "{enum_type(entity, field)}")'
    return COLUMNS.get(field.type)


COLUMNS = {
    Type.INT: "sa.BigInteger",
    Type.DATETIME: "sa.DateTime(timezone=True)",
    Type.JSON: "JSONB",
}
ITEMS = {
    Type.STR: "sa.Text",
    Type.FLOAT: "sa.Float",
    Type.BOOL: "sa.Boolean",
    Type.DATE: "sa.Date",
    Type.TIME: "sa.Time",
    Type.UUID: "sa.Uuid",
}


def default(entity: Entity, field: Field, value: object) -> str:
    """The default as Python has it."""
    if isinstance(value, list):
        return f"[{', '.join(default(entity, field, each) for each in value)}]"
    if field.type is Type.STR:
        return json.dumps(value, ensure_ascii=False)
    if field.type is Type.ENUM:
        return f"{enum_class(entity, field)}.{member(str(value))}"
    if value is not None and field.type in DEFAULTS:
        return DEFAULTS[field.type].format(value)
    return repr(value)


DEFAULTS = {
    Type.DECIMAL: 'Decimal("{}")',
    Type.DATE: 'date.fromisoformat("{}")',
    Type.DATETIME: 'datetime.fromisoformat("{}")',
    Type.TIME: 'time.fromisoformat("{}")',
    Type.UUID: 'UUID("{}")',
}


def server_default(field: Field, value: object) -> str:
    """The default as the database has it."""
    if field.type is Type.JSON:
        return literal(json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        return literal("{" + ",".join(array_item(each) for each in value) + "}")
    if isinstance(value, bool):
        return "sa.true()" if value else "sa.false()"
    return json.dumps(str(value), ensure_ascii=False)


def array_item(value: object) -> str:
    """One of the values of an array, in PostgreSQL's own words."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def arguments(entity: Entity, field: Field, table: str = "") -> list[str]:
    """What stands in the `Field(…)` of the field's base model; `table` is what it refers to."""
    found = []
    if field.has_default:
        found.append(f"default={default(entity, field, field.default)}")
    elif field.optional:
        found.append("default=None")
    found += own_lengths(field)
    if field.unique:
        found.append("unique=True")
    if field.type is Type.REF:
        found.append(f'foreign_key="{table}.id"')
    if field.is_indexed and not field.unique:
        found.append("index=True")
    if field.type is Type.REF:
        found.append(f'ondelete="{ON_DELETE[field.on_delete]}"')
    if kind := column_type(entity, field):
        found.append(f"sa_type={kind}")
    if field.has_default and field.default is not None:
        said = server_default(field, field.default)
        found.append(f'sa_column_kwargs={{"server_default": {said}}}')
    return found


def base_line(entity: Entity, field: Field, table: str = "") -> str:
    """The field in the base model."""
    line = f"{field.attribute}: {annotation(entity, field)}"
    given = arguments(entity, field, table)
    return f"{line} = Field({', '.join(given)})" if given else line


def update_line(entity: Entity, field: Field) -> str:
    """The field in the model of changes, where none has to be sent."""
    first = "default=None" if field.optional else "default_factory=unsent"
    given = ", ".join([first, *own_lengths(field)])
    return f"{field.attribute}: {annotation(entity, field)} = Field({given})"


def is_listed_by(entity: Entity, field: Field) -> bool:
    """Whether lists filter and sort by it: what has an index, and an order that people know."""
    if field.is_list or field.type in {Type.JSON, Type.FLOAT}:
        return False
    return field.is_indexed or field.attribute in {group[0] for group in entity.unique}


def sort_line(names: list[str]) -> str:
    """The field `sort` of a query: each column, and each from the highest."""
    listed = ", ".join(f'"{name}", "-{name}"' for name in names)
    return f"sort: Literal[{listed}] | None = None"


def sent_default(field: Field) -> str:
    """The default as an answer has it, in Python; "None" when there is none."""
    value = field.default if field.has_default else None
    if field.type is Type.DATETIME and value is not None:
        moment = datetime.fromisoformat(str(value)).astimezone(UTC)
        return f'"{moment.isoformat().replace("+00:00", "Z")}"'
    if field.type is not Type.DECIMAL or value is None:
        return repr(value)
    return str(value) if not isinstance(value, list) else f"[{', '.join(map(str, value))}]"
