"""A compiled statement gives what SQLAlchemy itself would, for each type."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    Uuid,
    any_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from src.dependencies.config import Settings
from src.dependencies.database import create_engine
from src.dependencies.database_query import Query
from src.dependencies.database_session import Sessions


class Color(Enum):
    """Stored by its name."""

    RED = "r"
    BLUE = "b"


class Reversed(TypeDecorator[str]):
    """A text that is written backwards."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """As it is sent."""
        return value and value[::-1]

    def process_result_value(
        self, value: str | None, dialect: Any
    ) -> str | None:
        """As it is read."""
        return value and value[::-1]


THINGS = Table(
    "query_things",
    MetaData(),
    Column("id", Uuid, primary_key=True, default=uuid4),
    Column("color", EnumType(Color)),
    Column("facts", JSON),
    Column("price", Numeric(10, 2)),
    Column("rate", Numeric(10, 2, asdecimal=False)),
    Column("weight", Float),
    Column("words", ARRAY(String)),
    Column("bytes", LargeBinary),
    Column("secret", Reversed),
    Column("made", DateTime(timezone=True)),
    Column("size", Integer, default=7, onupdate=8),
    Column("named_otherwise", String, key="title"),
    Column("counted", Integer, server_default="3"),
)
VALUES: dict[str, Any] = {
    "color": Color.BLUE,
    "facts": {"a": [1, None, "é"]},
    "price": Decimal("12.30"),
    "rate": 1.5,
    "weight": 2.25,
    "words": ["a", "b"],
    "bytes": b"\x00\xff",
    "secret": "abc",
    "made": datetime(2026, 1, 2, tzinfo=UTC),
    "title": "t",
}
COLUMNS = [column.label(column.key) for column in THINGS.c]
ADD = Query(insert(THINGS).returning(*COLUMNS), VALUES)


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """An engine of the test's own: a connection remembers types."""
    engine = create_engine(settings.database)
    yield engine
    await engine.dispose()


@pytest.fixture
async def sessions(engine: AsyncEngine) -> AsyncIterator[Sessions]:
    """Sessions on a database that has the table."""
    async with engine.begin() as connection:
        await connection.run_sync(THINGS.metadata.create_all)
    yield Sessions(engine)
    async with engine.begin() as connection:
        await connection.run_sync(THINGS.metadata.drop_all)


async def test_each_type_comes_back_as_sqlalchemy_has_it(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    async with sessions.open() as session:
        (written,) = await session.fetch(ADD, VALUES)
        await session.commit()
    assert written == {
        **VALUES,
        "id": written["id"],
        "size": 7,
        "counted": 3,
    }
    assert isinstance(written["id"], UUID)
    read = await sessions.open(may_write=False).fetch(Query(select(*COLUMNS)))
    assert read == [written]
    async with engine.connect() as connection:
        itself = (await connection.execute(select(*COLUMNS))).one()
        stored = await connection.exec_driver_sql(
            "SELECT color, secret FROM query_things"
        )
    assert itself._asdict() == written
    assert stored.one() == ("BLUE", "cba")


async def test_nothing_is_none(sessions: Sessions) -> None:
    nothing: dict[str, Any] = dict.fromkeys(VALUES)
    async with sessions.open() as session:
        (written,) = await session.fetch(ADD, nothing)
    assert {name: written[name] for name in nothing} == nothing


async def test_an_update_makes_what_it_should(sessions: Sessions) -> None:
    change = Query(
        update(THINGS)
        .where(THINGS.c.id == bindparam("which"))
        .returning(THINGS.c.size, THINGS.c.color),
        ["color"],
    )
    async with sessions.open() as session:
        (written,) = await session.fetch(ADD, VALUES)
        values = {"which": written["id"], "color": Color.RED}
        rows = await session.fetch(change, values)
    assert rows == [{"size": 8, "color": Color.RED}]


async def test_what_the_statement_says_itself_is_sent_too(
    sessions: Sessions,
) -> None:
    some = Query(
        select(func.count().label("count"))
        .select_from(THINGS)
        .where(THINGS.c.color == Color.BLUE)
        .where(THINGS.c.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
    )
    async with sessions.open() as session:
        (written,) = await session.fetch(ADD, VALUES)
        ids = [written["id"], uuid4()]
        assert await session.fetch(some, {"ids": ids}) == [{"count": 1}]


def test_a_missing_value_is_named() -> None:
    with pytest.raises(KeyError, match="which"):
        Query(select(bindparam("which"))).arguments({})


def test_a_list_is_refused_before_it_fails() -> None:
    with pytest.raises(TypeError, match="length"):
        Query(select(THINGS.c.id).where(THINGS.c.size.in_(bindparam("sizes"))))


async def test_a_changed_table_is_found_out(
    sessions: Sessions, engine: AsyncEngine
) -> None:
    read = Query(select(THINGS.c.title))
    change = "ALTER TABLE query_things ALTER named_otherwise TYPE varchar(9)"
    for may_write in (True, False):
        session = sessions.open(may_write=may_write)
        assert await session.fetch(read) == []
        await session.finish(commit=True)
    async with engine.begin() as connection:
        await connection.exec_driver_sql(change)
    async with sessions.open(may_write=False) as session:
        assert await session.fetch(read) == []
    async with sessions.open() as session:
        with pytest.raises(DBAPIError) as failure:
            await session.fetch(read)
        assert failure.value.connection_invalidated
    async with sessions.open() as session:
        assert await session.fetch(read) == []


def test_what_writes_or_locks_in_a_part_does_not_just_read() -> None:
    adding = insert(THINGS).returning(THINGS.c.id).cte()
    locked = select(THINGS.c.id).with_for_update()
    for statement in (
        select(adding.c.id),
        locked,
        select(locked.subquery()),
        select(locked.cte()),
        select(text("f()")),
        update(THINGS).returning(THINGS.c.id),
    ):
        assert not Query(statement).reads
    assert Query(select(select(THINGS.c.id).cte())).reads


async def test_null_can_be_written_by_the_statement(
    sessions: Sessions,
) -> None:
    forget = Query(update(THINGS).values(title=None).returning(THINGS.c.color))
    async with sessions.open() as session:
        await session.fetch(ADD, VALUES)
        assert await session.fetch(forget) == [{"color": Color.BLUE}]
