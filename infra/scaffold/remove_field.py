"""Fields that leave an entity: every layer, the tests, and the columns, in two releases.

The version that runs still uses a column, so the code goes first (docs/migrations.md); a column
that no other checkout has ever seen goes with its migrations.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from infra.project import ProjectError
from infra.scaffold import (
    columns,
    dropped,
    existing,
    judge,
    migration,
    remove_layers,
    remove_tests,
    still_used,
)
from infra.scaffold.add import tidied
from infra.scaffold.edit import unregister_names
from infra.scaffold.entity import Entity
from infra.scaffold.existing import Existing, Migration, Model
from infra.scaffold.leaving import ALEMBIC, leaving, with_leaving
from infra.scaffold.remove import NOTHING, Removal, is_known
from infra.scaffold.remove_layers import Leaving
from infra.scaffold.write import LAYERS, read, room


@dataclass(frozen=True)
class Going:
    """Fields that leave, and what is known of them."""

    model: Model
    entity: Entity
    """Its names alone."""
    attributes: tuple[str, ...]
    """The columns."""
    existing: Existing

    @property
    def words(self) -> str:
        """`weight and height`, as people read it."""
        return " and ".join(each.replace("_", " ") for each in self.attributes)

    @property
    def listed(self) -> str:
        """`weight, height`, as they are typed."""
        return ", ".join(self.attributes)

    @property
    def full(self) -> list[str]:
        """`products.weight`."""
        return [f"{self.model.table}.{each}" for each in self.attributes]

    def path(self, layer: str) -> str:
        """The entity's file of a layer."""
        return f"src/{layer}/{self.model.name}_{LAYERS[layer]}.py"

    @property
    def tests(self) -> str:
        """The entity's tests."""
        return f"tests/test_{self.model.name}.py"


def removal(name: str, words: Sequence[str], there: Existing) -> Removal:
    """How fields are removed, or, when only their columns are left, those. Raises ProjectError."""
    snake = judge.class_of(name)
    model = there.by_class.get(name)
    if model is None:
        known = ", ".join(there.by_class) or "none"
        raise ProjectError(f"{name}: the service has no such entity (it has {known}); {NOTHING}")
    fields = fields_of(model, there)
    entity = Entity(snake, model.table, ())
    found = [attribute_of(word, fields) for word in words]
    if not any(found):
        left = [left_of(word, model, there) for word in words]
        if all(left):
            gone = Going(model, entity, tuple(dict.fromkeys(filter(None, left))), there)
            return columns_left(name, gone)
    for word, attribute in zip(words, found, strict=True):
        if attribute is None:
            raise ProjectError(
                f"{name} has no field “{word}”; it has {', '.join(fields)}; {NOTHING}"
            )
    gone = Going(model, entity, tuple(dict.fromkeys(filter(None, found))), there)
    check_left(name, fields, gone)
    return out_of_the_code(name, gone)


def fields_of(model: Model, there: Existing) -> list[str]:
    """What a caller writes: no variable of a class, and nothing of Python's own."""
    path = there.folder / f"src/models/{model.name}_model.py"
    variables = {
        each.target.id
        for each in ast.walk(existing.tree(path))
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and "ClassVar" in ast.unparse(each.annotation)
    }
    return [each for each in model.attributes if each not in variables and each[:2] != "__"]


def attribute_of(word: str, fields: Sequence[str]) -> str | None:
    """The field that a word names, as it was declared or as its column is called."""
    return next((each for each in (word, f"{word}_id") if each in fields), None)


def left_of(word: str, model: Model, there: Existing) -> str | None:
    """The column that a word names, of those that the code no longer uses."""
    noted = leaving(there.folder)
    return next((each for each in (word, f"{word}_id") if f"{model.table}.{each}" in noted), None)


def check_left(name: str, fields: Sequence[str], gone: Going) -> None:
    """Raises ProjectError where no field is left, or one is unique together with others."""
    if not {*fields} - {*gone.attributes}:
        raise ProjectError(
            f"{name} would have no field any more; remove the entity: uv run invoke entity --remove"
            f" {name}; {NOTHING}"
        )
    path = gone.path("models")
    for group in remove_layers.groups(path, read(gone.existing.folder, path)):
        for each in gone.attributes:
            if each in group:
                listed = ", ".join(f'"{one}"' for one in group)
                raise ProjectError(
                    f"{path}: {each} is in a unique group; take UniqueConstraint({listed}) out of"
                    f" __table_args__ first, with a migration and its test; {NOTHING}"
                )


def out_of_the_code(name: str, gone: Going) -> Removal:
    """The fields out of every layer; with their migrations, or for a later release the columns."""
    folder = gone.existing.folder
    fresh = fresh_migrations(gone)
    texts: dict[str, str | None] = {}
    with room(folder) as place:
        if not fresh and (empty := emptied(gone)):
            texts |= migration.write(place, folder, empty)
        texts |= layer_texts(gone, place)
    said = f"{gone.listed} of {name}"
    if fresh:
        paths = [each.path.relative_to(folder).as_posix() for each in fresh]
        return Removal(
            texts | dict.fromkeys(paths),
            f"Without {said}, and without migrations for it, which git does not have. A local"
            " database that ran them already keeps what they made: undo them there first, or make"
            " it anew",
        )
    texts[ALEMBIC] = with_leaving(folder, [*leaving(folder), *gone.full])
    return Removal(
        texts,
        f"Without {said}: the table {gone.model.table} keeps the values, as the version that runs"
        f" uses them. Release this; then uv run invoke entity --remove {name}"
        f" {' '.join(gone.attributes)} again writes the migration that drops them",
    )


