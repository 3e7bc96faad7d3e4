"""Traces. Decorate a method with `@tracer.observe()`, or measure a part of
one with `async with tracer.track("name", attributes={...})`.

Nothing of Google's is imported unless the service runs on Cloud Run.
"""

import inspect
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import Token
from functools import wraps
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagate import extract, set_global_textmap
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
from starlette.types import Scope

from src.about import NAME, VERSION
from src.dependencies.config import Settings

type Attributes = Mapping[str, AttributeValue]

# The headers by which a caller says which trace a request is part of.
PARENTS = {b"traceparent", b"tracestate", b"x-cloud-trace-context"}
NO_PARENT = Context()


class Tracer:
    """Opens a span for each request, and others below it."""

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
                    if is_left_out():
                        return await function(*args, **kwargs)
                    with self._tracer.start_as_current_span(label):
                        return await function(*args, **kwargs)

                return cast("Callable[P, T]", observed)

            @wraps(function)
            def observed_sync(*args: P.args, **kwargs: P.kwargs) -> T:
                if is_left_out():
                    return function(*args, **kwargs)
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

    def begin(self, scope: Scope) -> tuple[trace.Span, Token[Context]]:
        """Opens a request's span below the caller's, and makes it current."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in PARENTS
        }
        parent = extract(headers) if headers else NO_PARENT
        span = self._tracer.start_span(
            scope["method"], parent, trace.SpanKind.SERVER
        )
        return span, attach(trace.set_span_in_context(span, parent))

    def end(
        self, span: trace.Span, token: Token[Context], scope: Scope, status: int
    ) -> None:
        """Closes a request's span. The query may hold secrets: left out."""
        if span.is_recording():
            method = scope["method"]
            route = getattr(scope.get("route"), "path", None)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.response.status_code": status,
                    "url.path": scope["path"],
                    "url.scheme": scope["scheme"],
                }
            )
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", str(status))
        span.end()
        detach(token)


def is_left_out() -> bool:
    """Whether the current trace is one that is not sampled."""
    context = trace.get_current_span().get_span_context()
    return context.is_valid and not context.trace_flags.sampled


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
