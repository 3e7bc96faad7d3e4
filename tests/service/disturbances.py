"""What a round does to the service, by its seed: what is struck, how, and for how long.

Durations are counted in requests that have ended, so that a slow machine has the same round.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM

from tests.service.database import Database
from tests.service.load import CLIENTS
from tests.service.process import Service
from tests.service.wire import Toward, Wire


class Kind(StrEnum):
    """What happens in a round."""

    KILLED = "service killed"
    TERMINATED = "service terminated"
    DATABASE_KILLED = "database killed"
    DATABASE_STOPPED = "database stopped at once"
    DATABASE_RESTARTED = "database restarted"
    BACKENDS_KILLED = "connections killed by the database"
    BOTH_KILLED = "service and database killed"
    CUT_FROM_DATABASE = "connections to the database cut"
    CUT_FROM_CLIENTS = "connections of clients cut"
    DEAD_WIRE = "connections to the database dead"
    DISK_FULL = "disk full"
    LOG_FULL = "disk full, its log too"


KINDS = tuple(Kind)
ON_A_SMALL_DISK = {Kind.DISK_FULL, Kind.LOG_FULL}
SIGNALS = {
    Kind.DATABASE_KILLED: SIGKILL,
    Kind.DATABASE_STOPPED: SIGQUIT,
    Kind.DATABASE_RESTARTED: SIGINT,
}


@dataclass(frozen=True)
class Round:
    """A round of a seed."""

    seed: int
    kind: Kind
    before: int
    """Requests that end before it strikes."""
    during: int
    """Requests that end before it is over."""
    after: int
    """Requests that end when all is well again."""
    times: int
    """Connections that are cut."""
    toward: Toward
    resumes: bool
    """Whether dead connections come to life again, or are reset."""


def round_of(seed: int) -> Round:
    """The round of a seed; each kind in its turn."""
    random, kind = Random(seed), KINDS[seed % len(KINDS)]  # noqa: S311
    # Of a dead connection each client is to find out once: that takes as long as it may.
    most = CLIENTS + 1 if kind is Kind.DEAD_WIRE else 4 * CLIENTS
    return Round(
        seed=seed,
        kind=kind,
        before=random.randrange(10, 80),
        during=random.randrange(CLIENTS, most),
        after=random.randrange(10, 40),
        times=random.randrange(1, 2 * CLIENTS),
        toward=random.choice(list(Toward)),
        resumes=random.random() < 0.5,
    )


@dataclass(frozen=True)
class Stage:
    """What can be struck."""

    service: Service
    database: Database
    from_clients: Wire
    to_database: Wire


@asynccontextmanager
async def disturbed(stage: Stage, given: Round) -> AsyncIterator[None]:
    """The round's disturbance lasts as long as this does."""
    random, database = Random(given.seed), stage.database  # noqa: S311
    match given.kind:
        case Kind.KILLED:
            async with stage.service.ended_by(SIGKILL):
                yield
        case Kind.TERMINATED:
            async with stage.service.ended_by(SIGTERM):
                yield
        case Kind.DATABASE_KILLED | Kind.DATABASE_STOPPED | Kind.DATABASE_RESTARTED:
            with database.ended_by(SIGNALS[given.kind]):
                yield
        case Kind.BOTH_KILLED:
            async with stage.service.ended_by(SIGKILL):
                with database.ended_by(SIGKILL):
                    yield
        case Kind.BACKENDS_KILLED:
            await database.kill_backends(random)
            yield
        case Kind.CUT_FROM_CLIENTS:
            with stage.from_clients.cutting(given.times, given.toward, random):
                yield
        case Kind.CUT_FROM_DATABASE:
            with stage.to_database.cutting(given.times, given.toward, random):
                yield
        case Kind.DEAD_WIRE:
            with stage.to_database.dead(resumes=given.resumes):
                yield
        case Kind.DISK_FULL | Kind.LOG_FULL:
            async with database.full(log_too=given.kind is Kind.LOG_FULL):
                yield
