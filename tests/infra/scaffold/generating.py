"""Entities, generated in a service by its own Python, as `invoke entity` is run."""

import json
import pickle
from collections.abc import Sequence
from pathlib import Path

from infra.scaffold.entity import Entity
from tests.infra.scaffold.entities import TABLES
from tests.template.bakes import Baked

PROGRAM = """
import json, pickle, sys
from pathlib import Path
from infra.scaffold.write import texts, write_all
given = pickle.loads(Path(sys.argv[1]).read_bytes())
made = {}
for number, entity in enumerate(given["entities"], 1):
    date = f"2026-01-01T00:{number:02}:00+00:00"
    found = texts(entity, given["tables"], Path.cwd(), date=date, revision=given["revision"])
    if given["writes"]:
        write_all(Path.cwd(), found)
    made |= found
print(json.dumps(made))
"""


def generate(
    service: Baked,
    entities: Sequence[Entity],
    room: Path,
    *,
    revision: str = "",
    writes: bool = True,
) -> dict[str, str]:
    """The texts of all that is new or changed, written into the service unless it is not to be."""
    given = room / "given.pickle"
    given.write_bytes(
        pickle.dumps(
            {"entities": entities, "tables": TABLES, "revision": revision, "writes": writes}
        )
    )
    made: dict[str, str] = json.loads(service.passes("python", "-c", PROGRAM, str(given)))
    return made


ADDING = """
import pickle, sys
from pathlib import Path
from infra.scaffold.add import add_texts
from infra.scaffold.write import write_all
given = pickle.loads(Path(sys.argv[1]).read_bytes())
found = add_texts(*given, Path.cwd(), date="2026-02-01T00:00:00+00:00")
write_all(Path.cwd(), found)
"""


def add(service: Baked, added: Entity, room: Path) -> None:
    """Gives an entity of the service the fields of another."""
    given = room / "added.pickle"
    given.write_bytes(pickle.dumps((added, TABLES)))
    service.passes("python", "-c", ADDING, str(given))
