"""The shapes of every answer: one item, a page of them, an error."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

# Of a query: the fields that are no column's.
NOT_COLUMNS = frozenset({"page", "size", "sort"})


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
    """Which page: the first is 1. A parameter it does not know is refused.

    An entity's own query adds what rows can be chosen by, each by the name of
    its column, and `sort`: a column, or `-column` for the highest first.
    """

    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    size: Annotated[int, Field(ge=1, le=500)] = 100

    @property
    def offset(self) -> int:
        """How many items come before the page."""
        return (self.page - 1) * self.size

    @property
    def chosen(self) -> dict[str, Any]:
        """What the rows have, by its column; None is not asked for."""
        names = sorted(self.model_fields_set - NOT_COLUMNS)
        given = {name: getattr(self, name) for name in names}
        return {name: each for name, each in given.items() if each is not None}

    @property
    def order(self) -> str:
        """What they are sorted by; "" when it was not said."""
        return getattr(self, "sort", None) or ""


Paging = Annotated[PageQuery, Query()]


class ErrorResponse(BaseModel):
    """Any error. `data` maps a field to its faults, where there are any."""

    status_code: int
    message: str
    data: dict[str, list[str]] | None = None
