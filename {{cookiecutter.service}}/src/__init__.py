"""The service. `app` is its ASGI application, `server` its command line.

Both are imported on first use: a migration imports `src.models` and must not
build the application on the way.
"""

import gc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

    from src.main import server

    app: FastAPI

__all__ = ["app", "server"]


def __getattr__(name: str) -> Any:
    """Gives `app` or `server` when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # What is imported stays: nothing to collect until the service has started.
    gc.disable()
    from src import main

    return main.server if name == "server" else main.get_app()
