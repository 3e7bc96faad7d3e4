"""A cloud that is control plane only: for tests of what is declared, not of what runs.

Names, etags, permissions, operations and errors are as ever; a database is ready without a
PostgreSQL, a revision without a process. What would have to run something answers 501.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.emulator.errors import unimplemented
from infra.emulator.postgres import PostgresError
from infra.emulator.runtime import Route, Runtime, Spec
from infra.emulator.runtime.instance import SYSTEM_LOG
from infra.emulator.runtime.logs import Sink
from infra.emulator.runtime.metadata import Identity
from infra.emulator.runtime.sql import Databases
from infra.emulator.runtime.store import Store
from infra.emulator.world import World

# Methods that need something to run.
RUNS = ("CloudBuild.CreateBuild", "Jobs.RunJob")
_MARK = ("emulator", "hollow")
# The kinds of documents behind which something runs.
_RUNNING = ("sql_instances", "run_services", "run_jobs")


def fits(world: World, *, hollow: bool) -> bool:
    """Returns whether a world is of this kind: what is hollow cannot be filled afterwards."""
    known = world.get(*_MARK)
    if known is None and not hollow:
        return True
    if known is None and any(world.list(kind) for kind in _RUNNING):
        return False
    if known is None:
        world.put(*_MARK, {"hollow": True})
    return hollow


class HollowRuntime(Runtime):
    """Revisions that are ready at once; what they need is looked up as ever."""

    def __init__(self, folder: Path, store: Store, sink: Sink) -> None:
        super().__init__(folder, store, sink)
        self.databases = HollowDatabases(folder / "sql", store)
        self._ready: set[str] = set()

    def deploy(self, spec: Spec, *, check: bool = True) -> None:
        """Checks the image, the secrets and the databases. Raises StartError."""
        if check:
            for trouble in spec.launch().troubles:
                self.logs.write(spec.origin.entry(SYSTEM_LOG, "ERROR", textPayload=trouble))
        self._ready.add(spec.name)

    def retire(self, name: str) -> None:
        """Forgets a revision."""
        self._ready.discard(name)

    def route(
        self, name: str, route: Route, weights: Mapping[str, int] | Sequence[tuple[str, int]]
    ) -> str:
        """An address at which nothing can be (RFC 2606)."""
        _, project, _, location, _, short = name.split("/")
        short, _, tag = short.partition("#")
        return f"https://{tag + '---' if tag else ''}{short}-{project}.{location}.hollow.invalid"

    def close_route(self, name: str) -> None:
        """Nothing is open."""

    def serve(self, serving: Mapping[str, bool]) -> None:
        """Nothing runs."""

    def has_revision(self, name: str) -> bool:
        """Whether the revision could serve, if it ran."""
        return name in self._ready

    def instances(self, name: str) -> int:
        """None."""
        return 0

    def metadata(self, identity: Identity) -> dict[str, str]:
        """Nobody asks for it."""
        return {}

    def run(self, command: Sequence[str], **_: object) -> int:
        """Is not done."""
        raise unimplemented(f"running {command[0]} in a hollow cloud")


class HollowDatabases(Databases):
    """Servers that are only said to run; what is in them is what the cloud remembers."""

    def __init__(self, folder: Path, store: Store) -> None:
        super().__init__(folder)
        self._store = store
        self._running: set[str] = set()

    def start(self, connection: str, flags: Mapping[str, str]) -> None:
        """Notes that an instance runs."""
        self._running.add(connection)

    def stop(self, connection: str) -> None:
        """Notes that it does not."""
        self._running.discard(connection)

    def delete(self, connection: str) -> None:
        """Notes that it does not run."""
        self._running.discard(connection)

    def stop_all(self) -> None:
        """Nothing is left to stop."""
        self._running.clear()

    def socket(self, connection: str) -> Path | None:
        """Where the socket would be."""
        return self._place(connection) if connection in self._running else None

    def port(self, connection: str) -> int | None:
        """There is none."""
        return None

    def version(self, connection: str) -> tuple[int, int]:
        """What was asked for."""
        project, _, instance = connection.split(":")[-3:]
        body = self._store.get("sql_instances", f"{project}/{instance}") or {}
        major = re.search(r"\d+", body.get("databaseVersion", ""))
        return (int(major[0]) if major else 0, 0)

    def create_database(self, connection: str, name: str) -> None:
        """Raises PostgresError where one of the name is known."""
        project, _, instance = connection.split(":")[-3:]
        if self._store.get("sql_databases", f"{project}/{instance}/{name}") is not None:
            raise PostgresError(f'ERROR:  database "{name}" already exists')

    def drop_database(self, connection: str, name: str) -> None:
        """The cloud forgets it."""

    def create_user(self, connection: str, name: str, password: str | None) -> None:
        """The cloud remembers it."""

    def drop_user(self, connection: str, name: str) -> None:
        """The cloud forgets it."""
