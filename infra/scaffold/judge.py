"""An entity's words and the service → the entity, when the service has room for it.

What clashes is refused with the word that does, and the nearest that would not.
"""

from collections.abc import Sequence

from infra.project import ProjectError
from infra.scaffold import names, reserved
from infra.scaffold.declared import Declared
from infra.scaffold.entity import Entity, Field, OnDelete, Text, Type
from infra.scaffold.existing import Existing, Model
from infra.scaffold.leaving import noted
from infra.scaffold.lexer import nearest

# A third of a page, less what the index keeps of its own.
INDEX_BYTES = 2600
NOTHING = "nothing was written"
SUFFIXES = ("", "Base", "Create", "Public", "Update")


def entity_of(
    name: str, declared: Sequence[Declared], existing: Existing, plural: str, unique: Sequence[str]
) -> Entity:
    """The entity. `unique` has groups, each `category,name`. Raises ProjectError."""
    snake = class_of(name)
    table = plural_of(snake, plural)
    check_name(name, snake, table, existing)
    if not declared:
        raise ProjectError(
            f"{name} has no field; say each, as in “name:str unique max=80”; {NOTHING}"
        )
    entity = Entity(snake, table, tuple(each.field for each in declared))
    check_fields(entity, declared, existing)
    entity = Entity(snake, table, entity.fields, tuple(group_of(each, entity) for each in unique))
    check_groups(entity)
    return entity


def added_to(name: str, declared: Sequence[Declared], existing: Existing) -> Entity:
    """The entity that is there with the new fields alone. Raises ProjectError."""
    snake = class_of(name)
    model = existing.by_class.get(name)
    if model is None:
        close = nearest(name, existing.by_class)
        known = f"did you mean {close}?" if close else f"it has {', '.join(existing.by_class)}"
        raise ProjectError(f"--add {name}: the service has no such entity; {known}; {NOTHING}")
    if not declared:
        raise ProjectError(f"--add {name}: which fields? As in “weight:float?”; {NOTHING}")
    check_heads(existing)
    added = Entity(snake, model.table, tuple(each.field for each in declared))
    seen = {*model.attributes}
    for each in declared:
        check_field(added, each, existing, seen)
        seen.add(each.field.attribute)
        refuse_unfillable(each)
        if (column := f"{model.table}.{each.field.attribute}") in noted(existing.folder):
            raise each.declaration.refuse(
                each.name,
                f"the database still has {column}, which is leaving; drop it first: invoke entity "
                f"--remove {name} {each.field.attribute}",
            )
    return added


def refuse_unfillable(each: Declared) -> None:
    """A field that the rows which are there could not have."""
    if not each.field.optional and not each.field.has_default:
        likely = "behind the type, or default="
        raise each.refuse(
            f"the rows that are there have no {each.field.attribute}; write ? {likely}"
        )


def class_of(name: str) -> str:
    """The name in snake_case of an entity's class. Raises ProjectError with the nearest class."""
    snake = names.snake(name)
    if names.pascal(snake) != name or not name[:1].isalpha() or not name.isascii():
        likely = names.pascal(snake.lstrip("0123456789_")) or "Product"
        raise ProjectError(
            f"“{name}” is no name for an entity: it is a class, singular; did you mean {likely}?"
            f" {NOTHING}"
        )
    return snake


def plural_of(snake: str, given: str) -> str:
    """The table's name: the plural that was given, else the library's."""
    if given and not names.ENTITY.fullmatch(given):
        likely = names.snake(given).lstrip("0123456789_") or names.plural(snake)
        raise ProjectError(f"--plural {given}: it is a table's name; did you mean {likely}?")
    return given or names.plural(snake)


def check_name(name: str, snake: str, table: str, existing: Existing) -> None:
    """Raises ProjectError for a name that is reserved, or that the service has already."""
    if rule := names.broken_rules_of_entity(snake, table):
        raise ProjectError(f"{name}: it needs another name: {rule}; {NOTHING}")
    if name in existing.by_class:
        raise ProjectError(
            f"{name}: the service has it already, in src/models/{snake}_model.py; to add fields to"
            f" it: invoke entity --add {name} …; {NOTHING}"
        )
    for class_name, other in existing.tables.items():
        if other == table:
            raise ProjectError(
                f"{name}: {class_name} has the table {table} already; give another: --plural"
            )
    if table in noted(existing.folder):
        raise ProjectError(
            f"{name}: the database still has the table {table}, which is leaving; drop it first:"
            f" invoke entity --remove {name}; or give another: --plural; {NOTHING}"
        )
    taken = {
        f"src/models/{snake}_model.py",
        f"src/exceptions/{snake}_error.py",
        f"src/schemas/{snake}_query.py",
        f"src/repositories/{snake}_repository.py",
        f"src/services/{snake}_service.py",
        f"src/routers/{snake}_router.py",
        f"tests/test_{snake}.py",
    }
    for path in sorted(taken):
        if existing.has(path):
            raise ProjectError(f"{path}: it is there already, and is not overwritten; {NOTHING}")
    made = {f"{name}{suffix}" for suffix in (*SUFFIXES, "Query", "Repository", "Service")}
    clash = sorted(made & frozenset().union(*existing.exported.values()))
    if clash:
        raise ProjectError(f"{name}: the service has its own {clash[0]}; {NOTHING}")
    check_heads(existing)


