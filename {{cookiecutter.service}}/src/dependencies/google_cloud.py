"""What needs Google's libraries. Imported only when running on Google Cloud."""

import google.auth
from google.auth.transport.requests import AuthorizedSession
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter,
)

TRACES = "https://telemetry.googleapis.com/v1/traces"
SCOPES = "https://www.googleapis.com/auth/"


def authorized_session(scope: str) -> AuthorizedSession:
    """Sends as the account that the service runs as."""
    credentials, _ = google.auth.default(scopes=[f"{SCOPES}{scope}"])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]


def span_exporter() -> OTLPSpanExporter:
    """Sends spans to Cloud Trace through the Telemetry (OTLP) API."""
    session = authorized_session("trace.append")
    return OTLPSpanExporter(endpoint=TRACES, session=session)
