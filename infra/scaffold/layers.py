"""The texts of an entity's own files, layer by layer, as they are before they are formatted.

The words are in templates/; what differs by field comes from spelling.py.
"""

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from infra.scaffold import imports, samples, spelling
from infra.scaffold.entity import Entity, Field, Type

WIDTH = 80


@cache
def templates() -> Environment:
    """Jinja, strict: a name that is not given is an error."""
    return Environment(
        loader=PackageLoader("infra.scaffold"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it is Python that is written
    )


def texts(entity: Entity, tables: Mapping[str, str]) -> dict[str, str]:
    """The entity's files by their path. `tables` has the table of each class that is referred to.

    Raises ProjectError where no test of a field could be written.
    """
    name = entity.name
    return {
        f"src/models/{name}_model.py": model(entity, tables),
        f"src/exceptions/{name}_error.py": render("error", entity),
        f"src/schemas/{name}_query.py": query(entity),
        f"src/repositories/{name}_repository.py": repository(entity),
        f"src/services/{name}_service.py": service(entity),
        f"src/routers/{name}_router.py": render("router", entity, refs=refs(entity)),
        f"tests/test_{name}.py": render("test", entity, **samples.words(entity)),
    }


def render(template: str, entity: Entity, **words: object) -> str:
    """One template with the entity's names and the words."""
    names = ("name", "plural", "class_name", "words", "plural_words", "path")
    own = {name: getattr(entity, name) for name in names}
    return templates().get_template(f"{template}.py.jinja").render(own | words)


def refs(entity: Entity) -> list[Field]:
    """The fields that refer to other entities."""
    return [each for each in entity.fields if each.type is Type.REF]


def enums(entity: Entity) -> list[Field]:
    """The fields that have a class of values."""
    return [each for each in entity.fields if each.type is Type.ENUM]


def model(entity: Entity, tables: Mapping[str, str]) -> str:
    """The models: what a caller writes, the table, and what a caller reads."""
    words = {
        "enums": [enum_text(entity, each) for each in enums(entity)],
        "base_lines": [
            spelling.base_line(entity, each, tables.get(each.target, entity.plural))
            for each in entity.fields
        ],
        "update_lines": [spelling.update_line(entity, each) for each in entity.fields],
        "unique": [", ".join(f'"{name}"' for name in group) for group in entity.unique],
    }
    text = render("model", entity, imports="", **words)
    return render("model", entity, imports=imports.lines(text), **words)


def enum_text(entity: Entity, field: Field) -> str:
    """The class of an enum's values."""
    members = [
        f"    {spelling.member(value)} = {spelling.literal(value)}" for value in field.values
    ]
    what = f"What the {field.name.replace('_', ' ')} of a {entity.words} can be."
    name = spelling.enum_class(entity, field)
    return "\n".join([f"class {name}(StrEnum):", f'    """{what}"""', "", *members, ""])


def query(entity: Entity) -> str:
    """What lists can be filtered and sorted by."""
    listed = [each for each in entity.fields if spelling.is_listed_by(entity, each)]
    words = {
        "query_lines": [
            f"{each.attribute}: {spelling.query_type(entity, each)} | None = None"
            for each in listed
        ],
        "sort_line": spelling.sort_line([each.attribute for each in listed]),
    }
    own = {spelling.enum_class(entity, each): "src.models" for each in enums(entity)}
    text = render("query", entity, imports="", **words)
    found = imports.lines(text, own | {"Text": "src.models"})
    return render("query", entity, imports=found, **words)


def repository(entity: Entity) -> str:
    """The queries, and which error says that what is referred to is not there."""
    found = refs(entity)
    errors = {f"{entity.class_name}AlreadyExistsError", f"{entity.class_name}NotFoundError"}
    errors |= {f"{each.target}NotFoundError" for each in found}
    first = "from typing import ClassVar\n" if found else ""
    return render("repository", entity, imports=first, errors=sorted(errors), refs=found)


def service(entity: Entity) -> str:
    """The rules, and the errors that each can raise."""
    own = entity.class_name
    targets = dict.fromkeys(f"{each.target}NotFoundError" for each in refs(entity))
    others = [each for each in targets if each != f"{own}NotFoundError"]
    taken = f"{own}AlreadyExistsError"
    created = [taken, *targets]
    updated = [f"{own}NotFoundError", taken, *others]
    return render(
        "service",
        entity,
        created=raises("Adds one.", created),
        updated=raises("Changes one.", updated, fill=len(updated) > 2),
    )


def raises(what: str, errors: list[str], fill: bool = True) -> str:
    """A docstring's words: what is done, and the errors; in lines of a method's docstring."""
    listed = errors[0] if len(errors) == 1 else f"{', '.join(errors[:-1])} and {errors[-1]}"
    if not fill:
        return f"{what} Raises {listed}".replace(" and ", " and\n        ") + "."
    lines, line = [], f'{" " * 8}"""{what}'
    for word in f"Raises {listed}.".split():
        if len(line) + 1 + len(word) + 3 > WIDTH:
            lines.append(line)
            line = f"{' ' * 8}{word}"
        else:
            line = f"{line} {word}"
    return "\n".join([*lines, line]).removeprefix(f'{" " * 8}"""')
