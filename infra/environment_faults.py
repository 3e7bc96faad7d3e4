"""pydantic's complaints about an environment's file, in words for whoever wrote it."""

from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from infra.yaml_file import Where


def explain(error: ErrorDetails, model: type[BaseModel]) -> tuple[Where, str]:
    """A fault of pydantic's in words: the field, and what it has to be."""
    where: Where = tuple(part for part in error["loc"] if part != "[key]")
    got, context = written(error["input"]), error.get("ctx", {})
    if context.get("at"):
        where = (*where, context["at"])
    saying = {
        "missing": "is missing",
        "greater_than_equal": "must be at least {ge} (got {got})",
        "less_than_equal": "must be at most {le} (got {got})",
        "greater_than": "must be above {gt} (got {got})",
        "less_than": "must be below {lt} (got {got})",
        "literal_error": "must be {expected} (got {got})",
        "string_too_short": "must not be empty",
        "string_type": "must be text (got {got})",
        "int_type": "must be a whole number (got {got})",
        "int_from_float": "must be a whole number (got {got})",
        "float_type": "must be a number (got {got})",
        "bool_type": "must be true or false (got {got})",
        "list_type": "must be a list (got {got})",
        "dict_type": "must be a mapping of names to values (got {got})",
        "model_type": "must be a group of fields (got {got})",
        "model_attributes_type": "must be a group of fields (got {got})",
    }.get(error["type"])
    if error["type"] == "extra_forbidden":
        return where, unknown_field(where, model)
    if saying is None:
        return where, error["msg"]
    return where, saying.format(got=got, **context)


def written(value: object) -> str:
    """A value as it stands in the file."""
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def unknown_field(where: Where, root: type[BaseModel]) -> str:
    """What to say about a field there is none of."""
    model = root
    for part in where[:-1]:
        model = sections(model)[str(part)]
    # The name is the file's.
    fields = [name for name in model.model_fields if model is not root or name != "name"]
    near = get_close_matches(str(where[-1]), fields, 1)
    if near:
        return f"there is no such field: did you mean {near[0]}?"
    for home, section in sections(root).items():
        if model is not section and where[-1] in section.model_fields:
            return f"there is no such field here: {home} has it"
    return f"there is no such field; there are {', '.join(fields)}"


def sections(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The fields of a model that are groups of fields."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[name] = kind
    return found
