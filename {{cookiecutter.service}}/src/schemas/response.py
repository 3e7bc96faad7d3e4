"""The shapes of every answer: one item, a page of them, an error."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, Field


class Response[T](BaseModel):
    """One item."""

    status: int = 200
    message: str
    data: T


class Page[T](BaseModel):
    """A page of items, and how many there are in all."""

    status: int = 200
    message: str
    data: list[T]
    page: int
    size: int
    total: int
    pages: int

    @classmethod
    def of(
        cls, message: str, data: Sequence[T], query: "PageQuery", total: int
    ) -> "Page[T]":
        """The page that answers the query."""
        return cls(
            message=message,
            data=list(data),
            page=query.page,
            size=query.size,
            total=total,
            pages=-(-total // query.size),
        )


class PageQuery(BaseModel, extra="forbid"):
    """Which page: the first is 1. A parameter it does not know is refused."""

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    size: Annotated[int, Field(ge=1, le=500)] = 100

    @property
    def offset(self) -> int:
        """How many items come before the page."""
        return (self.page - 1) * self.size


Paging = Annotated[PageQuery, Query()]


class ErrorResponse(BaseModel):
    """Any error. `data` maps a field to its faults, where there are any."""

    status_code: int
    message: str
    data: dict[str, list[str]] | None = None
