"""Spans: the request's, a method's, a block's."""

from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import google.auth
import pytest
from fastapi import FastAPI
from google.auth.credentials import AnonymousCredentials
from httpx import ASGITransport, AsyncClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
    InMemorySpanExporter,
)

from src.dependencies import google_cloud, tracer
from src.dependencies.config import Settings, TracerSettings
from src.dependencies.tracer import create_provider
from src.main import create_app

SAMPLED = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01"}
NOT_SAMPLED = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-00"}


@pytest.fixture
def spans(started_app: FastAPI) -> Iterator[InMemorySpanExporter]:
    """The spans that end, in memory."""
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    yield exporter
    processor.shutdown()


def names(exporter: InMemorySpanExporter) -> list[str]:
    """The spans' names, in the order in which they ended."""
    return [span.name for span in exporter.get_finished_spans()]


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of an application with an observed route."""
    app = create_app(settings)

    @app.get("/work/{number}")
    async def work(number: int) -> int:
        return await observed(number)

    @tracer.observe()
    async def observed(number: int) -> int:
        return number

    transport = ASGITransport(app)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


async def test_a_request_is_a_span_and_its_work_one_below(
    client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await client.get("/work/5", headers=SAMPLED)
    inner, outer = spans.get_finished_spans()
    assert inner.name.endswith("observed")
    assert outer.name == "GET /work/{number}"
    assert inner.parent == outer.get_span_context()
    assert outer.parent is not None
    assert outer.parent.span_id == int("2" * 16, 16)
    attributes = dict(outer.attributes or {})
    assert attributes["http.response.status_code"] == 200
    assert attributes["http.route"] == "/work/{number}"


async def test_the_caller_s_decision_not_to_sample_is_kept(
    client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await client.get("/work/5", headers=NOT_SAMPLED)
    assert names(spans) == []


async def test_a_probe_is_no_span(
    client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await client.get("/live", headers=SAMPLED)
    assert names(spans) == []


async def test_observe_and_track(spans: InMemorySpanExporter) -> None:
    @tracer.observe("sync")
    def double(number: int) -> int:
        return 2 * number

    @tracer.observe("async")
    async def quadruple(number: int) -> int:
        async with tracer.track("part", attributes={"number": number}) as span:
            span.set_attribute("more", True)
            return double(double(number))

    with trace.use_span(sampled_parent()):
        assert await quadruple(3) == 12
    assert names(spans) == ["sync", "sync", "part", "async"]
    part: ReadableSpan = spans.get_finished_spans()[2]
    assert dict(part.attributes or {}) == {"number": 3, "more": True}


def sampled_parent() -> trace.Span:
    """A span that has been sampled, whatever the ratio."""
    return trace.NonRecordingSpan(
        trace.SpanContext(1, 2, True, trace.TraceFlags(1))
    )


async def test_an_error_is_recorded_and_raised(
    spans: InMemorySpanExporter,
) -> None:
    @tracer.observe("fails")
    async def fail() -> None:
        raise ValueError("why")

    with (
        trace.use_span(sampled_parent()),
        pytest.raises(ValueError, match="why"),
    ):
        await fail()
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR


async def test_on_cloud_run_spans_go_to_cloud_trace(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        """Takes what is sent to the Telemetry API."""

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.append((self.path, self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    collector = HTTPServer(("127.0.0.1", 0), Collector)
    thread = Thread(target=collector.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    monkeypatch.setattr(google_cloud, "TRACES", url)
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", lambda scopes: (nobody, None))
    monkeypatch.setenv("K_SERVICE", "a-service")
    monkeypatch.setenv("K_REVISION", "a-service-00007")
    try:
        provider = create_provider(
            settings.model_copy(
                update={
                    "environment": "stg",
                    "google_cloud_project": "a-project",
                    "tracer": TracerSettings(sample_ratio=1),
                }
            )
        )
        provider.get_tracer("test").start_span("work").end()
        provider.shutdown()
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    ((path, body),) = received
    assert path == "/v1/traces"
    for text in (b"work", b"a-project", b"a-service-00007", b"stg"):
        assert text in body
