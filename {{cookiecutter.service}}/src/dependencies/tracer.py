"""Traces. Decorate a method with `@tracer.observe()`, or measure a part of
one with `async with tracer.track("name", attributes={...})`.

Nothing of Google's is imported unless the service runs on Cloud Run.
"""

import inspect
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.propagate import set_global_textmap
from opentelemetry.propagators.cloud_trace_propagator import (
    CloudTraceOneWayPropagator,
)
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)
from opentelemetry.util.types import AttributeValue

from src.about import NAME, VERSION
from src.dependencies.config import Settings

type Attributes = Mapping[str, AttributeValue]


class Tracer:
    """Opens spans below the request's own."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("src")

    def observe[**P, T](
        self, name: str | None = None
    ) -> Callable[[Callable[P, T]], Callable[P, T]]:
        """A decorator: each call of the function, sync or async, is a span."""

        def decorate(function: Callable[P, T]) -> Callable[P, T]:
            label = name or function.__qualname__

            if inspect.iscoroutinefunction(function):

                @wraps(function)
                async def observed(*args: P.args, **kwargs: P.kwargs) -> Any:
                    with self._tracer.start_as_current_span(label):
                        return await function(*args, **kwargs)

                return cast("Callable[P, T]", observed)

            @wraps(function)
            def observed_sync(*args: P.args, **kwargs: P.kwargs) -> T:
                with self._tracer.start_as_current_span(label):
                    return function(*args, **kwargs)

            return observed_sync

        return decorate

    @asynccontextmanager
    async def track(
        self, name: str, attributes: Attributes | None = None
    ) -> AsyncIterator[trace.Span]:
        """A span around a block of a method."""
        with self._tracer.start_as_current_span(
            name, attributes=attributes
        ) as span:
            yield span


tracer = Tracer()


def configure_tracing(settings: Settings) -> TracerProvider:
    """Makes the process's tracer provider; shut it down to flush it."""
    set_global_textmap(
        CompositePropagator(
            [CloudTraceOneWayPropagator(), TraceContextTextMapPropagator()]
        )
    )
    provider = create_provider(settings)
    trace.set_tracer_provider(provider)
    return provider


def create_provider(settings: Settings) -> TracerProvider:
    """Samples and names the spans, and on Cloud Run sends them off."""
    attributes: dict[str, AttributeValue] = {
        "service.name": NAME,
        "service.version": os.environ.get("K_REVISION", VERSION),
        "deployment.environment.name": settings.environment,
    }
    if settings.google_cloud_project:
        attributes["gcp.project_id"] = settings.google_cloud_project
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(settings.tracer.sample_ratio),
        resource=Resource(attributes),
        shutdown_on_exit=False,
    )
    if settings.environment != "local" and "K_SERVICE" in os.environ:
        from src.dependencies.google_cloud import span_exporter

        provider.add_span_processor(BatchSpanProcessor(span_exporter()))
    return provider
