"""An entity → the texts of all files that are new or changed. The service is not written to.

The work is done in a copy of the service, whose Python, Alembic and ruff say how it is written.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.project import ProjectError
from infra.scaffold import layers, migration, spelling
from infra.scaffold.edit import add_to, register, unregister
from infra.scaffold.entity import Entity

COPIED = ("src", "db")
COPIED_FILES = ("pyproject.toml", "ruff.toml", ".ruff.toml")
LAYERS = {
    "models": "model",
    "exceptions": "error",
    "schemas": "query",
    "repositories": "repository",
    "services": "service",
    "routers": "router",
}


def texts(
    entity: Entity,
    tables: Mapping[str, str],
    folder: Path,
    *,
    date: str,
    revision: str = "",
) -> dict[str, str]:
    """Every new and every changed file of a new entity, by its path in the service, as it is then.

    `tables` has the table of each class that is referred to; `date` is the migration's, in ISO
    format. Raises ProjectError for a service in which something is not where it is expected.
    """
    with room(folder) as place:
        new = migration.formatted(place, folder, layers.texts(entity, tables))
        changed = registered(entity, folder)
        write_all(place, changed)
        created = migration.Migration(
            step="create",
            table=entity.plural,
            message=f"add {entity.words}",
            date=date,
            revision=revision,
        )
        return new | changed | migration.write(place, folder, [created])


def registered(entity: Entity, folder: Path) -> dict[str, str]:
    """The layers' `__init__`, handing on what is the entity's."""
    found = {}
    for layer, kind in LAYERS.items():
        path = f"src/{layer}/__init__.py"
        module = f"src.{layer}.{entity.name}_{kind}"
        text = register(path, read(folder, path), module, exported(entity, layer))
        if layer == "routers":
            text = add_to(path, text, "routers", [f"{entity.name}_router"])
        found[path] = text
    return found


def exported(entity: Entity, layer: str) -> list[str]:
    """What a layer hands on of the entity."""
    own = entity.class_name
    if layer == "models":
        enums = [spelling.enum_class(entity, each) for each in layers.enums(entity)]
        return [
            *(f"{own}{suffix}" for suffix in ("", "Base", "Create", "Public", "Update")),
            *enums,
        ]
    return {
        "exceptions": [f"{own}AlreadyExistsError", f"{own}NotFoundError"],
        "schemas": [f"{own}Query"],
        "repositories": [f"{own}Repository"],
        "services": [f"{own}Service"],
        "routers": [f"router as {entity.name}_router"],
    }[layer]


def unregistered(name: str, folder: Path) -> dict[str, str]:
    """The layers' `__init__` without the entity of that name (`line_item`)."""
    return {
        f"src/{layer}/__init__.py": unregister(
            f"src/{layer}/__init__.py",
            read(folder, f"src/{layer}/__init__.py"),
            f"src.{layer}.{name}_{kind}",
            "routers",
        )
        for layer, kind in LAYERS.items()
    }


def read(folder: Path, path: str) -> str:
    """A file of the service. Raises ProjectError when it is not there."""
    try:
        return (folder / path).read_text("utf-8")
    except FileNotFoundError:
        raise ProjectError(
            f"{path}: there is no such file; a service has it from its template"
        ) from None


@contextmanager
def room(folder: Path) -> Iterator[Path]:
    """A copy of what the service's migrations and formatter need."""
    with TemporaryDirectory(prefix="entity-") as name:
        place = Path(name).resolve()
        for each in COPIED:
            if not (folder / each).is_dir():
                raise ProjectError(f"{folder}: it has no folder {each}/; run this in a service")
            shutil.copytree(
                folder / each, place / each, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
        for each in COPIED_FILES:
            if (folder / each).is_file():
                shutil.copy(folder / each, place / each)
        # Where the linter looks for the service's own modules.
        (place / "tests").mkdir()
        (place / "tests/__init__.py").touch()
        yield place


def write_all(place: Path, found: Mapping[str, str]) -> None:
    """Writes the texts below the place."""
    for path, text in found.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(text, "utf-8", newline="\n")
