"""Projects. They exist on first use, with a number that follows from the id."""

import hashlib
import re
from dataclasses import dataclass

from infra.emulator import errors
from infra.emulator.world import World

_ID = re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]")


@dataclass(frozen=True)
class Project:
    """A project; `number` is the 12 digits that some APIs name it by."""

    id: str
    number: str
    created: str

    @property
    def name(self) -> str:
        """`projects/ID`."""
        return f"projects/{self.id}"


def number_of(project_id: str) -> str:
    """Returns a project's number: always the same 12 digits for the same id."""
    digest = hashlib.sha256(project_id.encode()).digest()
    return str(10**11 + int.from_bytes(digest[:8]) % (9 * 10**11))


def find(world: World, id_or_number: str) -> Project:
    """Returns the project, made now if the id is new; an unknown number is denied."""
    if id_or_number.isdigit():
        known = world.get("project_numbers", id_or_number)
        if known is None:
            raise errors.denied("resourcemanager.projects.get", f"projects/{id_or_number}")
        id_or_number = known["id"]
    body = world.get("projects", id_or_number)
    if body is None:
        body = _create(world, id_or_number)
    return Project(body["id"], body["number"], body["created"])


def _create(world: World, project_id: str) -> dict[str, str]:
    if not _ID.fullmatch(project_id):
        raise errors.invalid(f"Project id '{project_id}' is invalid.", "project")
    body = {"id": project_id, "number": number_of(project_id), "created": world.timestamp()}
    with world.transaction():
        world.put("projects", project_id, body)
        world.put("project_numbers", body["number"], {"id": project_id})
    return body
