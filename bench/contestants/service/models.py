"""The table and the answers of both SQLModel contestants."""

from datetime import datetime
from uuid import UUID, uuid4

from pydantic import BaseModel
from sqlalchemy import DateTime, func
from sqlmodel import Field, SQLModel


class ItemBase(SQLModel):
    """What a caller writes."""

    name: str = Field(min_length=1, max_length=255, unique=True)
    description: str | None = Field(default=None, max_length=1000)


class Item(ItemBase, table=True):
    """The table."""

    __tablename__ = "items"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    created_at: datetime = Field(
        default=None,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.statement_timestamp()},
    )
    updated_at: datetime = Field(
        default=None,
        sa_type=DateTime(timezone=True),
        sa_column_kwargs={"server_default": func.statement_timestamp()},
    )


class ItemCreate(ItemBase):
    """A new item."""


class ItemPublic(ItemBase):
    """What a caller sees."""

    id: UUID
    created_at: datetime
    updated_at: datetime


class One[T](BaseModel):
    """One of them."""

    status: int = 200
    message: str
    data: T


class Page[T](BaseModel):
    """A page of them."""

    status: int = 200
    message: str
    data: list[T]
    page: int
    size: int
    total: int
    pages: int
