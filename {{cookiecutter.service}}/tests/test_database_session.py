"""A request's session: when it is in a transaction, and what is in it."""

import asyncio
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import MetaData, String, func
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Field, SQLModel, col, insert, select

from src.dependencies.config import Settings
from src.dependencies.database import create_engine
from src.dependencies.database_faults import forget_values
from src.dependencies.database_query import Query
from src.dependencies.database_session import Sessions
from src.exceptions import DatabaseUnavailableError


class Word(SQLModel, table=True):
    """A table that Alembic does not see."""

    __tablename__ = "session_words"
    metadata = MetaData()
    word: str = Field(primary_key=True)


WORDS = Query(select(Word.word).order_by(Word.word))
LOCKED = Query(select(Word.word).with_for_update())
FREE = Query(select(Word.word).with_for_update(skip_locked=True))
ADD = Query(insert(Word).returning(col(Word.word)), ["word"])
NOW = select(func.pg_current_xact_id().cast(String).label("id"))
TRANSACTION = Query(NOW)
SLEEP = Query(select(func.pg_sleep(60)))


@pytest.fixture
async def sessions(engine: AsyncEngine) -> AsyncIterator[Sessions]:
    """Sessions that really commit."""
    async with engine.begin() as connection:
        await connection.run_sync(Word.metadata.create_all)
    yield Sessions(engine)
    async with engine.begin() as connection:
        await connection.run_sync(Word.metadata.drop_all)


async def words(sessions: Sessions) -> list[str]:
    """The table, as another session sees it."""
    session = sessions.open(may_write=False)
    return [row["word"] for row in await session.fetch(WORDS)]


