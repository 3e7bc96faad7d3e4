"""How an outgoing request is sent: again where that is safe and may help, and
never for longer than it may take in all."""

import asyncio
from collections.abc import AsyncIterator
from typing import override

from httpx import (
    AsyncBaseTransport,
    AsyncByteStream,
    AsyncHTTPTransport,
    ByteStream,
    ConnectTimeout,
    Limits,
    NetworkError,
    ReadTimeout,
    RemoteProtocolError,
    Request,
    Response,
)
from httpx_retries import Retry, RetryTransport

from src.dependencies.config import HttpClientSettings

# Doing these twice is doing them once (RFC 9110, section 9.2.2).
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
# A callee that is slow to answer is not asked again: it would be slower yet.
PASSING = (NetworkError, ConnectTimeout, RemoteProtocolError)
NEVER = Retry(total=0)


def create_transport(settings: HttpClientSettings) -> AsyncBaseTransport:
    """Sends requests over a limited number of connections."""
    retry = Retry(
        total=settings.attempts - 1,
        allowed_methods=IDEMPOTENT,
        retry_on_exceptions=PASSING,
        backoff_factor=settings.backoff_seconds,
        max_backoff_wait=settings.max_wait_seconds,
    )
    limits = Limits(max_connections=settings.max_connections)
    sending = RetryTransport(AsyncHTTPTransport(limits=limits), retry)
    return BoundedTransport(sending, settings.total_seconds)


class BoundedTransport(AsyncBaseTransport):
    """Raises ReadTimeout when a request with its attempts, its waits and the
    answer's body has taken too long. A request may bring a bound of its own:
    `extensions={"total_seconds": 300}`."""

    def __init__(self, sending: RetryTransport, total_seconds: float) -> None:
        self._sending = sending
        self._total_seconds = total_seconds

    @override
    async def handle_async_request(self, request: Request) -> Response:
        seconds = request.extensions.get("total_seconds", self._total_seconds)
        deadline = asyncio.get_running_loop().time() + seconds
        if not isinstance(request.stream, ByteStream):
            # What has been read from a file or a generator is gone.
            request.extensions["retry"] = NEVER
        try:
            async with asyncio.timeout_at(deadline):
                answer = await self._sending.handle_async_request(request)
        except TimeoutError:
            raise too_long(request) from None
        assert isinstance(answer.stream, AsyncByteStream)
        answer.stream = BoundedStream(answer.stream, deadline, request)
        return answer

    @override
    async def aclose(self) -> None:
        await self._sending.aclose()


class BoundedStream(AsyncByteStream):
    """An answer's body, which has to be there by the deadline."""

    def __init__(
        self, body: AsyncByteStream, deadline: float, request: Request
    ) -> None:
        self._body = body
        self._deadline = deadline
        self._request = request

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = aiter(self._body)
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    part = await anext(parts)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise too_long(self._request) from None
            yield part

    @override
    async def aclose(self) -> None:
        await self._body.aclose()


def too_long(request: Request) -> ReadTimeout:
    """The error, with httpx's other timeouts as its kin."""
    return ReadTimeout("the request took too long in all", request=request)
