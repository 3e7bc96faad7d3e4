"""The HTTP client: one for the process, with limits, continuing the trace."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, ReadTimeout
from opentelemetry import trace

from src.dependencies import HttpClient
from src.dependencies.config import HttpClientSettings, Settings
from src.dependencies.http_client import create_http_client
from src.main import create_app, lifespan


@pytest.fixture
async def peer() -> AsyncIterator[str]:
    """A server that tells the trace it was given; /slow never answers."""
    never = asyncio.Event()

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if head.startswith("GET /slow"):
            await never.wait()
        given = [x for x in head.splitlines() if x.startswith("traceparent")]
        body = "".join(given).encode()
        length = str(len(body)).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n")
        writer.write(b"content-length: " + length + b"\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"http://{host}:{port}"
    never.set()
    server.close()
    await server.wait_closed()


async def test_the_callee_is_given_the_trace(
    settings: Settings, started_app: FastAPI, peer: str
) -> None:
    span = trace.NonRecordingSpan(
        trace.SpanContext(0xABC, 0xDEF, False, trace.TraceFlags(1))
    )
    async with create_http_client(settings) as client:
        with trace.use_span(span):
            answer = await client.get(peer)
    assert answer.text == f"traceparent: 00-{0xABC:032x}-{0xDEF:016x}-01"


async def test_a_slow_callee_times_out(settings: Settings, peer: str) -> None:
    quick = HttpClientSettings(timeout_seconds=0.05)
    chosen = settings.model_copy(update={"http_client": quick})
    async with create_http_client(chosen) as client:
        with pytest.raises(ReadTimeout):
            await client.get(f"{peer}/slow")


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