def layer_texts(gone: Going, place: Path) -> dict[str, str]:
    """The changed files of every layer and the tests, by their paths; `place` is a copy of the
    service. Raises ProjectError where a field is used otherwise."""
    edits, enums = edited(gone)
    folder = gone.existing.folder
    tidy = tidied(edits, folder, place)
    check_unused(gone, tidy, enums)
    return {path: text for path, text in tidy.items() if text != read(folder, path)}


def edited(gone: Going) -> tuple[dict[str, str], set[str]]:
    """The changed files, and the classes of values that went."""
    folder, name = gone.existing.folder, gone.model.class_name
    out = Leaving(name, gone.attributes)
    files = {path: read(folder, path) for path in (*map(gone.path, LAYERS), gone.tests)}
    path = gone.path("models")
    files[path], enums = remove_layers.model(path, files[path], out)
    path = gone.path("schemas")
    files[path] = remove_layers.query(path, files[path], out)
    path = gone.path("repositories")
    before = remove_layers.references(path, files[path], name)
    files[path] = remove_layers.repository(path, files[path], out)
    after = {key: error for key, error in before.items() if key not in gone.attributes}
    path = gone.path("services")
    lost = sorted({*before.values()} - {*after.values()})
    files[path] = remove_layers.service(path, files[path], name, lost)
    if before and not after:
        path = gone.path("routers")
        files[path] = remove_layers.router(path, files[path])
    path = gone.tests
    files[path] = remove_tests.tests(
        path, files[path], gone.attributes, is_imported=has_others_that_send(gone)
    )
    if enums:
        path, module = "src/models/__init__.py", f"src.models.{gone.model.name}_model"
        files[path] = unregister_names(path, read(folder, path), module, {*enums})
    return files, {*enums}


def has_others_that_send(gone: Going) -> bool:
    """Whether other tests use the samples of these."""
    module = f"tests.test_{gone.model.name}"
    return any(
        isinstance(each, ast.ImportFrom)
        and each.module == module
        and "new" in {alias.name for alias in each.names}
        for path in (gone.existing.folder / "tests").rglob("*.py")
        for each in ast.walk(existing.tree(path))
    )


def check_unused(gone: Going, after: dict[str, str], enums: set[str]) -> None:
    """Raises ProjectError where the entity's files name a field still, or any a class that went."""
    folder = gone.existing.folder
    own = {path: text for path, text in after.items() if not path.endswith("__init__.py")}
    before = {path: read(folder, path) for path in own}
    for each in gone.attributes:
        if found := still_used.places(own, before, gone.entity, each):
            raise ProjectError(f"{found[0]}: it uses {each}; take that out first; {NOTHING}")
    if not enums:
        return
    paths = sorted(path for top in ("src", "tests") for path in (folder / top).rglob("*.py"))
    files = [(path.relative_to(folder).as_posix(), path) for path in paths]
    texts = ((path, after.get(path) or file.read_text("utf-8")) for path, file in files)
    if place := still_used.imported(texts, enums):
        raise ProjectError(f"{place}; take that out first; {NOTHING}")


def fresh_migrations(gone: Going) -> list[Migration]:
    """The columns' own migrations, the newest first, when nobody else can have them: no commit has
    one of them, they are about nothing else, and no other follows."""
    table, names = gone.model.table, gone.attributes
    mine = columns.touching(table, names, gone.existing)
    added = {
        column
        for each in mine
        for call in columns.calls(each, table)
        if call.name == "add_column"
        for column in call.columns
    }
    if not {*names} <= added:
        return []
    followed: set[str] = set()
    for each in mine:
        after = {one.revision for one in gone.existing.migrations if each.revision in one.down}
        is_shared = not columns.is_about(each, table, names)
        if after - followed or is_shared or is_known(each.path, gone.existing.folder):
            return []
        followed.add(each.revision)
    return mine


def may_be_needed(attribute: str, gone: Going) -> bool:
    """Whether a row may need a value of the column, or one of its own: unless its model says no."""
    path = gone.existing.folder / gone.path("models")
    declared = [
        ast.unparse(each)
        for each in ast.walk(existing.tree(path))
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and each.target.id == attribute
    ]
    return not all("| None" in each and "server_default" not in each for each in declared)


def emptied(gone: Going) -> list[migration.Migration]:
    """The migrations that let columns be empty, which nobody fills any more, where they may need
    it."""
    needed = [each for each in gone.attributes if may_be_needed(each, gone)]
    return [
        migration.Migration(
            step="empty",
            table=gone.model.table,
            message=f"let the {attribute.replace('_', ' ')} of {gone.entity.words} be empty",
            date=(migration.now() + timedelta(minutes=number)).isoformat(),
            columns=(attribute,),
        )
        for number, attribute in enumerate(needed)
    ]


def columns_left(name: str, gone: Going) -> Removal:
    """The migration that drops the columns of fields whose code has gone."""
    folder, table = gone.existing.folder, gone.model.table
    path, text = dropped.written(
        f"remove {gone.words} of {gone.entity.words}",
        columns.dropping(table, gone.attributes, gone.existing),
        columns.redone(table, gone.attributes, gone.existing),
        gone.existing,
    )
    kept = [each for each in leaving(folder) if each not in gone.full]
    return Removal(
        {path: text, ALEMBIC: with_leaving(folder, kept)},
        f"The migration drops {', '.join(gone.full)} and all values there: release it once no"
        " version that uses them serves any more; invoke deploy refuses it before",
    )
