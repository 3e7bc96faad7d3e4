"""Builds the application: its lifespan, its routers, its one error handler."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from http import HTTPStatus

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from src.about import DESCRIPTION, TITLE, VERSION
from src.dependencies.caller import caller_needed, verification
from src.dependencies.config import Settings, get_config
from src.dependencies.config_error import ConfigError
from src.dependencies.database import create_engine, create_sessions
from src.dependencies.database_faults import (
    DATABASE_ERRORS,
    cause,
    unavailable,
)
from src.dependencies.http_client import create_http_client
from src.dependencies.logger import configure_logging, logger
from src.dependencies.metrics import sending_metrics
from src.dependencies.tracer import configure_tracing
from src.exceptions import BaseError
from src.middleware import (
    ForwardedMiddleware,
    HeadersMiddleware,
    LimitsMiddleware,
    RequestMiddleware,
    cors,
    is_probe,
)
from src.routers import open_to_all, routers
from src.schemas import ErrorResponse, errors


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the whole process shares, and closes it at the end."""
    settings: Settings = app.state.settings
    provider = configure_tracing(settings)
    engine = create_engine(settings.database)
    app.state.sessions = create_sessions(engine)
    async with (
        create_http_client(settings) as client,
        verification(settings.auth, client) as verifier,
    ):
        app.state.http_client = client
        app.state.verifier = verifier
        with sending_metrics(settings, engine):
            yield
    await engine.dispose()
    provider.shutdown()


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
            status_code=422, message="Validation failed", data=faults(error)
        )
    elif isinstance(error, HTTPException):
        headers = error.headers
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


def faults(error: RequestValidationError) -> dict[str, list[str]]:
    """Each field of the request with its faults."""
    found: dict[str, list[str]] = {}
    for fault in error.errors():
        where, *path = fault["loc"]
        if fault["type"] == "json_invalid":
            path = []  # where in the text it is, not in which field
        field = ".".join(str(part) for part in path) or str(where)
        found.setdefault(field, []).append(fault["msg"])
    return found


def create_app(
    settings: Settings, served: Sequence[APIRouter] = routers
) -> FastAPI:
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
        # Our own log has the errors already, and our own metrics the rest; a
        # span for each dependency costs more than it tells.
        telemetry={
            "logs": False,
            "metrics": False,
            "operation_spans": False,
            "exclude": is_probe,
        },
    )
    app.state.settings = settings
    app.dependency_overrides[get_config] = lambda: settings
    for handled in (BaseError, HTTPException, RequestValidationError):
        app.add_exception_handler(handled, handle_error)
    for database_error in DATABASE_ERRORS:
        app.add_exception_handler(database_error, handle_database_error)
    add_middleware(app, settings)
    for router in served:
        if settings.auth.issuer and router not in open_to_all:
            app.include_router(
                router,
                dependencies=[Depends(caller_needed)],
                responses=errors(401, 503),
            )
        else:
            app.include_router(router)
    return app


def add_middleware(app: FastAPI, settings: Settings) -> None:
    """What every request passes: the last one added is the first."""

    async def on_crash(request: Request, error: Exception) -> ASGIApp:
        return cors(await handle_error(request, error), settings.cors)

    app.add_middleware(
        LimitsMiddleware, limits=settings.server, on_refusal=handle_error
    )
    if settings.cors.origins:
        app.add_middleware(cors, settings=settings.cors)
    app.add_middleware(RequestMiddleware, on_crash=on_crash)
    app.add_middleware(HeadersMiddleware)
    if "K_SERVICE" in os.environ:  # behind Google's front end
        app.add_middleware(
            ForwardedMiddleware, hops=settings.server.forwarded_hops
        )


@lru_cache
def get_app() -> FastAPI:
    """The process's application, of the process's configuration."""
    settings = get_config()
    configure_logging(settings)
    return create_app(settings)


def server() -> None:
    """Serves until SIGTERM or Ctrl-C. Exit status 2: wrong configuration."""
    serve("src:app")


def serve(app: str) -> None:
    """Serves the application that the import string names."""
    try:
        options = get_config().server
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=["src"] if options.reload else None,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # ForwardedMiddleware knows whom to believe
        http="src.connection:Connection",
        timeout_keep_alive=options.keep_alive_seconds,
        timeout_graceful_shutdown=options.shutdown_seconds,
    )
