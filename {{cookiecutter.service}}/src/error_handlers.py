"""The answer to each kind of error: one shape, and never a word of a crash's
cause."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from src.dependencies.database_faults import (
    DATABASE_ERRORS,
    cause,
    unavailable,
)
from src.dependencies.logger import logger
from src.exceptions import BaseError
from src.routers.allow import allow
from src.schemas import ErrorResponse, faults


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to any error. A crash says nothing of its cause."""
    headers = None
    if isinstance(error, BaseError):
        headers = error.headers
        body = ErrorResponse(
            status_code=error.status_code, message=error.message
        )
    elif isinstance(error, RequestValidationError):
        body = ErrorResponse(
            status_code=422,
            message="Validation failed",
            data=faults(error.errors()),
        )
    elif isinstance(error, HTTPException):
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"allow": allow(request)}
        body = ErrorResponse(
            status_code=error.status_code, message=str(error.detail)
        )
    else:
        phrase = HTTPStatus.INTERNAL_SERVER_ERROR.phrase
        body = ErrorResponse(status_code=500, message=phrase)
    return JSONResponse(body.model_dump(), body.status_code, headers)


async def handle_database_error(
    request: Request, error: Exception
) -> JSONResponse:
    """503 for what will pass by itself; anything else is a crash."""
    away = unavailable(error)
    if away is None:
        raise error
    logger.warning({"message": away.message, "cause": cause(error)})
    return await handle_error(request, away)


Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]

ERROR_HANDLERS: dict[type[Exception], Handler] = {
    BaseError: handle_error,
    HTTPException: handle_error,
    RequestValidationError: handle_error,
    **dict.fromkeys(DATABASE_ERRORS, handle_database_error),
}
