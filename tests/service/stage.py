"""Clients, a service and its database, each a process behind a wire, and a round's life there."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infra.emulator.postgres.begin import free_port
from tests.service.database import Database
from tests.service.disturbances import ON_A_SMALL_DISK, Round, Stage, disturbed
from tests.service.journal import Journal
from tests.service.load import Load
from tests.service.process import Service
from tests.service.rounds import Tally
from tests.service.wire import Wire
from tests.template.bakes import Baked

SHORT = 2
"""Seconds, for each of the waits that the service's settings limit."""
NO_WAIT = {"idle_in_transaction_seconds", "pool_recycle_seconds"}
MARGIN = 10.0
"""Seconds more: for a database that is gone without a word, and for a busy machine."""
PATIENCE = 60.0
POLL = 0.05
SHOW_SETTINGS = """
from json import dumps
from src.dependencies.config import DatabaseSettings
print(dumps(DatabaseSettings().model_dump(mode="json")))
"""


class NoSmallDiskError(Exception):
    """A disk is to be filled, and there is none that may be."""


class Theatre:
    """A stage, the clients before it, and what they know."""

    def __init__(self, stage: Stage, load: Load) -> None:
        self.stage, self.load, self.journal = stage, load, load.journal

    async def live(self, given: Round) -> tuple[Tally, list[str]]:
        """A round: what it met, and what must not have happened. Raises NoSmallDiskError."""
        if given.kind in ON_A_SMALL_DISK and self.stage.database.disk is None:
            raise NoSmallDiskError
        self.load.forget()
        self.journal.faults.clear()
        stage = self.stage
        before = Counter(service=stage.service.restarts, database=stage.database.restarts)
        async with self.load.running(given.seed):
            await self.load.more(given.before)
            async with disturbed(self.stage, given):
                await self.load.more(given.during)
            await self.recovers()
            await self.load.more(given.after)
        await self.load.each_writes()
        self.journal.compare(await stage.database.contents())
        after = Counter(service=stage.service.restarts, database=stage.database.restarts)
        tally = Tally(
            rounds=Counter([given.kind]),
            troubled=Counter([given.kind] if self.load.troubled else []),
            answers=self.load.answers,
            writes=Counter(acknowledged=self.load.acknowledged, unknown=self.load.doubts),
            restarts=after - before,
            slowest={given.kind: self.load.slowest},
        )
        faults = self.journal.told
        return tally, [*faults, *stage.service.crashes()] if faults else []

    async def recovers(self) -> None:
        """Returns when the service says that it is ready, or has not in all that time."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.load.ready():
                    await asyncio.sleep(POLL)
        except TimeoutError:
            self.journal.faults.append(f"it was not ready again after {PATIENCE:.0f} s")


@asynccontextmanager
async def performing(baked: Baked, database: Database, log: Path) -> AsyncIterator[Theatre]:
    """The service runs, on a migrated database, and clients are connected."""
    port = {"DATABASE__PORT": str(database.port)}
    baked.passes("alembic", "-c", "db/alembic.ini", "upgrade", "head", **database.variables, **port)
    waits = short_waits(baked)
    to_database = Wire(free_port(), database.port)
    from_clients = Wire(free_port(), free_port())
    service = Service(
        Path(baked.variables["UV_PROJECT_ENVIRONMENT"]) / "bin/python",
        baked.folder,
        {
            **baked.variables,
            **database.variables,
            **{f"DATABASE__{name.upper()}": str(SHORT) for name in waits},
            "DATABASE__PORT": str(to_database.port),
            "PORT": str(from_clients.to),
        },
        log,
    )
    url = f"http://127.0.0.1:{from_clients.port}"
    load = Load(url, SHORT * len(waits) + MARGIN, Journal())
    theatre = Theatre(Stage(service, database, from_clients, to_database), load)
    keeper, supervisor = asyncio.create_task(database.run()), asyncio.create_task(service.run())
    try:
        async with to_database.forwarding(), from_clients.forwarding(), load.clients():
            await theatre.recovers()
            yield theatre
    finally:
        database.end()
        supervisor.cancel()
        await asyncio.wait([keeper, supervisor])
        keeper.result()


def short_waits(baked: Baked) -> list[str]:
    """The names of the database's settings that limit how long a request waits for something."""
    settings = json.loads(baked.passes("python", "-c", SHOW_SETTINGS))
    return [name for name in settings if name.endswith("_seconds") and name not in NO_WAIT]
