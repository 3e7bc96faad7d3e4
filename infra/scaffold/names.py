"""Names of entities and fields: their forms, their plurals, and those that can't be had."""

import re
from collections.abc import Iterator
from functools import cache

import inflect

from infra.scaffold import reserved, spelling
from infra.scaffold.lexer import Declaration, Word

# PostgreSQL, "Identifiers and Key Words": what is longer is cut off.
LONGEST = 63
LONGEST_ENTITY = 20
LONGEST_FIELD = 40
ENTITY = re.compile(r"[a-z](?:_?[a-z0-9])+")
FIELD = re.compile(r"[a-z](?:_?[a-z0-9])*")

member = spelling.member
pascal = spelling.pascal


def snake(name: str) -> str:
    """A name as it is in files and tables: `LineItem`, `line-item`, `line item`: `line_item`."""
    parted = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    parted = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", parted)
    return re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")


@cache
def engine() -> inflect.engine:
    """What knows English."""
    return inflect.engine()


# Words that inflect has another plural for than the template's example (local_extensions.plural):
# an entity has the same one whichever way it is made.
OTHERS = dict(
    re.findall(
        r"(\w+):(\w+)",
        """
    addendum:addenda appendix:appendices automaton:automata cactus:cacti corpus:corpora
    craft:crafts curriculum:curricula epoch:epochs feedback:feedback fungus:fungi
    goods:goods hardware:hardware hoof:hooves larva:larvae matrix:matrices means:means
    medium:media memorandum:memoranda metadata:metadata monarch:monarchs passerby:passersby
    quantum:quanta radius:radii software:software spectrum:spectra symposium:symposia
    tech:techs thief:thieves vertex:vertices vortex:vortices
    """,
    )
)


def plural(name: str) -> str:
    """The English plural of a snake_case name, of which only the last word changes."""
    head, underscore, last = name.rpartition("_")
    parted = re.fullmatch(r"([a-z]+?)([0-9]*)", last)
    if parted is None:
        return f"{name}s"
    word, digits = parted.groups()
    found = OTHERS.get(word) or engine().plural_noun(word) or word
    return f"{head}{underscore}{found if not digits else word + digits + 's'}"


def check_field(declaration: Declaration, word: Word) -> None:
    """Raises ProjectError for what can't be a field's name, whatever its type."""
    name = word.text
    if not FIELD.fullmatch(name):
        likely = snake(name).lstrip("0123456789_") or "name"
        said = "a field is lowercase letters, digits and single underscores, a letter first"
        raise declaration.refuse(word, f"“{name}” is no name: {said}; did you mean {likely}?")
    if len(name) > LONGEST_FIELD:
        raise declaration.refuse(word, f"a field's name has at most {LONGEST_FIELD} letters")


def broken_rules_of_field(attribute: str) -> str:
    """Why a column can't have that name; "" when it can."""
    if attribute in reserved.ROW:
        return f"every entity has its own {attribute}"
    if attribute in reserved.PYTHON_WORDS - {"type", "match", "case"}:
        return f"{attribute} is a word of Python's"
    if attribute in reserved.POSTGRESQL_WORDS:
        return f"PostgreSQL reserves {attribute}"
    if attribute in reserved.MODEL_NAMES or attribute.startswith(reserved.MODEL_PREFIXES):
        return f"a model has its own {attribute}"
    return ""


def broken_rules_of_entity(entity: str, table: str) -> str:
    """Why an entity can't have that name and plural; "" when it can."""
    return next(entity_rules(entity, table), "")


def entity_rules(entity: str, table: str) -> Iterator[str]:
    """The rules that the names break, the most telling first."""
    class_name = pascal(entity)
    if not ENTITY.fullmatch(entity) or len(entity) > LONGEST_ENTITY:
        yield f"an entity's name has 2 to {LONGEST_ENTITY} letters and digits, a letter first"
    for name in (entity, table):
        if name in reserved.PYTHON_WORDS | reserved.BUILTINS:
            yield f"{name} is one of Python's own"
        if name in reserved.SERVICE_NAMES:
            yield f"the service has its own {name}"
    for name in (class_name, f"{class_name}NotFoundError", f"{class_name}AlreadyExistsError"):
        if name in reserved.BUILTINS:
            yield f"its class {name} would hide Python's own"
    if class_name in reserved.SERVICE_CLASSES | reserved.FIELD_TYPES:
        yield f"the service has its own {class_name}"
    if table in reserved.POSTGRESQL_WORDS or table.startswith("pg_"):
        yield f"PostgreSQL reserves {table}, its table's name; give another with --plural"
