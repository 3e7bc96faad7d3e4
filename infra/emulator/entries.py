"""Log entries: how they are kept, for whoever writes or reads them."""

import itertools
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from infra.emulator import filters
from infra.emulator.world import Document, World

KIND = "log_entries"

# Beyond this many entries of a project the oldest go, like Logging's after thirty days.
MOST = 50_000

_numbers = itertools.count()


def write(world: World, entries: Iterable[Document]) -> None:
    """Keeps entries, in Logging's JSON, each in the log of the project that its `logName` names.

    What Logging fills in is filled in: the times, the insertId. An entry whose insertId is there
    already at the same time is kept once.
    """
    with world.transaction():
        for entry in entries:
            project_id = entry["logName"].split("/")[1]
            now = world.timestamp()
            timestamp = _normal(entry.get("timestamp", now))
            full: Document = {
                "insertId": uuid.uuid4().hex[:16],
                **entry,
                "timestamp": timestamp,
                "receiveTimestamp": now,
            }
            if full.get("severity", "DEFAULT") == "DEFAULT":
                full.pop("severity", None)
            world.put(KIND, f"{project_id}/{timestamp}/{full['insertId']}", full)
            if next(_numbers) % 1000 == 999:
                _trim(world, project_id)


def read(
    world: World, project_id: str, since: datetime | None = None, *, newest_first: bool = False
) -> Iterator[Document]:
    """Gives a project's entries in the order of their times, those from a time on."""
    start = f"{project_id}/{_written(since)}" if since else ""
    for _, body in world.items(KIND, f"{project_id}/", start, newest_first=newest_first):
        yield body


def _trim(world: World, project_id: str) -> None:
    names = [name for name, _ in world.items(KIND, f"{project_id}/", newest_first=True)]
    for name in names[MOST:]:
        world.delete(KIND, name)


def _normal(timestamp: Any) -> str:
    """Times are names: all have the same width, so that they sort."""
    return _written(filters.moment(str(timestamp)))


def _written(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
