"""What a service has already: its entities, the names its layers hand on, its migrations.

Read from the syntax of its files: nothing of the service is imported or run.
"""

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from infra.project import ProjectError

LAYERS = ("models", "exceptions", "schemas", "repositories", "services", "routers")


@dataclass(frozen=True)
class Model:
    """An entity that is there."""

    name: str
    """In snake_case, as its files have it."""
    class_name: str
    table: str
    attributes: tuple[str, ...]
    """Those that a caller writes."""
    references: tuple[tuple[str, str], ...]
    """Each column that refers to another table, and that table."""


@dataclass(frozen=True)
class Migration:
    """A migration's file."""

    path: Path
    revision: str
    down: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Existing:
    """A service's folder, read once."""

    folder: Path
    models: tuple[Model, ...]
    exported: dict[str, frozenset[str]]
    """The names that each layer hands on."""
    migrations: tuple[Migration, ...]

    @cached_property
    def tables(self) -> dict[str, str]:
        """The table of each entity's class."""
        return {model.class_name: model.table for model in self.models}

    @cached_property
    def by_class(self) -> dict[str, Model]:
        """Each entity by its class."""
        return {model.class_name: model for model in self.models}

    @cached_property
    def heads(self) -> tuple[Migration, ...]:
        """The migrations that no other follows."""
        followed = {down for each in self.migrations for down in each.down}
        return tuple(each for each in self.migrations if each.revision not in followed)

    def has(self, path: str) -> bool:
        """Whether the service has a file of that path."""
        return (self.folder / path).exists()

    def can_create(self, name: str) -> bool:
        """Whether the tests of an entity have a function `create` for the tests of others."""
        path = self.folder / f"tests/test_{name}.py"
        if not path.is_file():
            return False
        made = (ast.FunctionDef, ast.AsyncFunctionDef)
        return any(isinstance(each, made) and each.name == "create" for each in tree(path).body)


def read(folder: Path) -> Existing:
    """What the service has. Raises ProjectError where it is no service, or its files no Python."""
    for layer in LAYERS:
        path = folder / "src" / layer / "__init__.py"
        if not path.is_file():
            raise ProjectError(f"{path}: there is no such file; run this in a generated service")
    files = sorted((folder / "src/models").glob("*.py"))
    return Existing(
        folder=folder,
        models=tuple(model for path in files if (model := model_of(path)) is not None),
        exported={layer: exported(folder / "src" / layer / "__init__.py") for layer in LAYERS},
        migrations=tuple(
            found
            for path in sorted((folder / "db/versions").glob("*.py"))
            if (found := migration_of(path)) is not None
        ),
    )


def tree(path: Path) -> ast.Module:
    """The syntax of a file. Raises ProjectError."""
    try:
        return ast.parse(path.read_text("utf-8"))
    except SyntaxError as error:
        raise ProjectError(f"{path}:{error.lineno}: this is no Python: {error.msg}") from None
    except UnicodeDecodeError:
        raise ProjectError(f"{path}: this is no text in UTF-8") from None


def exported(path: Path) -> frozenset[str]:
    """The names that a layer's `__init__` imports or defines."""
    names: set[str] = set()
    for each in tree(path).body:
        if isinstance(each, ast.ImportFrom | ast.Import):
            names |= {alias.asname or alias.name for alias in each.names}
        elif isinstance(each, ast.ClassDef | ast.FunctionDef):
            names.add(each.name)
    return frozenset(names)


def model_of(path: Path) -> Model | None:
    """The entity of a file: the class that is a table, and the fields of it and its bases there."""
    classes = {each.name: each for each in tree(path).body if isinstance(each, ast.ClassDef)}
    for each in classes.values():
        if any(keyword.arg == "table" for keyword in each.keywords):
            bases = [base.id for base in each.bases if isinstance(base, ast.Name)]
            parts = [each, *(classes[base] for base in bases if base in classes)]
            fields = [
                field for part in parts for field in part.body if isinstance(field, ast.AnnAssign)
            ]
            return Model(
                name=path.stem.removesuffix("_model"),
                class_name=each.name,
                table=table_name(each),
                attributes=tuple(
                    field.target.id for field in fields if isinstance(field.target, ast.Name)
                ),
                references=tuple(found for field in fields if (found := reference(field))),
            )
    return None


def table_name(model: ast.ClassDef) -> str:
    """`__tablename__`, or what SQLModel makes of the class's name."""
    for each in model.body:
        targets = each.targets if isinstance(each, ast.Assign) else []
        if isinstance(each, ast.AnnAssign):
            targets = [each.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        value = getattr(each, "value", None)
        if "__tablename__" in names and isinstance(value, ast.Constant):
            return str(value.value)
    return model.name.lower()


def reference(field: ast.AnnAssign) -> tuple[str, str] | None:
    """A field that refers to another table, and that table."""
    if not isinstance(field.value, ast.Call) or not isinstance(field.target, ast.Name):
        return None
    for keyword in field.value.keywords:
        if keyword.arg == "foreign_key" and isinstance(keyword.value, ast.Constant):
            return field.target.id, str(keyword.value.value).rpartition(".")[0]
    return None


def migration_of(path: Path) -> Migration | None:
    """A migration's ids; None for a file that is none."""
    values: dict[str, object] = {}
    for each in tree(path).body:
        target: ast.expr | None = each.target if isinstance(each, ast.AnnAssign) else None
        if isinstance(each, ast.Assign):
            target = each.targets[0]
        if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
            value = each.value if isinstance(each, ast.Assign | ast.AnnAssign) else None
            values[target.id] = ast.literal_eval(value) if value is not None else None
    if "revision" not in values:
        return None
    down = values.get("down_revision")
    downs = tuple(down) if isinstance(down, tuple | list) else (down,) if down else ()
    return Migration(path, str(values["revision"]), tuple(map(str, downs)), path.read_text("utf-8"))
