"""Fields added to an entity that is there: through every layer, its tests, and its migrations.

Files that a team has edited since are edited by syntax tree. One that no longer has the place is
refused by name, with what to write there by hand; then nothing is written at all.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import libcst as cst

from infra.project import ProjectError
from infra.scaffold import imports, layers, migration, spelling
from infra.scaffold.add_tests import tests
from infra.scaffold.classes import Editor
from infra.scaffold.edit import register_names
from infra.scaffold.entity import Entity, Field, Type
from infra.scaffold.write import read, room, write_all


def add_texts(
    added: Entity, tables: Mapping[str, str], folder: Path, *, date: str
) -> dict[str, str]:
    """Every changed and new file, by its path. `added` is the entity with the new fields alone;
    `tables` has the table of each class that is referred to.

    Raises ProjectError for a field that rows which are there can't have, and for a file in which
    something is not where it is expected.
    """
    for field in added.fields:
        judge(field)
    with room(folder) as place:
        found = layer_texts(added, tables, folder, place)
        write_all(place, found)
        found |= migration.write(place, folder, migrations(added, tables, date))
        return {path: text for path, text in found.items() if text != text_before(folder, path)}


def layer_texts(
    added: Entity, tables: Mapping[str, str], folder: Path, place: Path
) -> dict[str, str]:
    """The entity's files of every layer and its tests, with the fields, by their paths; `place` is
    a copy of the service. Raises ProjectError."""
    lines = formatted_lines(added, tables, place, folder)
    name = added.name
    edits = {
        f"src/models/{name}_model.py": model,
        f"src/schemas/{name}_query.py": query,
        f"src/repositories/{name}_repository.py": repository,
        f"src/services/{name}_service.py": service,
        f"src/routers/{name}_router.py": router,
    }
    found = {path: edit(path, read(folder, path), added, lines) for path, edit in edits.items()}
    path = f"tests/test_{name}.py"
    found[path] = tests(path, read(folder, path), added, place, folder)
    enums = [spelling.enum_class(added, each) for each in layers.enums(added)]
    path = "src/models/__init__.py"
    found[path] = register_names(path, read(folder, path), f"src.models.{name}_model", enums)
    return tidied(found, folder, place)


def tidied(found: Mapping[str, str], folder: Path, place: Path) -> dict[str, str]:
    """The changed files, formatted where they were before; a team that does not, is not made to."""
    before = {path: read(folder, path) for path in found}
    tidy = migration.formatted(place, folder, before)
    mine = {path: found[path] for path in found if tidy[path] == before[path]}
    return dict(found) | (migration.formatted(place, folder, mine) if mine else {})


def text_before(folder: Path, path: str) -> str:
    """A file's text as it is, "" when it is new."""
    return (folder / path).read_text("utf-8") if (folder / path).exists() else ""


def judge(field: Field) -> None:
    """Raises ProjectError for a field that the rows which are there could not have."""
    if not field.optional and not field.has_default:
        raise ProjectError(
            f"{field.name}: the rows that are there have no value for it; make it optional with ? "
            "behind its type, or give it a default="
        )
    if field.unique and field.has_default and field.default is not None:
        raise ProjectError(
            f"{field.name}: all rows that are there would have the same default, and it is unique; "
            "leave the default out, and make it optional with ? behind its type"
        )


def formatted_lines(
    added: Entity, tables: Mapping[str, str], place: Path, folder: Path
) -> dict[str, str]:
    """The classes' new lines, each as the service's formatter breaks it, by class and attribute."""
    lines = {}
    for each in added.fields:
        table = tables.get(each.target, added.plural)
        lines[f"base-{each.attribute}"] = spelling.base_line(added, each, table)
        lines[f"update-{each.attribute}"] = spelling.update_line(added, each)
    snippets = {f"{name}.py": f"class Snippet:\n    {line}\n" for name, line in lines.items()}
    done = migration.formatted(place, folder, snippets)
    for path in snippets:
        (place / path).unlink()
    return {path.removesuffix(".py"): text for path, text in done.items()}


def model(path: str, source: str, added: Entity, lines: Mapping[str, str]) -> str:
    """The base model and the model of changes with the fields, and their classes of values."""
    editor = Editor(path, source)
    for each in layers.enums(added):
        editor.insert_before(f"{added.class_name}Base", layers.enum_text(added, each))
    for kind, suffix in (("base", "Base"), ("update", "Update")):
        for each in added.fields:
            snippet = lines[f"{kind}-{each.attribute}"]
            editor.append(f"{added.class_name}{suffix}", snippet)
            editor.add_imports(imports.modules(snippet))
            editor.use_sqlalchemy(snippet)
    if layers.enums(added):
        editor.add_imports({"enum": {"StrEnum"}})
    return editor.code


def query(path: str, source: str, added: Entity, lines: Mapping[str, str]) -> str:
    """What lists can be filtered and sorted by, if any of it has an index."""
    listed = [each for each in added.fields if spelling.is_listed_by(added, each)]
    if not listed:
        return source
    editor = Editor(path, source)
    own = {spelling.enum_class(added, each): "src.models" for each in layers.enums(added)}
    own["Text"] = "src.models"
    class_name = f"{added.class_name}Query"
    names = [*editor.sorts(class_name), *(each.attribute for each in listed)]
    editor.remove(class_name, "sort")
    new = [f"{each.attribute}: {spelling.query_type(added, each)} | None = None" for each in listed]
    new.append(spelling.sort_line(names))
    for line in new:
        snippet = f"class Snippet:\n    {line}\n"
        editor.append(class_name, snippet)
        editor.add_imports(imports.modules(snippet, own))
    return editor.code


