"""Lets scripts of the configured sites call from a browser (the Fetch
standard's CORS protocol). Used only where the environment names some."""

from starlette.types import ASGIApp

from src.dependencies.config import CorsSettings

# Of an answer's headers, those that a script may read beyond the usual.
EXPOSED = ("X-Request-Id", "Retry-After")


def cors(app: ASGIApp, settings: CorsSettings) -> ASGIApp:
    """The application, or one answer, with the environment's rules on it."""
    if not settings.origins:
        return app
    from starlette.middleware.cors import CORSMiddleware

    return CORSMiddleware(
        app,
        allow_origins=settings.origins,
        allow_methods=settings.methods,
        allow_headers=settings.headers,
        allow_credentials=settings.credentials,
        expose_headers=EXPOSED,
        max_age=settings.max_age_seconds,
    )
