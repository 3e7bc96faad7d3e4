"""Who waits for a connection is served in turn, and no place is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import literal
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import select

from src.dependencies.config import Settings
from src.dependencies.database import create_engine
from src.dependencies.database_pool import FairPool
from src.dependencies.database_query import Query
from src.dependencies.database_session import Sessions

SIZE = 2


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine with two connections."""
    few = {"pool_size": 1, "pool_overflow": SIZE - 1, "pool_wait_seconds": 20}
    engine = create_engine(settings.database.model_copy(update=few))
    yield engine
    await engine.dispose()


def pool_of(engine: AsyncEngine) -> FairPool:
    """The engine's pool."""
    assert isinstance(engine.pool, FairPool)
    return engine.pool


async def standing(engine: AsyncEngine, number: int) -> None:
    """Returns when so many wait."""
    while len(pool_of(engine).line) < number:  # noqa: ASYNC110 (it tells nobody)
        await asyncio.sleep(0)


async def test_first_come_first_served(engine: AsyncEngine) -> None:
    served: list[int] = []

    async def ask(number: int) -> None:
        async with engine.connect() as connection:
            served.append(number)
            await connection.execute(select(1))

    held = [await engine.connect() for _ in range(SIZE)]
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(ask(number))
            await standing(engine, number + 1)
        await held.pop().close()
        # Who comes when one is free already is still the last.
        group.create_task(ask(10))
    assert served == [*range(11)]
    await held.pop().close()
    assert pool_of(engine).places == SIZE


async def test_who_gives_up_leaves_the_line(engine: AsyncEngine) -> None:
    held = [await engine.connect() for _ in range(SIZE)]
    waiting = asyncio.create_task(engine.connect().start())
    await standing(engine, 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not pool_of(engine).line
    for connection in held:
        await connection.close()
    assert pool_of(engine).places == SIZE


async def test_a_turn_that_comes_too_late_is_passed_on(
    engine: AsyncEngine,
) -> None:
    held = [await engine.connect() for _ in range(SIZE)]
    first = asyncio.create_task(engine.connect().start())
    await standing(engine, 1)
    second = asyncio.create_task(engine.connect().start())
    await standing(engine, 2)
    await held.pop().close()
    first.cancel()  # its turn has come, and it does not know yet
    with pytest.raises(asyncio.CancelledError):
        await first
    await (await second).close()
    await held.pop().close()
    assert pool_of(engine).places == SIZE


async def test_the_wait_is_bounded(settings: Settings) -> None:
    one = {"pool_size": 1, "pool_overflow": 0, "pool_wait_seconds": 0.01}
    engine = create_engine(settings.database.model_copy(update=one))
    async with engine.connect():
        with pytest.raises(PoolTimeoutError):
            await engine.connect()
    assert pool_of(engine).places == 1
    await engine.dispose()


async def test_a_failed_connect_gives_its_place_back(
    settings: Settings, unused_tcp_port: int
) -> None:
    away = {"host": "127.0.0.1", "port": unused_tcp_port}
    engine = create_engine(settings.database.model_copy(update=away))
    before = pool_of(engine).places
    for _ in range(3):
        with pytest.raises(Exception, match="does not answer"):
            await engine.connect()
    assert pool_of(engine).places == before


async def test_a_lost_connection_gives_its_place_back(
    engine: AsyncEngine,
) -> None:
    for _ in range(SIZE + 1):
        async with engine.connect() as connection:
            await connection.execute(select(1))
            await connection.invalidate()
    assert pool_of(engine).places == SIZE


async def test_what_is_above_the_pool_s_size_is_closed(
    engine: AsyncEngine,
) -> None:
    sessions = Sessions(engine)
    ping = Query(select(literal(1).label("one")))
    for _ in range(3):
        await asyncio.gather(
            *(sessions.open(may_write=False).fetch(ping) for _ in range(9))
        )
    async with engine.connect() as connection:
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name "
        found = await connection.exec_driver_sql(
            f"{mine} = current_setting('application_name') "
            "AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert found.scalar_one() <= 1
    assert pool_of(engine).places == SIZE
