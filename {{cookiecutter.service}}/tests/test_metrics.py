"""Metrics: requests by route, the pool, the event loop; and where they go."""

import asyncio
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from httpx import AsyncClient
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from src.dependencies import google_metrics
from src.dependencies.config import Settings
from src.dependencies.database import create_engine
from src.dependencies.database_pool import FairPool
from src.dependencies.metrics import (
    BOUNDS,
    LoopLag,
    Requests,
    requests,
    sending_metrics,
)

type Received = list[tuple[str, bytes]]


def count(method: str, route: str, status: int) -> int:
    """How many such requests there were."""
    series = requests.series.get((method, route, status))
    return sum(series.counts) if series else 0


async def test_a_request_counts_by_route_and_status(
    client: AsyncClient,
) -> None:
    before = count("GET", "", 404)
    await client.get("/no-such-path")
    await client.get("/no-such-path-either")
    assert count("GET", "", 404) == before + 2


async def test_a_probe_does_not_count(client: AsyncClient) -> None:
    before = {**requests.series}
    assert (await client.get("/live")).status_code == 200
    assert requests.series == before


def test_callers_make_no_labels() -> None:
    measured = Requests()
    for method in ("BREW", "brew", "GETS"):
        measured.record(method, "/items", 405, 0.1)
    assert [*measured.series] == [("_OTHER", "/items", 405)]


def test_a_duration_is_in_the_bucket_that_it_is_below() -> None:
    measured = Requests()
    for seconds in (0.001, 0.005, 0.006, 60):
        measured.record("GET", "/", 200, seconds)
    (series,) = measured.series.values()
    assert series.counts == [2, 1, *[0] * (len(BOUNDS) - 2), 1]
    assert series.total == pytest.approx(60.012)
    assert (series.shortest, series.longest) == (0.001, 60)


async def test_the_pool_knows_who_waits(settings: Settings) -> None:
    one = settings.database.model_copy(
        update={"pool_size": 1, "pool_wait_seconds": 0.01}
    )
    engine = create_engine(one)
    assert isinstance(engine.pool, FairPool)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
        engine.pool.take_most_waiting()
        with pytest.raises(TimeoutError):
            async with engine.connect():
                pass
        assert engine.pool.take_most_waiting() == 1
    assert engine.pool.take_most_waiting() == 0
    await engine.dispose()


async def test_a_blocked_event_loop_is_late() -> None:
    lag = LoopLag()
    lag.start()
    try:
        time.sleep(0.6)  # noqa: ASYNC251 (what must not be done)
        while lag.worst == 0:  # noqa: ASYNC110 (a timer that is overdue)
            await asyncio.sleep(0)
        assert lag.take() >= 0.09
        assert lag.worst == 0
    finally:
        lag.stop()


@pytest.fixture
def sent_to_google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    """What is sent to Google, by a service that runs on Cloud Run."""
    received: Received = []

    class Google(BaseHTTPRequestHandler):
        """The metadata server, and the Telemetry API."""

        def do_GET(self) -> None:
            assert self.headers["metadata-flavor"] == "Google"
            self.answer(b"projects/1/regions/europe-west1")

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.append((self.path, self.rfile.read(length)))
            self.answer(b"")

        def answer(self, body: bytes) -> None:
            """Says it."""
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Google)
    thread = Thread(target=server.serve_forever)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", lambda scopes: (nobody, None))
    monkeypatch.setattr(google_metrics, "METRICS", f"http://{host}/v1/metrics")
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    monkeypatch.setenv("K_SERVICE", "a-service")
    yield received
    server.shutdown()
    thread.join()
    server.server_close()


async def test_on_cloud_run_metrics_go_to_cloud_monitoring(
    settings: Settings, engine: AsyncEngine, sent_to_google: Received
) -> None:
    requests.record("GET", "/measured/{id}", 503, 0.02)
    changed = {"environment": "stg", "google_cloud_project": "a-project"}
    with sending_metrics(settings.model_copy(update=changed), engine):
        async with engine.connect():
            pass
    ((path, body),) = sent_to_google
    assert path == "/v1/metrics"
    sent = ExportMetricsServiceRequest.FromString(body)
    for each in sent.resource_metrics:
        whose = {
            pair.key: pair.value.string_value
            for pair in each.resource.attributes
        }
        assert whose["cloud.region"] == "europe-west1"
        assert whose["service.name"] == "a-service"
        assert whose["gcp.project_id"] == "a-project"
        assert whose["service.instance.id"]
    metrics = {
        metric.name: metric
        for each in sent.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    }
    assert numbers(metrics["db.client.connection.max"]) == [20]
    assert len(numbers(metrics["db.client.connection.count"])) == 2
    assert "db.client.connection.pending_requests" in metrics
    assert "asyncio.event_loop.lag" in metrics
    durations = metrics["http.server.request.duration"].histogram
    labels = [
        {pair.key: pair.value for pair in point.attributes}
        for point in durations.data_points
    ]
    mine = [each for each in labels if "/measured/{id}" in str(each)]
    assert [each["error.type"].string_value for each in mine] == ["503"]


def numbers(metric: Metric) -> list[int]:
    """The values of a sum."""
    return [point.as_int for point in metric.sum.data_points]


async def test_elsewhere_nothing_is_sent(
    settings: Settings, engine: AsyncEngine, sent_to_google: Received
) -> None:
    with sending_metrics(settings, engine):  # the environment is local
        pass
    assert sent_to_google == []
