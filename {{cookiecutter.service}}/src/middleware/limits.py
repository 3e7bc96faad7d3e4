"""How much a caller may send, and how many may call at once.

What is refused is answered as any error is. Who is too slow, or sends a head
that never ends, is cut a floor below, in `src/connection.py`.
"""

from asyncio import timeout
from collections.abc import Awaitable, Callable
from contextlib import suppress

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.dependencies.config import ServerSettings
from src.middleware.request import is_probe

MAX_HEADERS = 128
RETRY_SECONDS = 1
BODY_HEADERS = {b"content-length", b"transfer-encoding", b"expect"}
CLOSE = {"Connection": "close"}
# A connection that is closed with bytes unread is reset, and a caller who is
# still sending may then lose our answer: so much is read on, for so long.
DRAIN_BYTES = 16 * 1024 * 1024
DRAIN_SECONDS = 2


class LimitsMiddleware:
    """Refuses what is too large, or too much."""

    def __init__(
        self,
        app: ASGIApp,
        limits: ServerSettings,
        on_refusal: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self.app = app
        self.limits = limits
        self.on_refusal = on_refusal
        self.requests = 0
        self.bytes = 0  # of bodies

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serves one request, or refuses it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        size = 0
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in BODY_HEADERS:
                found[name] = value
        body = Body(self, found, receive, send) if found else None
        if body is not None:
            receive, send = body.receive, body.send
        refusal = self.refusal(scope, size, body)
        if refusal is not None:
            if body is not None:
                body.bounded = False
            answer = await self.on_refusal(Request(scope), refusal)
            await answer(scope, receive, send)
            return
        self.requests += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.requests -= 1
            if body is not None:
                self.bytes -= body.size

    def refusal(
        self, scope: Scope, size: int, body: "Body | None"
    ) -> HTTPException | None:
        """Why the request is not to be served, if so. A probe is never one too
        many: the busiest instance is no sick one."""
        limits = self.limits
        if self.requests >= limits.max_concurrency and not is_probe(scope):
            return too_busy()
        url = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if url > limits.max_url_bytes:
            return HTTPException(414)
        if size > limits.max_head_bytes or len(scope["headers"]) > MAX_HEADERS:
            return HTTPException(431)
        if body is not None and body.declared > limits.max_body_bytes:
            return HTTPException(413, headers=CLOSE)
        return None


class Body:
    """A request's body on its way in, counted."""

    def __init__(
        self,
        owner: LimitsMiddleware,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
    ) -> None:
        length = headers.get(b"content-length")
        # The server has checked that it is a number.
        self.declared = int(length) if length else 0
        self.waits = b"expect" in headers  # so nothing more is coming
        self.bounded = (
            length is not None and self.declared <= owner.limits.max_body_bytes
        )
        self.owner = owner
        self.size = 0
        self.complete = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """The next part. Raises HTTPException: 408, 413 or 503."""
        message = await self._receive()
        if self.complete:
            return message
        if message["type"] == "http.disconnect":
            # The caller has gone, or was too slow: the log is to say so.
            self.waits = True
            raise self.cut(HTTPException(408))
        length = len(message.get("body", b""))
        self.size += length
        self.owner.bytes += length
        if self.size > self.owner.limits.max_body_bytes:
            raise self.cut(HTTPException(413, headers=CLOSE))
        if self.owner.bytes > self.owner.limits.max_bodies_bytes:
            raise self.cut(too_busy())
        self.complete = not message.get("more_body", False)
        return message

    def cut(self, refusal: HTTPException) -> HTTPException:
        """The refusal; the body is no longer wanted, or kept."""
        self.bounded = False
        self.owner.bytes -= self.size
        self.size = 0
        return refusal

    async def send(self, message: Message) -> None:
        """Sends on. Where a body without a known end is left unread, the
        connection ends with the answer."""
        if self.complete or self.bounded:
            await self._send(message)
        elif message["type"] == "http.response.start":
            headers = [
                (name, value)
                for name, value in message["headers"]
                if name != b"connection"
            ]
            headers.append((b"connection", b"close"))
            await self._send({**message, "headers": headers})
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self.drain()
            await self._send({"type": "http.response.body"})

    async def drain(self) -> None:
        """Reads on for a moment, to no use but the caller's."""
        left = 0 if self.waits else DRAIN_BYTES
        with suppress(TimeoutError):
            async with timeout(DRAIN_SECONDS):
                while left > 0 and not self.complete:
                    message = await self._receive()
                    left -= len(message.get("body", b""))
                    self.complete = not message.get("more_body", False)


def too_busy() -> HTTPException:
    """503: as much is being done as may be."""
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return HTTPException(503, headers=headers)