def repository(path: str, source: str, added: Entity, lines: Mapping[str, str]) -> str:
    """Which error says that what is referred to is not there."""
    found = layers.refs(added)
    if not found:
        return source
    editor = Editor(path, source)
    entries = {each.attribute: f"{each.target}NotFoundError" for each in found}
    editor.add_entries(f"{added.class_name}Repository", "references", entries)
    editor.add_imports({"src.exceptions": set(entries.values()), "typing": {"ClassVar"}})
    return editor.code


def service(path: str, source: str, added: Entity, lines: Mapping[str, str]) -> str:
    """The docstrings name the errors that can be raised."""
    tree = cst.parse_module(source)
    for each in dict.fromkeys(f"{one.target}NotFoundError" for one in layers.refs(added)):
        tree = cst.ensure_type(tree.visit(Raising(each)), cst.Module)
    return tree.code


class Raising(cst.CSTTransformer):
    """Names one more error where the docstrings of `create` and `update` say what they raise."""

    def __init__(self, error: str) -> None:
        super().__init__()
        self.error = error

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef:
        """Rewrites the docstring, unless it has the name, or says nothing of what is raised."""
        docstring = original_node.get_docstring(clean=False)
        named = original_node.name.value in {"create", "update"}
        if not named or not docstring or "Raises" not in docstring or self.error in docstring:
            return updated_node
        if not docstring.rstrip().endswith("."):
            return updated_node
        what, _, listed = docstring.rstrip().removesuffix(".").rpartition("Raises")
        errors = [*re.split(r",?\s+and\s+|,\s+", listed.strip()), self.error]
        if not all(each.isidentifier() for each in errors):
            return updated_node  # somebody's own words
        new = layers.raises(what.strip(), errors)
        replaced = updated_node.visit(Replacing(f'"""{docstring}"""', f'"""{new}"""'))
        return cst.ensure_type(replaced, cst.FunctionDef)


class Replacing(cst.CSTTransformer):
    """Replaces one text."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__()
        self.old, self.new = old, new

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        """Replaces it."""
        is_it = original_node.value == self.old
        return updated_node.with_changes(value=self.new) if is_it else updated_node


def router(path: str, source: str, added: Entity, lines: Mapping[str, str]) -> str:
    """A new one may refer to nothing: 404."""
    if not layers.refs(added) or "status_code=201, responses=errors(400, 404, 409)" in source:
        return source
    before = "status_code=201, responses=errors(400, 409)"
    if before not in source:
        raise ProjectError(
            f"{path}: its POST has no {before}; document 404 there by hand, as in errors(400, 404,"
            " 409), and write exactly that"
        )
    return source.replace(before, "status_code=201, responses=errors(400, 404, 409)")


def migrations(added: Entity, tables: Mapping[str, str], date: str) -> list[migration.Migration]:
    """One for the columns, and one for each index, key and check that must not hold up a table
    in use: each alone, as the release's linter wants it."""
    first = datetime.fromisoformat(date)
    fields = " and ".join(each.attribute.replace("_", " ") for each in added.fields)
    table = added.plural
    columns = tuple(each.attribute for each in added.fields)
    found = [("add", f"add {fields} to {added.words}", columns, "", "")]
    for each in added.fields:
        found += [
            ("text", f"{what} {each.attribute} of {added.words}", (), up, down)
            for what, up, down in followers(each, table)
        ]
    return [
        migration.Migration(
            step=step,
            table=table,
            message=message,
            date=(first + timedelta(minutes=number)).isoformat(),
            columns=columns,
            up=up,
            down=down,
        )
        for number, (step, message, columns, up, down) in enumerate(found)
    ]


AUTOCOMMIT = "with op.get_context().autocommit_block():\n        "


def followers(field: Field, table: str) -> list[tuple[str, str, str]]:
    """What comes after a field's column: in words, and its upgrade and downgrade."""
    column, found = field.attribute, []
    if field.type is Type.REF:
        key = f"{table}_{column}_fkey"
        validate = f'op.execute("ALTER TABLE {table} VALIDATE CONSTRAINT {key}")'
        found.append(("validate", validate, "pass"))
    if field.is_indexed:
        name = f"{table}_{column}_{'key' if field.unique else 'idx'}"
        make = (
            f'{AUTOCOMMIT}op.create_index(op.f("{name}"), "{table}", ["{column}"], '
            f"unique={field.unique}, postgresql_concurrently=True)"
        )
        drop = (
            f'{AUTOCOMMIT}op.drop_index(op.f("{name}"), table_name="{table}", '
            "postgresql_concurrently=True, if_exists=True)"
        )
        found.append(("index", make, drop))
    if field.unique:
        use = f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}"
        drop = f'op.drop_constraint(op.f("{name}"), "{table}", type_="unique")'
        found.append(("require unique", f'op.execute("{use}")', drop))
    return found
