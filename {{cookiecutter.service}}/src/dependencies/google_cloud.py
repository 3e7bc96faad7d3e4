"""What needs Google's libraries. Imported only when running on Google Cloud."""

import google.auth
from google.auth.transport.requests import AuthorizedSession
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter,
)

TRACES = "https://telemetry.googleapis.com/v1/traces"
SCOPE = "https://www.googleapis.com/auth/trace.append"


def span_exporter() -> OTLPSpanExporter:
    """Sends spans to Cloud Trace through the Telemetry (OTLP) API."""
    credentials, _ = google.auth.default(scopes=[SCOPE])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return OTLPSpanExporter(endpoint=TRACES, session=session)
