"""Sends what `metrics.py` measures to Cloud Monitoring, through the Telemetry
(OTLP) API. Imported only when running on Google Cloud.

Names and units: OpenTelemetry, "Semantic conventions" for HTTP and database
client metrics. Labels of the resource: Google Cloud, "v1.metrics overview".
"""

import os
from collections.abc import Iterable
from dataclasses import replace
from time import time_ns
from typing import Any, override
from uuid import uuid4

from google.auth.transport.requests import Request
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter,
)
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util.types import AttributeValue
from sqlalchemy.ext.asyncio import AsyncEngine

from src.about import NAME, VERSION
from src.dependencies.config import Settings
from src.dependencies.database_pool import FairPool
from src.dependencies.google_cloud import authorized_session
from src.dependencies.metrics import (
    BOUNDS,
    Labels,
    LoopLag,
    Requests,
    Series,
    requests,
)

METRICS = "https://telemetry.googleapis.com/v1/metrics"
METADATA = "metadata.google.internal"
EVERY_MILLISECONDS = 60_000
POOL = {"db.client.connection.pool.name": "main"}


class Exporter(OTLPMetricExporter):
    """Adds the requests to what OpenTelemetry has collected: its own
    histogram costs every request forty times as much as `Requests` does."""

    def __init__(self, measured: Requests) -> None:
        super().__init__(
            endpoint=METRICS, session=authorized_session("monitoring.write")
        )
        self.measured = measured
        self.since = time_ns()

    @override
    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float | None = 10_000,
        **kwargs: Any,
    ) -> MetricExportResult:
        points = [
            data_point(labels, series, self.since)
            for labels, series in list(self.measured.series.items())
        ]
        durations = Metric(
            "http.server.request.duration",
            "How long requests took.",
            "s",
            Histogram(points, AggregationTemporality.CUMULATIVE),
        )
        # Its scope must not be the meter's: of two alike one would be lost.
        scope = InstrumentationScope("src.middleware")
        ours = ScopeMetrics(scope, [durations], "")
        every = [
            replace(each, scope_metrics=[*each.scope_metrics, ours])
            for each in metrics_data.resource_metrics  # there is one
        ]
        return super().export(MetricsData(every), timeout_millis, **kwargs)


def data_point(
    labels: Labels, series: Series, since: int
) -> HistogramDataPoint:
    """The durations of one set of labels, as OpenTelemetry has them."""
    method, route, status = labels
    attributes: dict[str, AttributeValue] = {"http.request.method": method}
    if route:
        attributes["http.route"] = route
    if status:
        attributes["http.response.status_code"] = status
    if status >= 500 or not status:
        attributes["error.type"] = str(status or "_OTHER")
    counts = list(series.counts)
    return HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=since,
        time_unix_nano=time_ns(),
        count=sum(counts),
        sum=series.total,
        bucket_counts=counts,
        explicit_bounds=BOUNDS,
        min=series.shortest,
        max=series.longest,
    )


def start_metrics(
    settings: Settings, engine: AsyncEngine, lag: LoopLag
) -> MeterProvider:
    """Sends everything every minute, and once more when it is shut down."""
    resource = Resource(identity(settings))
    reader = PeriodicExportingMetricReader(
        Exporter(requests),
        export_interval_millis=EVERY_MILLISECONDS,
    )
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    observe(provider, engine, lag, settings.database.pool_overflow)
    return provider


def observe(
    provider: MeterProvider, engine: AsyncEngine, lag: LoopLag, overflow: int
) -> None:
    """Has the pool and the event loop asked at each sending."""
    meter = provider.get_meter("src")

    def pool() -> FairPool:
        assert isinstance(engine.pool, FairPool)
        return engine.pool

    def connections(options: CallbackOptions) -> Iterable[Observation]:
        state = "db.client.connection.state"
        yield Observation(pool().checkedout(), {**POOL, state: "used"})
        yield Observation(pool().checkedin(), {**POOL, state: "idle"})

    def most(options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(pool().size() + overflow, POOL)

    def waiting(options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(pool().take_most_waiting(), POOL)

    def late(options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(lag.take())

    prefix = "db.client.connection"
    for name, callback, unit, what in (
        ("count", connections, "{connection}", "Connections of the pool."),
        ("max", most, "{connection}", "Connections that it may have."),
        ("pending_requests", waiting, "{request}", "Most that waited for one."),
    ):
        meter.create_observable_up_down_counter(
            f"{prefix}.{name}", [callback], unit, what
        )
    meter.create_observable_gauge(
        "asyncio.event_loop.lag", [late], "s", "The latest that it was."
    )


def identity(settings: Settings) -> dict[str, AttributeValue]:
    """Whose metrics they are: the service's, the revision's, this process's.

    Raises google.auth.exceptions.TransportError without a metadata server.
    """
    attributes: dict[str, AttributeValue] = {
        "service.name": os.environ.get("K_SERVICE", NAME),
        "service.version": os.environ.get("K_REVISION", VERSION),
        "service.instance.id": str(uuid4()),
        "deployment.environment.name": settings.environment,
        "cloud.platform": "gcp_cloud_run",
        "cloud.region": region(),
    }
    if settings.google_cloud_project:
        attributes["gcp.project_id"] = settings.google_cloud_project
    return attributes


def region() -> str:
    """The region that the service runs in, from its metadata server."""
    host = os.environ.get("GCE_METADATA_HOST", METADATA)
    answer = Request()(
        f"http://{host}/computeMetadata/v1/instance/region",
        headers={"Metadata-Flavor": "Google"},
        timeout=3,
    )
    name: str = answer.data.decode()
    return name.rpartition("/")[2]
