"""A connection's limits, below the application: a request that does not come,
or a head that does not end; requests sent ahead of their answers; more
connections than can be used. `src/middleware/limits.py` has the other limits.
"""

import asyncio
from http import HTTPStatus
from typing import Any, override

from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from src.dependencies.config import get_config
from src.dependencies.logger import logger
from src.schemas import ErrorResponse

# A caller may send requests before it has our answers, so many.
MAX_PIPELINED = 16
CONNECTIONS_PER_REQUEST = 4
READ_BYTES = 64 * 1024  # as much as uvicorn keeps of a body that waits
# At the end, so long for a request that was on its way already.
LINGER_SECONDS = 0.5


class NoTrailers(list[tuple[bytes, bytes]]):
    """Where headers that come after a body go: nowhere."""

    @override
    def append(self, header: tuple[bytes, bytes]) -> None:
        """Forgets it."""


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with limits."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = get_config().server
        self.in_head = False
        self.in_message = False
        self.overhead = 0  # bytes of the message that are not its body
        self.refused_with = 400
        self.is_refused = False
        self.draining = False
        self.timer: asyncio.TimerHandle | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an answer is due."""
        return self.cycle is not None and not self.cycle.response_complete

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins, and makes room where there are too many."""
        super().connection_made(transport)
        # asyncio reads up to 256 KiB at once, for which each would have room.
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]
        most = self.limits.max_concurrency * CONNECTIONS_PER_REQUEST
        if len(self.connections) > most:
            self.make_room()
        self.start_timer()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        self.stop_timer()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        """Reads on. A request that comes in one piece needs no timer."""
        if self.is_refused:
            return
        self.overhead += len(data)
        super().data_received(data)
        if not self.in_message:
            self.stop_timer()
        elif self.overhead > self.most():
            self.refused_with = 431
            self.send_400_response("")
        elif self.timer is None:
            self.start_timer()

    def most(self) -> int:
        """How many bytes of the message may be no body: its head, then also
        the sizes that stand between the chunks."""
        if self.in_head:
            return self.limits.max_head_bytes
        return self.limits.max_head_bytes + self.limits.max_body_bytes // 2

    @override
    def on_message_begin(self) -> None:
        """A head begins."""
        if len(self.pipeline) >= MAX_PIPELINED:
            self.refused_with = 429
            raise HttpParserError("too many requests at once")
        super().on_message_begin()
        self.in_head = self.in_message = True
        self.overhead = 0

    @override
    def on_headers_complete(self) -> None:
        """The head is there, and the request begins."""
        self.in_head = False
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = NoTrailers()
        if self.draining and self.cycle is not None:
            self.cycle.keep_alive = False

    @override
    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.overhead -= len(body)
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        """The request is there as a whole."""
        self.in_message = False
        super().on_message_complete()

    @override
    def shutdown(self) -> None:
        """The process ends: what is being served is finished, and so is a
        request that was sent before its caller could know."""
        self.draining = True
        if self.is_busy:
            super().shutdown()
        else:
            self.loop.call_later(LINGER_SECONDS, self.end)

    def end(self) -> None:
        """Closes, or lets the answer that is due be the last."""
        if self.is_busy:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    @override
    def send_400_response(self, msg: str) -> None:
        """Refuses what is no request, or none that can be served."""
        self.is_refused = True
        self.stop_timer()
        phrase = HTTPStatus(self.refused_with).phrase
        logger.warning(
            {"message": f"connection refused: {self.refused_with} {phrase}"}
        )
        if not self.is_busy:
            self.write_refusal(phrase)
        elif self.in_message and not self.in_head:
            # Its body: the application waits for what will never come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if not self.cycle.response_started and not self.pipeline:
                self.write_refusal(phrase)
            self.transport.close()
        else:
            self.end()  # once the answers that are due are given

    def write_refusal(self, phrase: str) -> None:
        """Answers as the application would, and closes."""
        body = ErrorResponse(status_code=self.refused_with, message=phrase)
        content = body.model_dump_json()
        lines = [
            f"HTTP/1.1 {self.refused_with} {phrase}",
            "content-type: application/json",
            f"content-length: {len(content)}",
            "connection: close",
            "",
            content,
        ]
        self.transport.write("\r\n".join(lines).encode())
        self.transport.close()

    def start_timer(self) -> None:
        """Gives the caller its time to send a request."""
        self.timer = self.loop.call_later(
            self.limits.read_seconds, self.time_out
        )

    def stop_timer(self) -> None:
        """The request is there."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def time_out(self) -> None:
        """Ends a connection whose caller is too slow. It is not when it waits
        for us: for an answer, or to read what it has sent."""
        self.timer = None
        if self.is_busy and (self.in_head or self.flow.read_paused):
            self.start_timer()
        elif self.in_head or self.is_busy:
            self.refused_with = 408
            self.send_400_response("")
        else:
            self.transport.close()

    def make_room(self) -> None:
        """Closes a connection that nobody uses; ours where all are used."""
        for other in self.connections:
            if other is not self and not getattr(other, "is_busy", True):
                other.transport.close()
                return
        self.transport.close()
