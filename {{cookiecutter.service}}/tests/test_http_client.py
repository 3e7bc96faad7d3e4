"""The HTTP client: one for the process, with limits, continuing the trace,
and asking again where that is safe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, ConnectError, ReadTimeout
from opentelemetry import trace

from src.dependencies import HttpClient
from src.dependencies.config import HttpClientSettings, Settings
from src.dependencies.http_client import create_http_client
from src.main import create_app, lifespan

type Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A server that goes through a list of answers, the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[Answer] = [told]
        self.asked: list[str] = []
        self.open = self.most_open = 0
        self.crowd = asyncio.Event()
        self.never = asyncio.Event()

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answers one request, and closes the connection."""
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        if self.open == 2:
            self.crowd.set()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.partition(" ")[0])
        last = len(self.answers) == 1
        answer = self.answers[0] if last else self.answers.pop(0)
        try:
            await answer(head, writer)
        except ConnectionError:
            pass  # the caller has had enough
        self.open -= 1
        writer.close()

    async def silent(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Never answers."""
        await self.never.wait()

    async def dripping(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Sends a body byte by byte, and never all of it."""
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n")
        while not self.never.is_set():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.001)

    async def crowded(self, head: str, writer: asyncio.StreamWriter) -> None:
        """Answers once two are asking."""
        await self.crowd.wait()
        await told(head, writer)


async def told(head: str, writer: asyncio.StreamWriter) -> None:
    """Tells the trace that was given."""
    given = [x for x in head.splitlines() if x.startswith("traceparent")]
    await reply(writer, "200 OK", "".join(given))


async def dropped(head: str, writer: asyncio.StreamWriter) -> None:
    """Hangs up without a word."""


async def reply(
    writer: asyncio.StreamWriter, status: str, body: str = "", more: str = ""
) -> None:
    """Sends an answer."""
    writer.write(
        f"HTTP/1.1 {status}\r\nconnection: close\r\n{more}"
        f"content-length: {len(body)}\r\n\r\n{body}".encode()
    )
    await writer.drain()


