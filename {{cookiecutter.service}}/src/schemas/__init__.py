"""The shapes of requests and answers that are no entity's own."""

from src.schemas.errors import errors
from src.schemas.faults import faults
from src.schemas.response import (
    ErrorResponse,
    Page,
    PageQuery,
    Paging,
    Response,
)

__all__ = [
    "ErrorResponse",
    "Page",
    "PageQuery",
    "Paging",
    "Response",
    "errors",
    "faults",
]
