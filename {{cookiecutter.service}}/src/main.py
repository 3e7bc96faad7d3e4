"""Builds the application: its lifespan, its routers, its one error handler."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from http import HTTPStatus

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from src.about import DESCRIPTION, TITLE, VERSION
from src.dependencies.config import Settings, get_config
from src.dependencies.config_error import ConfigError
from src.dependencies.database import create_engine, create_sessions
from src.dependencies.http_client import create_http_client
from src.dependencies.logger import configure_logging
from src.dependencies.tracer import configure_tracing
from src.exceptions import BaseError
from src.middleware import RequestMiddleware, is_probe
from src.routers import routers
from src.routers.allow import allow
from src.schemas import ErrorResponse, faults


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the whole process shares, and closes it at the end."""
    settings: Settings = app.state.settings
    provider = configure_tracing(settings)
    engine = create_engine(settings.database)
    app.state.sessions = create_sessions(engine)
    async with create_http_client(settings) as app.state.http_client:
        yield
    await engine.dispose()
    provider.shutdown()


async def handle_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to any error. A crash says nothing of its cause."""
    headers = None
    if isinstance(error, BaseError):
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


def create_app(settings: Settings) -> FastAPI:
    """The application. The docs pages are off in prd."""
    make = FastAPIOffline
    if settings.environment == "prd":
        make = partial(FastAPI, openapi_url=None)
    app = make(
        title=TITLE,
        description=DESCRIPTION,
        version=VERSION,
        lifespan=lifespan,
        # A redirect would name the scheme that we see behind Google's front
        # end, plain http.
        redirect_slashes=False,
        # Our own log has the errors already; a span for each dependency
        # costs more than it tells.
        telemetry={
            "logs": False,
            "operation_spans": False,
            "exclude": is_probe,
        },
    )
    app.state.settings = settings
    app.dependency_overrides[get_config] = lambda: settings
    for handled in (BaseError, HTTPException, RequestValidationError):
        app.add_exception_handler(handled, handle_error)
    app.add_middleware(RequestMiddleware, on_crash=handle_error)
    for router in routers:
        app.include_router(router)
    return app


@lru_cache
def get_app() -> FastAPI:
    """The process's application, of the process's configuration."""
    settings = get_config()
    configure_logging(settings)
    return create_app(settings)


def server() -> None:
    """Serves until SIGTERM or Ctrl-C. Exit status 2: wrong configuration."""
    try:
        options = get_config().server
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    uvicorn.run(
        "src:app",
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=["src"] if options.reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=options.shutdown_seconds,
    )
