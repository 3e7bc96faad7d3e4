"""Keeps web pages out, and bodies that are larger than any should be.

A browser sends a page's requests to 127.0.0.1 like any other, and a build runs whatever it is
given: so a request that comes from a page, or asks for another machine's name, is refused.
"""

import json

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.emulator import errors
from infra.emulator.errors import GoogleError
from infra.emulator.runtime.hosts import is_local

LARGEST = 32 * 2**20
LARGEST_UPLOAD = 512 * 2**20
_UPLOADS = ("/upload/", "/resumable/upload/", "/storage/upload/", "/storage/resumable/upload/")


class Guard:
    """An ASGI application in front of another."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on, or answers it: 403, 413."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]
        }
        largest = LARGEST_UPLOAD if scope["path"].startswith(_UPLOADS) else LARGEST
        failure = _from_a_page(headers)
        if failure is None and _length(headers) > largest:
            failure = _too_large(largest)
        if failure is None:
            body = _Body(receive, largest)
            try:
                await self._application(scope, body.receive, send)
            except _TooLarge:
                failure = _too_large(largest)
        if failure is not None:
            answer = Response(
                json.dumps(failure.to_json()).encode(),
                failure.status_code,
                # What is left of the body is not read.
                {"connection": "close"},
                media_type="application/json; charset=UTF-8",
            )
            await answer(scope, receive, send)


class _TooLarge(Exception):
    """A body without a length has become larger than any should be."""


class _Body:
    """Counts what is received."""

    def __init__(self, receive: Receive, largest: int) -> None:
        self._receive = receive
        self._left = largest

    async def receive(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooLarge
        return message


def _from_a_page(headers: dict[str, str]) -> GoogleError | None:
    """403 for a request that a browser sends for another site's page, or under another name."""
    host = headers.get("host", "")
    if not is_local(host):
        return errors.error(
            "PERMISSION_DENIED",
            f"The emulator answers for 127.0.0.1 and localhost, and was asked for {host!r}.",
        )
    site = headers.get("sec-fetch-site", "none")
    origin = headers.get("origin")
    if site not in ("none", "same-origin") or origin not in (None, f"http://{host}"):
        return errors.error("PERMISSION_DENIED", "The emulator does not answer web pages.")
    return None


def _length(headers: dict[str, str]) -> int:
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


def _too_large(largest: int) -> GoogleError:
    message = f"Request payload size exceeds the limit: {largest} bytes."
    return GoogleError(413, "INVALID_ARGUMENT", message)
