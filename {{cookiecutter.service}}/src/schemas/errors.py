"""Documents the errors of a route: `responses=errors(404, 409)`."""

from http import HTTPStatus
from typing import Any

from src.schemas.response import ErrorResponse


def errors(*status_codes: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` for these, and for what any route may give:
    422 (a value is wrong) and 500 (a crash). A route with a body has 400 too:
    the body cannot be read at all."""
    return {
        code: {"model": ErrorResponse, "description": HTTPStatus(code).phrase}
        for code in sorted({*status_codes, 422, 500})
    }
