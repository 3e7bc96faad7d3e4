"""One HTTP client for the whole process, closed when it ends."""

from typing import Annotated

from fastapi import Depends, Request
from httpx import AsyncClient, Timeout
from httpx import Request as OutgoingRequest
from opentelemetry.propagate import inject

from src.dependencies.config import Settings
from src.dependencies.http_transport import create_transport


async def continue_trace(request: OutgoingRequest) -> None:
    """Gives the callee our trace, so that its spans hang below ours."""
    inject(request.headers)


def create_http_client(settings: Settings) -> AsyncClient:
    """The client, with a timeout on everything it does. Raises httpx's
    errors; one that passes is tried again where that is safe."""
    options = settings.http_client
    return AsyncClient(
        timeout=Timeout(
            options.timeout_seconds, connect=options.connect_seconds
        ),
        transport=create_transport(options),
        event_hooks={"request": [continue_trace]},
    )


async def get_http_client(request: Request) -> AsyncClient:
    """The application's client."""
    client: AsyncClient = request.app.state.http_client
    return client


HttpClient = Annotated[AsyncClient, Depends(get_http_client)]