def check_heads(existing: Existing) -> None:
    """Raises ProjectError when it is not plain which migration the new one follows."""
    if len(existing.heads) > 1:
        heads = ", ".join(each.revision for each in existing.heads)
        raise ProjectError(
            f"db/versions: there are several heads, {heads}; put them together first: uv run"
            f' alembic -c db/alembic.ini merge heads -m "merge"; {NOTHING}'
        )


def check_fields(entity: Entity, declared: Sequence[Declared], existing: Existing) -> None:
    """Raises ProjectError for a field that clashes, or that refers to what is not there."""
    seen: set[str] = set()
    for each in declared:
        check_field(entity, each, existing, seen)
        seen.add(each.field.attribute)


def check_field(entity: Entity, each: Declared, existing: Existing, seen: set[str]) -> None:
    """One field among those before it."""
    field, declaration = each.field, each.declaration
    attribute = field.attribute
    if attribute in seen:
        raise declaration.refuse(each.name, f"{entity.class_name} has {attribute} already")
    if rule := names.broken_rules_of_field(attribute):
        likely = f"{entity.name}_{attribute}"
        raise declaration.refuse(each.name, f"{rule}; did you mean {likely}?")
    if field.is_indexed and attribute in reserved.QUERY:
        raise declaration.refuse(
            each.name,
            f"a list's query has its own {attribute}, so it can't choose by this one; leave out"
            f" unique and index, or did you mean {entity.name}_{attribute}?",
        )
    if field.type is Type.STR and field.is_indexed:
        check_index(each)
    if attribute in defaults_of(entity):
        # In the class the name would be the field's, where the default needs the type.
        raise declaration.refuse(
            each.name,
            f"another field's default is a {attribute}; did you mean {entity.name}_{attribute}?",
        )
    longest = f"{entity.plural}_{attribute}_fkey"
    if len(longest) > names.LONGEST:
        raise declaration.refuse(
            each.name, f"PostgreSQL cuts {longest} off: a name has at most {names.LONGEST} letters"
        )
    if field.type is Type.ENUM:
        check_enum(entity, each, existing)
    if field.type is Type.REF:
        check_reference(entity, each, existing)


def defaults_of(entity: Entity) -> set[str]:
    """The types that a default of the entity's is made by, as Python has their names."""
    kinds = {Type.DATE, Type.DATETIME, Type.TIME}
    return {str(each.type) for each in entity.fields if each.has_default and each.type in kinds}


def check_index(each: Declared) -> None:
    """A text in an index has to fit into it."""
    if each.field.maximum is None and each.field.text is None:
        raise each.refuse(
            "an index can't hold a text of any length; did you mean max=255?",
            "unique" if each.field.unique else "index",
        )


def check_enum(entity: Entity, each: Declared, existing: Existing) -> None:
    """An enum has a class and a type of its own."""
    class_name = entity.class_name + names.pascal(each.field.name)
    type_name = f"{entity.name}_{each.field.name}"
    own = {f"{entity.class_name}{suffix}" for suffix in SUFFIXES}
    if class_name in own | existing.exported["models"] | {f"{entity.class_name}Query"}:
        raise each.declaration.refuse(
            each.name, f"its class would be {class_name}, which the service has; use another name"
        )
    if type_name in {*existing.tables.values(), entity.plural}:
        raise each.declaration.refuse(
            each.name, f"its type would be {type_name}, which is a table; use another name"
        )


