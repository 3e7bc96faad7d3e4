"""Adds a router's routes to the application, each as one of its own.

`include_router` keeps the router and asks it, then its routes, several times
for each request.
"""

import inspect
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.params import Depends
from fastapi.routing import APIRoute

from src.dependencies.injection import injected

OPTIONS = inspect.signature(APIRouter.add_api_route).parameters


def add_router(
    app: FastAPI,
    router: APIRouter,
    dependencies: Sequence[Depends] = (),
    responses: dict[int | str, dict[str, Any]] | None = None,
) -> None:
    """Serves the router's endpoints, which these dependencies go before. What
    a router would do at the start and the end is for main.py's lifespan."""
    for route in router.routes:
        if not isinstance(route, APIRoute):
            raise TypeError(f"only endpoints can be served: {route}")
        options = {
            name: getattr(route, name)
            for name in OPTIONS
            if hasattr(route, name)
        }
        options["route_class_override"] = type(route)
        options["endpoint"] = injected(route.endpoint)
        options["dependencies"] = [*dependencies, *route.dependencies]
        options["responses"] = {**(responses or {}), **route.responses}
        app.router.add_api_route(**options)
