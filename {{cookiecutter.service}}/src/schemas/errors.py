"""Documents the errors of a route: `responses=errors(404, 409)`."""

from http import HTTPStatus
from typing import Any

from src.schemas.response import ErrorResponse


def errors(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` for these, and for what any route may give:
    413 (too large), 422 (a value is wrong), 500 (a crash) and 503 (come back
    later: the database is away, or there is too much to do). A route with a
    body has 400 too: the body cannot be read at all."""
    return {
        code: {"model": ErrorResponse, "description": HTTPStatus(code).phrase}
        for code in sorted({*status_codes, 413, 422, 500, 503})
    }
