"""Builds the application of its parts, and serves it."""

import gc
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from src.about import DESCRIPTION, TITLE, VERSION
from src.dependencies.caller import caller_needed, verification
from src.dependencies.config import Settings, get_config
from src.dependencies.config_error import ConfigError
from src.dependencies.database import create_engine
from src.dependencies.database_session import Sessions
from src.dependencies.http_client import create_http_client
from src.dependencies.logger import configure_logging
from src.dependencies.metrics import sending_metrics
from src.dependencies.tracer import configure_tracing
from src.error_handlers import ERROR_HANDLERS, handle_error
from src.middleware import (
    ForwardedMiddleware,
    HeadersMiddleware,
    LimitsMiddleware,
    RequestMiddleware,
    cors,
)
from src.routers import open_to_all, routers
from src.routers.adding import add_router
from src.schemas import errors

# Python's own limit, of 2,000 new objects, is a few requests'.
GARBAGE = (20_000, 10, 10)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens what the whole process shares, and closes it at the end."""
    settings: Settings = app.state.settings
    provider = configure_tracing(settings)
    engine = create_engine(settings.database)
    app.state.sessions = Sessions(engine)
    async with (
        create_http_client(settings) as client,
        verification(settings.auth, client) as verifier,
    ):
        app.state.http_client = client
        app.state.verifier = verifier
        with sending_metrics(settings, engine):
            collect_less_garbage()
            yield
    await engine.dispose()
    provider.shutdown()


def collect_less_garbage() -> None:
    """What lives as long as the process is not looked through again, and what
    lives as long as a request is not, mostly."""
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    gc.enable()


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
        # RequestMiddleware traces, logs and measures, at a tenth of the cost.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.settings = settings
    for kind, handler in ERROR_HANDLERS.items():
        app.add_exception_handler(kind, handler)
    add_middleware(app, settings)
    for router in served:
        if settings.auth.issuer and router not in open_to_all:
            add_router(app, router, [Depends(caller_needed)], errors(401, 503))
        else:
            add_router(app, router)
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
        settings = get_config()
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    configure_logging(settings)  # of a process that only watches over others
    options = settings.server
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        reload=options.reload,
        reload_dirs=["src"] if options.reload else None,
        workers=1 if options.reload else options.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # ForwardedMiddleware knows whom to believe
        # uvloop is no faster here, and lets some callers wait five times as
        # long as most.
        loop="asyncio",
        http="src.connection:Connection",
        ws="none",  # its requests would pass none of our middleware
        timeout_keep_alive=options.keep_alive_seconds,
        timeout_graceful_shutdown=options.shutdown_seconds,
    )
