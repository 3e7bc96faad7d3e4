"""What every repository inherits, on a table of the test's own."""

from collections.abc import AsyncIterator
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import CheckConstraint, MetaData
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Field, SQLModel

from src.exceptions import BaseError
from src.models import BaseRow
from src.repositories.base_repository import BaseRepository
from src.schemas import PageQuery
from tests.sessions import SavepointSession


class NoteBase(SQLModel):
    """The fields of a note."""

    word: str = Field(unique=True)
    length: int = 1


class Note(NoteBase, BaseRow, table=True):
    """A table that Alembic does not see."""

    metadata = MetaData()
    __table_args__ = (CheckConstraint("length > 0"),)


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


class NoteRepository(BaseRepository[NotePublic]):
    """The notes."""

    table = Note
    public = NotePublic
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
