"""Which methods a path has, for the answer 405.

The framework names only those of the first route that fits; HTTP wants all
of the path's (RFC 9110, 15.5.6).
"""

from fastapi import Request
from starlette.routing import Match

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def allow(request: Request) -> str:
    """The header's value: the methods that a route of the path serves."""
    found = [
        method
        for method in METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]
    return ", ".join(found)
