"""An upgrade that is under way, in a file beside the index: what a killed one is taken up from."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.project import ProjectError
from infra.upgrade.repository import Repository

NAME = "cookiecutter-cloudrun-upgrade.json"


class Side(BaseModel):
    """One side of a conflict, by its path from the top of the repository."""

    mode: str
    object: str
    stage: int
    path: str


class State(BaseModel):
    """What has been decided, before anything is touched."""

    model_config = ConfigDict(frozen=True)

    service: str
    """The service's folder, from the top."""
    name: str
    """What is upgraded to."""
    branch: str
    came_from: str
    """The branch that was checked out before, or the commit."""
    head: str
    tree: str
    """The whole repository as it will be, conflicts marked."""
    unmerged: tuple[Side, ...]
    commit: str
    """The template's, for the engine's pin and the message."""
    old: str
    """What it was before, in words."""
    placed: bool = False
    """Whether the working tree has all of it."""

    def write(self, repository: Repository) -> "State":
        """Writes it, whole or not at all."""
        file = repository.path(NAME)
        new = file.with_suffix(".new")
        with new.open("w", encoding="utf-8") as stream:
            stream.write(self.model_dump_json(indent=2))
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
        return self


def find(repository: Repository) -> State | None:
    """The upgrade that is under way in this working tree. Raises ProjectError when its file can't
    be read."""
    file: Path = repository.path(NAME)
    try:
        return State.model_validate_json(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ProjectError(f"{file} can't be read, delete it to begin anew: {error}") from None


def forget(repository: Repository) -> None:
    """Ends it."""
    repository.path(NAME).unlink(missing_ok=True)