def check_reference(entity: Entity, each: Declared, existing: Existing) -> None:
    """What is referred to is there, and its tests can make one."""
    field, target = each.field, each.target or each.kind
    if field.target == entity.class_name:
        if not field.optional:
            said = f"the first {entity.words} could refer to none; did you mean {field.target}?"
            raise each.declaration.refuse(target, f"{said}{'?'}")
        return
    if field.target not in existing.by_class:
        known = [*existing.by_class]
        close = nearest(field.target, known)
        hint = f"did you mean {close}?" if close else f"there is {', '.join(known) or 'none yet'}"
        raise each.declaration.refuse(target, f"the service has no {field.target}; {hint}")
    if way := way_back(existing.by_class[field.target], entity.plural, existing):
        raise each.declaration.refuse(
            target,
            f"{' → '.join(way)} → {entity.class_name} refers back: of tables in a circle none can"
            " be made first. Leave one out, or put an entity between, with a ref to each",
        )
    if f"{field.target}NotFoundError" not in existing.exported["exceptions"]:
        raise each.declaration.refuse(
            target,
            f"src/exceptions/__init__.py hands on no {field.target}NotFoundError, which is what a"
            " caller gets for one that is not there",
        )
    module = existing.by_class[field.target].name
    if not existing.can_create(module):
        raise each.declaration.refuse(
            target,
            f"tests/test_{module}.py has no “async def create(client, **fields)”, with which the"
            f" new tests make a {field.target}; write it there, as `invoke entity` does",
        )


def way_back(model: Model, table: str, existing: Existing) -> list[str]:
    """The entities by whose references one comes from a model to a table; none if one can't."""
    by_table = {each.table: each for each in existing.models}
    ways = [[model]]
    seen = {model.table}
    while ways:
        way = ways.pop(0)
        for _, other in way[-1].references:
            if other == table:
                return [each.class_name for each in way]
            if other in by_table and other not in seen:
                seen.add(other)
                ways.append([*way, by_table[other]])
    return []


def group_of(text: str, entity: Entity) -> tuple[str, ...]:
    """The attributes of a group, which may be named as their fields are."""
    by_name = {each.name: each.attribute for each in entity.fields}
    by_name |= {each.attribute: each.attribute for each in entity.fields}
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in by_name:
            close = nearest(word, by_name)
            hint = f"did you mean {close}?" if close else f"it has {', '.join(by_name)}"
            raise ProjectError(
                f"--unique {text}: {entity.class_name} has no {word}; {hint} {NOTHING}"
            )
        found.append(by_name[word])
    if len({*found}) != len(found):
        raise ProjectError(f"--unique {text}: a field is in it twice; {NOTHING}")
    if len(found) < 2:
        raise ProjectError(
            f"--unique {text}: a group has two fields at least, as in --unique category,name; one"
            f" alone is “{found[0] if found else 'name'}:… unique”; {NOTHING}"
        )
    return tuple(found)


def check_groups(entity: Entity) -> None:
    """Raises ProjectError for a group that no index can hold."""
    by_attribute = {each.attribute: each for each in entity.fields}
    for group in entity.unique:
        said = f"--unique {','.join(group)}"
        for attribute in group:
            reason = unfit(by_attribute[attribute])
            if reason:
                raise ProjectError(f"{said}: {attribute} {reason}; {NOTHING}")
        if group[0] in reserved.QUERY:
            raise ProjectError(f"{said}: a list's query has its own {group[0]}; name another first")
        size = sum(bytes_of(by_attribute[attribute]) for attribute in group)
        if size > INDEX_BYTES:
            raise ProjectError(f"{said}: an index can't hold texts of these lengths together")
        name = f"{entity.plural}_{'_'.join(group)}_key"
        if len(name) > names.LONGEST:
            raise ProjectError(f"{said}: PostgreSQL cuts {name} off at {names.LONGEST} letters")
    if len({frozenset(group) for group in entity.unique}) != len(entity.unique):
        raise ProjectError(f"--unique: a group is said twice; {NOTHING}")


def unfit(field: Field) -> str:
    """Why a field can't be in a unique group."""
    if field.is_list or field.type in {Type.JSON, Type.FLOAT}:
        return "can't be unique, as a list, JSON and a float can't"
    if field.unique:
        return "is unique already, and with it every group it is in"
    if field.type is Type.STR and field.maximum is None and field.text is None:
        return "is a text of any length, which no index holds; give it max="
    return ""


def bytes_of(field: Field) -> int:
    """How much of an index a value takes at most."""
    if field.type is not Type.STR:
        return 64
    if field.text is Text.EMAIL or field.text is Text.URL:
        return field.maximum or {Text.EMAIL: 254, Text.URL: 2083}[field.text]
    return 4 * (field.maximum or 0)


def unsaid_rules(declared: Sequence[Declared]) -> list[Declared]:
    """The references whose rule for a deletion was not said."""
    return [
        each for each in declared if each.field.type is Type.REF and "on_delete" not in each.said
    ]


def rules_of(field: Field) -> list[OnDelete]:
    """The rules that a reference can have."""
    return [rule for rule in OnDelete if field.optional or rule is not OnDelete.SET_NULL]
