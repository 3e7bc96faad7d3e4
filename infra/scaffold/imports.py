"""Which imports a text of the service needs, by the names that it uses."""

import ast
from collections import defaultdict

DATES = "datetime"
FIELDS = "src.models.field_types"
NAMES = {
    "date": DATES,
    "datetime": DATES,
    "time": DATES,
    "Decimal": "decimal",
    "StrEnum": "enum",
    "Annotated": "typing",
    "ClassVar": "typing",
    "Literal": "typing",
    "UUID": "uuid",
    "JSONB": "sqlalchemy.dialects.postgresql",
    "Field": "sqlmodel",
    "SQLModel": "sqlmodel",
    "BaseInput": "src.models.base_model",
    "BaseRow": "src.models.base_model",
    "Text": "src.models.base_model",
    "PageQuery": "src.schemas.response",
    **dict.fromkeys(
        (
            "Bool",
            "BoolQuery",
            "Date",
            "DateTime",
            "EMAIL",
            "Email",
            "Exact",
            "Float",
            "Int",
            "IntQuery",
            "Json",
            "Matching",
            "NumberQuery",
            "Real",
            "Time",
            "URL",
            "Url",
            "Whole",
            "native_enum",
            "unsent",
        ),
        FIELDS,
    ),
}


def used(source: str) -> set[str]:
    """The names that a piece of Python uses, not those that it binds."""
    return {
        each.id
        for each in ast.walk(ast.parse(source))
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def modules(source: str, own: dict[str, str] | None = None) -> dict[str, set[str]]:
    """The modules to import from, each with the names that are used of it. `own` says where the
    entity's own names are; `sa` is the whole of SQLAlchemy."""
    places = NAMES | (own or {})
    found: dict[str, set[str]] = defaultdict(set)
    for name in used(source) & places.keys():
        found[places[name]].add(name)
    return found


def lines(source: str, own: dict[str, str] | None = None) -> str:
    """The imports as text, in no order that a linter wants."""
    found = [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(modules(source, own).items())
    ]
    return "\n".join((["import sqlalchemy as sa"] if "sa" in used(source) else []) + found)
