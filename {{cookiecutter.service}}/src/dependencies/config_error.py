"""Turns a wrong configuration into lines that a person can act on.

Each line names the setting, its value (secrets hidden), the source that gave
it, and the rule. Nothing here reads a setting's value for any other use.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, override

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

FILES = {
    DotEnvSettingsSource: ".env",
    YamlConfigSettingsSource: "config.yaml",
    JsonConfigSettingsSource: "config.json",
    TomlConfigSettingsSource: "config.toml",
}


class ConfigError(Exception):
    """The configuration can't be used; `problems` has a line for each fault."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(*problems)
        self.problems = problems

    @override
    def __str__(self) -> str:
        return "\n".join(f"config: {problem}" for problem in self.problems)


def explain(
    error: ValidationError,
    settings: type[BaseSettings],
    sources: Sequence[PydanticBaseSettingsSource],
) -> list[str]:
    """A line for each fault that pydantic found."""
    given = [(source, source()) for source in sources]
    return [_line(fault, settings, given) for fault in error.errors()]


def unreadable(source: str, error: Exception) -> str:
    """The line for a source that can't be read as what it should be."""
    return f"{source} can't be read: {' '.join(str(error).split())}"


def _line(
    fault: ErrorDetails,
    settings: type[BaseSettings],
    given: Sequence[tuple[PydanticBaseSettingsSource, dict[str, Any]]],
) -> str:
    # A number is a place in a list, which has its name as a whole.
    path = tuple(part for part in fault["loc"] if isinstance(part, str))
    name = ".".join(path)
    rule = fault["msg"][:1].lower() + fault["msg"][1:]
    if fault["type"] == "extra_forbidden":
        rule = "there is no such setting" + _nearest(path, settings)
    value = "(hidden)" if _is_secret(path, settings) else repr(fault["input"])
    origin = next(
        (_origin(source, path) for source, data in given if _has(data, path)),
        "defaults",
    )
    return f"{name} = {value} in {origin}: {rule}"


def _has(data: Any, path: Sequence[str]) -> bool:
    """Whether a source's nested data has a value at the path."""
    for part in path:
        if not isinstance(data, Mapping) or part not in data:
            return False
        data = data[part]
    return True


def _origin(source: PydanticBaseSettingsSource, path: Sequence[str]) -> str:
    """What a person calls the place a source reads."""
    if (file := FILES.get(type(source))) is not None:
        return file
    if isinstance(source, EnvSettingsSource):
        return f"the environment variable {'__'.join(path).upper()}"
    return "the environment variable PORT"


def _section(
    path: Sequence[str], settings: type[BaseModel]
) -> type[BaseModel] | None:
    """The model that holds the last name of a path."""
    model = settings
    for part in path[:-1]:
        field = model.model_fields.get(part)
        kind = field.annotation if field else None
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return None
        model = kind
    return model


def _is_secret(path: Sequence[str], settings: type[BaseModel]) -> bool:
    """Whether the value must not be shown; unknown names are hidden too."""
    section = _section(path, settings)
    field = section.model_fields.get(path[-1]) if section else None
    if field is None:
        return True
    kind = field.annotation
    return kind is SecretStr or (
        isinstance(kind, type) and issubclass(kind, BaseModel)
    )


def _nearest(path: Sequence[str], settings: type[BaseModel]) -> str:
    """A guess at the name that was meant."""
    section = _section(path, settings)
    names = list(section.model_fields) if section else []
    close = get_close_matches(path[-1], names, n=1)
    meant = ".".join([*path[:-1], *close])
    return f", did you mean {meant}?" if close else ""
