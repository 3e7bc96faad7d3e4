"""What surrounds every request: an id, one log line, and the last net for a
crash. Pure ASGI, so that it costs no task and no queue."""

import logging
import re
from collections.abc import Awaitable, Callable
from secrets import token_hex
from time import perf_counter

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.dependencies.logger import logger, request_id
from src.dependencies.metrics import requests
from src.dependencies.tracer import tracer

PROBES = {"/health", "/live"}
REQUEST_ID = b"x-request-id"
# What may stand in a log line and in a header of ours.
VALID_ID = re.compile(rb"[A-Za-z0-9._:/-]{1,128}")


class RequestMiddleware:
    """Wraps the application; `on_crash` makes the answer to a crash."""

    def __init__(
        self,
        app: ASGIApp,
        on_crash: Callable[[Request, Exception], Awaitable[ASGIApp]],
    ) -> None:
        self.app = app
        self.on_crash = on_crash

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        id = id_of(scope)
        id_header = (REQUEST_ID, id.encode())
        token = request_id.set(id)
        traced = None if is_probe(scope) else tracer.begin(scope)
        started = perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], id_header]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            logger.exception({"message": f"{type(error).__name__} not handled"})
            if status:
                raise
            answer = await self.on_crash(Request(scope), error)
            await answer(scope, receive, send_with_id)
        finally:
            if traced is not None:
                seconds = perf_counter() - started
                log_request(scope, status, seconds)
                requests.record(
                    scope["method"], route_of(scope), status, seconds
                )
                tracer.end(*traced, scope, status)
            request_id.reset(token)


def is_probe(scope: Scope) -> bool:
    """Whether Cloud Run asks how we are: neither logged nor traced."""
    return scope.get("path") in PROBES


def route_of(scope: Scope) -> str | None:
    """The template of the request's route, None where it has none."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def id_of(scope: Scope) -> str:
    """The caller's id for the request where it is a harmless one, or ours."""
    for name, value in scope["headers"]:
        if name == REQUEST_ID and VALID_ID.fullmatch(value):
            return str(value, "ascii")
    return token_hex(16)


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """The request's one line. The query may hold secrets and is left out."""
    caller = {"caller": scope["caller"]} if "caller" in scope else {}
    logger.log(
        logging.ERROR if status >= 500 else logging.INFO,
        {
            "message": f"{scope['method']} {scope['path']} {status}",
            "route": route_of(scope),
            **caller,
            "httpRequest": {
                "requestMethod": scope["method"],
                "requestUrl": scope["path"],
                "status": status,
                "latency": f"{seconds:.6f}s",
            },
        },
    )