def refused(status: str, more: str = "") -> Answer:
    """An answer that is an error."""

    async def refuse(head: str, writer: asyncio.StreamWriter) -> None:
        await reply(writer, status, more=more)

    return refuse


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """The server that is called."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    peer.url = f"http://{host}:{port}"
    yield peer
    peer.never.set()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def calling(
    settings: Settings, **options: float
) -> AsyncIterator[AsyncClient]:
    """A client with these options, which loses no time between attempts."""
    values = {"backoff_seconds": 0.001, **options}
    chosen = HttpClientSettings.model_validate(values)
    async with create_http_client(
        settings.model_copy(update={"http_client": chosen})
    ) as client:
        yield client


async def test_the_callee_is_given_the_trace(
    settings: Settings, started_app: FastAPI, peer: Peer
) -> None:
    span = trace.NonRecordingSpan(
        trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1))
    )
    peer.answers = [refused("503 Busy"), told]
    async with calling(settings) as client:
        with trace.use_span(span):
            answer = await client.get(peer.url)
    assert answer.text == f"traceparent: 00-{0xABC:032x}-{0xDEF:016x}-01"


async def test_a_slow_callee_times_out_and_is_left_alone(
    settings: Settings, peer: Peer
) -> None:
    peer.answers = [peer.silent]
    async with calling(settings, timeout_seconds=0.05) as client:
        with pytest.raises(ReadTimeout):
            await client.get(peer.url)
    assert peer.asked == ["GET"]


@pytest.mark.parametrize(
    "fault",
    [
        refused("429 Too Many Requests"),
        refused("502 Bad Gateway"),
        refused("503 Busy", "retry-after: 0\r\n"),
        refused("503 Busy", "retry-after: soon\r\n"),
        refused("504 Late"),
        dropped,
    ],
)
async def test_what_passes_is_tried_again(
    settings: Settings, peer: Peer, fault: Answer
) -> None:
    peer.answers = [fault, fault, told]
    async with calling(settings) as client:
        assert (await client.get(peer.url)).status_code == 200
    assert len(peer.asked) == 3


@pytest.mark.parametrize(
    ("method", "attempts"),
    [
        ("GET", 3),
        ("HEAD", 3),
        ("OPTIONS", 3),
        ("PUT", 3),
        ("DELETE", 3),
        ("POST", 1),
        ("PATCH", 1),
    ],
)
async def test_only_what_may_be_done_twice_is(
    settings: Settings, peer: Peer, method: str, attempts: int
) -> None:
    peer.answers = [refused("503 Busy")]
    async with calling(settings) as client:
        answer = await client.request(method, peer.url)
    assert answer.status_code == 503, "the last answer is the caller's"
    assert peer.asked == [method] * attempts


@pytest.mark.parametrize("status", ["200 OK", "404 None", "500 Crash"])
async def test_an_answer_that_would_be_the_same_is_not_asked_for_again(
    settings: Settings, peer: Peer, status: str
) -> None:
    peer.answers = [refused(status)]
    async with calling(settings) as client:
        await client.get(peer.url)
    assert len(peer.asked) == 1


async def test_a_body_that_is_gone_is_not_sent_again(
    settings: Settings, peer: Peer
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"once"

    peer.answers = [refused("503 Busy")]
    async with calling(settings) as client:
        answer = await client.put(peer.url, content=parts())
        assert answer.status_code == 503
        await client.put(peer.url, content=b"again and again")
    assert len(peer.asked) == 1 + 3


async def test_the_callee_is_given_the_time_it_asks_for(
    settings: Settings, peer: Peer
) -> None:
    peer.answers = [refused("503 Busy", "retry-after: 60\r\n")]
    options = {"total_seconds": 0.3, "max_wait_seconds": 60}
    async with calling(settings, **options) as client:
        with pytest.raises(ReadTimeout, match="in all"):
            await client.get(peer.url)
    assert len(peer.asked) == 1


async def test_but_not_more_than_is_sensible(
    settings: Settings, peer: Peer
) -> None:
    peer.answers = [refused("503 Busy", "retry-after: 6000\r\n"), told]
    async with calling(settings, max_wait_seconds=0.01) as client:
        assert (await client.get(peer.url)).status_code == 200


async def test_a_body_that_never_ends_is_cut(
    settings: Settings, peer: Peer
) -> None:
    peer.answers = [peer.dripping]
    async with calling(settings, total_seconds=0.3) as client:
        with pytest.raises(ReadTimeout, match="in all"):
            await client.get(peer.url)


async def test_a_request_may_take_longer_when_it_says_so(
    settings: Settings, peer: Peer
) -> None:
    async with calling(settings, total_seconds=1e-9) as client:
        with pytest.raises(ReadTimeout):
            await client.get(peer.url)
        patient = {"total_seconds": 30}
        answer = await client.get(peer.url, extensions=patient)
    assert answer.status_code == 200


async def test_nobody_there_is_an_error(
    settings: Settings, unused_tcp_port: int
) -> None:
    async with calling(settings) as client:
        with pytest.raises(ConnectError):
            await client.get(f"http://127.0.0.1:{unused_tcp_port}")


async def test_connections_are_limited(settings: Settings, peer: Peer) -> None:
    peer.answers = [peer.crowded]
    async with calling(settings, max_connections=2) as client:
        await asyncio.gather(*(client.get(peer.url) for _ in range(10)))
    assert (len(peer.asked), peer.most_open) == (10, 2)


async def test_it_is_injected_and_closed_at_the_end(
    settings: Settings,
) -> None:
    app = create_app(settings)

    @app.get("/is-closed")
    async def is_closed(client: HttpClient) -> bool:
        return client.is_closed

    async with lifespan(app):
        transport = ASGITransport(app)
        async with AsyncClient(
            transport=transport, base_url="http://x"
        ) as caller:
            assert (await caller.get("/is-closed")).json() is False
    assert app.state.http_client.is_closed
