"""What every repository inherits, on a table of the test's own."""

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from sqlalchemy import CheckConstraint, MetaData, Numeric
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Field, SQLModel

from src.exceptions import BaseError, StillReferencedError
from src.models import BaseRow
from src.repositories.base_repository import BaseRepository
from src.schemas import PageQuery
from tests.sessions import SavepointSession

METADATA = MetaData(naming_convention=SQLModel.metadata.naming_convention)


class NoteBase(SQLModel):
    """The fields of a note."""

    word: str = Field(unique=True)
    length: int = 1
    weight: Decimal | None = Field(default=None, sa_type=Numeric(5, 2))
    after_id: UUID | None = Field(default=None, foreign_key="note.id")


class Note(NoteBase, BaseRow, table=True):
    """A table that Alembic does not see."""

    metadata = METADATA
    __table_args__ = (CheckConstraint("length > 0", name="length"),)


class NotePublic(NoteBase):
    """What is seen of a note."""

    id: UUID
    created_at: datetime
    updated_at: datetime


class NoteNotFoundError(BaseError):
    """There is no such note."""

    def __init__(self, id: UUID) -> None:
        super().__init__(f"Note {id} not found", 404)


class NoteAlreadyExistsError(BaseError):
    """The word is taken."""

    def __init__(self) -> None:
        super().__init__("This note already exists", 409)


class NoteQuery(PageQuery):
    """Which notes."""

    length: int | None = None
    weight: Decimal | None = None
    sort: str | None = None


class NoteRepository(BaseRepository[NotePublic]):
    """The notes."""

    table = Note
    public = NotePublic
    references: ClassVar = {"after_id": NoteNotFoundError}
    not_found = NoteNotFoundError
    already_exists = NoteAlreadyExistsError


@pytest.fixture
async def notes(engine: AsyncEngine) -> AsyncIterator[NoteRepository]:
    """The repository, in a transaction that is rolled back."""
    async with engine.connect() as connection:
        await connection.run_sync(Note.metadata.create_all)
        session = SavepointSession(connection)
        yield NoteRepository(session)
        await session.finish(commit=False)
        await connection.rollback()


async def test_created_is_found(notes: NoteRepository) -> None:
    note = await notes.create(NoteBase(word="a"))
    assert note.created_at.tzinfo is not None
    assert await notes.get(note.id) == note


async def test_a_page_is_in_the_order_of_creation(
    notes: NoteRepository,
) -> None:
    for word in "cab":
        await notes.create(NoteBase(word=word))
    page, total = await notes.list(PageQuery(page=2, size=2))
    assert ([note.word for note in page], total) == (["b"], 3)
    assert await notes.list(PageQuery(page=3, size=2)) == ([], 3)


async def test_a_page_is_of_what_was_asked_for(notes: NoteRepository) -> None:
    for word, length in (("a", 2), ("b", 1), ("c", 2), ("d", 2)):
        await notes.create(NoteBase(word=word, length=length))
    for query, words, number in (
        (NoteQuery(length=2), "acd", 3),
        (NoteQuery(length=2, sort="-word", size=2), "dc", 3),
        (NoteQuery(length=2, sort="word", size=2, page=2), "d", 3),
        (NoteQuery(length=2, size=2, page=3), "", 3),
        (NoteQuery(length=3), "", 0),
        (NoteQuery(length=None, sort=None), "abcd", 4),
        (NoteQuery(sort="length"), "bacd", 4),
        (NoteQuery(sort="-length"), "acdb", 4),
    ):
        page, total = await notes.list(query)
        assert ("".join(note.word for note in page), total) == (words, number)


async def test_a_number_is_not_rounded_before_it_is_looked_for(
    notes: NoteRepository,
) -> None:
    await notes.create(NoteBase(word="a", weight=Decimal("1.01")))
    for weight, number in (("1.01", 1), ("1.010", 1), ("1.005", 0), ("1e9", 0)):
        _, total = await notes.list(NoteQuery(weight=Decimal(weight)))
        assert total == number, weight


async def test_a_reference_to_nothing_is_not_found(
    notes: NoteRepository,
) -> None:
    unknown = uuid4()
    with pytest.raises(NoteNotFoundError, match=str(unknown)):
        await notes.create(NoteBase(word="a", after_id=unknown))


async def test_a_reference_cannot_become_one_to_nothing(
    notes: NoteRepository,
) -> None:
    unknown = uuid4()
    note = await notes.create(NoteBase(word="a"))
    change = NoteBase.model_construct({"after_id"}, after_id=unknown)
    with pytest.raises(NoteNotFoundError, match=str(unknown)):
        await notes.update(note.id, change)


async def test_what_others_refer_to_stays(notes: NoteRepository) -> None:
    first = await notes.create(NoteBase(word="a"))
    await notes.create(NoteBase(word="b", after_id=first.id))
    with pytest.raises(StillReferencedError):
        await notes.delete(first.id)


async def test_an_update_writes_what_is_given(notes: NoteRepository) -> None:
    note = await notes.create(NoteBase(word="a", length=5))
    change = NoteBase.model_construct({"word"}, word="b")
    changed = await notes.update(note.id, change)
    assert (changed.word, changed.length) == ("b", 5)
    assert await notes.get(note.id) == changed


async def test_an_update_of_nothing_changes_nothing(
    notes: NoteRepository,
) -> None:
    note = await notes.create(NoteBase(word="a"))
    assert await notes.update(note.id, NoteBase.model_construct(set())) == note


async def test_deleted_is_not_found(notes: NoteRepository) -> None:
    note = await notes.create(NoteBase(word="a"))
    assert await notes.delete(note.id) == note
    with pytest.raises(NoteNotFoundError):
        await notes.get(note.id)


async def test_unknown_is_not_found(notes: NoteRepository) -> None:
    with pytest.raises(NoteNotFoundError):
        await notes.update(uuid4(), NoteBase(word="a"))


async def test_a_taken_word_already_exists(notes: NoteRepository) -> None:
    await notes.create(NoteBase(word="a"))
    with pytest.raises(NoteAlreadyExistsError):
        await notes.create(NoteBase(word="a"))


async def test_another_broken_rule_is_not_hidden(
    notes: NoteRepository,
) -> None:
    with pytest.raises(IntegrityError):
        await notes.create(NoteBase(word="a", length=0))