async def test_reading_is_in_no_transaction_and_holds_no_connection(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    session = sessions.open(may_write=False)
    ids = [(await session.fetch(TRANSACTION))[0]["id"] for _ in range(2)]
    assert ids[0] != ids[1]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    await session.finish(commit=True)


async def test_what_may_write_is_one_transaction(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    session = sessions.open()
    ids = [(await session.fetch(TRANSACTION))[0]["id"] for _ in range(2)]
    session.add(Word(word="by the session"))
    assert [row["word"] for row in await session.fetch(WORDS)]
    ids.append((await session.exec(NOW)).one())
    assert len(set(ids)) == 1
    assert await words(sessions) == []
    await session.finish(commit=True)
    assert await words(sessions) == ["by the session"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("commit", [True, False])
async def test_writing_while_reading_begins_a_transaction(
    sessions: Sessions, commit: bool
) -> None:
    session = sessions.open(may_write=False)
    assert await session.fetch(WORDS) == []
    for word in ("a", "b"):
        await session.fetch(ADD, {"word": word})
    assert len(await session.fetch(WORDS)) == 2
    assert await words(sessions) == []
    await session.finish(commit=commit)
    assert await words(sessions) == (["a", "b"] if commit else [])


async def test_a_lock_taken_while_reading_is_held(sessions: Sessions) -> None:
    writer = sessions.open()
    writer.add(Word(word="a"))
    await writer.finish(commit=True)
    session = sessions.open(may_write=False)
    await session.fetch(LOCKED)
    other = sessions.open(may_write=False)
    assert await other.fetch(FREE) == []
    await session.finish(commit=True)
    assert len(await other.fetch(FREE)) == 1
    await other.finish(commit=True)


async def test_entities_can_be_read_and_written(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    session = sessions.open(may_write=False)
    session.add(Word(word="a"))
    await session.finish(commit=True)
    reader = sessions.open(may_write=False)
    assert [each.word for each in await reader.exec(select(Word))] == ["a"]
    # On the same connection, for the pool may have no other.
    assert len(await reader.fetch(WORDS)) == 1
    assert engine.pool.checkedout() == 1  # type: ignore[attr-defined]
    await reader.finish(commit=True)


async def test_a_failed_write_leaves_nothing(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    session = sessions.open()
    await session.fetch(ADD, {"word": "a"})
    with pytest.raises(IntegrityError):
        await session.fetch(ADD, {"word": "a"})
    await session.finish(commit=False)
    assert await words(sessions) == []
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_part_can_be_committed_or_rolled_back(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    async with sessions.open() as session:
        await session.fetch(ADD, {"word": "a"})
        await session.commit()
        assert await words(sessions) == ["a"]
        await session.fetch(ADD, {"word": "b"})
        await session.rollback()
        async with session.begin():
            await session.fetch(ADD, {"word": "c"})
        assert await words(sessions) == ["a", "c"]
        async with session.begin():
            async with session.begin_nested() as part:
                await session.fetch(ADD, {"word": "d"})
                await part.rollback()
            session.add(Word(word="e"))
        await session.fetch(ADD, {"word": "f"})
    assert await words(sessions) == ["a", "c", "e"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_failure_that_was_caught_is_no_success(
    sessions: Sessions,
) -> None:
    session = sessions.open()
    await session.fetch(ADD, {"word": "a"})
    with suppress(IntegrityError):
        await session.fetch(ADD, {"word": "a"})
    with pytest.raises(IntegrityError):
        await session.finish(commit=True)
    assert await words(sessions) == []


async def test_a_failure_within_a_savepoint_is_its_own(
    sessions: Sessions,
) -> None:
    for may_write in (True, False):
        session = sessions.open(may_write=may_write)
        word = f"kept {may_write}"
        await session.fetch(ADD, {"word": word})
        with suppress(IntegrityError):
            async with session.begin_nested():
                await session.fetch(ADD, {"word": word})
        assert word in [row["word"] for row in await session.fetch(WORDS)]
        await session.finish(commit=True)
    assert len(await words(sessions)) == 2


async def test_statements_at_once_are_one_transaction(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    session = sessions.open()
    await asyncio.gather(
        *(session.fetch(ADD, {"word": word}) for word in "abcd")
    )
    await session.finish(commit=True)
    assert await words(sessions) == [*"abcd"]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


async def test_a_session_that_has_ended_does_nothing_more(
    sessions: Sessions,
) -> None:
    session = sessions.open()
    await session.fetch(ADD, {"word": "a"})
    await session.finish(commit=True)
    with pytest.raises(InvalidRequestError, match="has ended"):
        await session.fetch(ADD, {"word": "b"})
    assert await words(sessions) == ["a"]


async def test_a_lost_connection_is_said_so(sessions: Sessions) -> None:
    session = sessions.open()
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await session.fetch(SLEEP)
    with pytest.raises(DatabaseUnavailableError):
        await session.fetch(WORDS)
    # Not the cancellation that the time limit has used: it would end the
    # request without an answer.
    with pytest.raises(DatabaseUnavailableError) as failure:
        await session.finish(commit=True)
    assert failure.value.__cause__ is not failure.value


async def test_an_error_is_not_its_own_cause(
    settings: Settings, unused_tcp_port: int
) -> None:
    away = {"host": "127.0.0.1", "port": unused_tcp_port}
    engine = create_engine(settings.database.model_copy(update=away))
    with pytest.raises(DatabaseUnavailableError) as failure:
        await Sessions(engine).open(may_write=False).fetch(WORDS)
    assert failure.value.__cause__ is not failure.value
    forget_values(failure.value)


async def test_an_error_does_not_tell_the_row(sessions: Sessions) -> None:
    session = sessions.open()
    values = {"word": "".join(("a ", "secret"))}
    await session.fetch(ADD, values)
    with pytest.raises(IntegrityError) as failure:
        await session.fetch(ADD, values)
    told = "".join(traceback.format_exception(failure.value))
    assert "duplicate key" in told
    assert values["word"] not in told
    await session.finish(commit=False)
    session = sessions.open()
    session.add_all([Word(**values), Word(**values)])
    with pytest.raises(IntegrityError) as failure:
        await session.flush()
    told = "".join(traceback.format_exception(failure.value))
    assert values["word"] not in told
    await session.finish(commit=False)
