"""Who called and by which scheme, as Google's front end saw it.

A caller may send X-Forwarded-For too; the front end appends to it, so only
what stands at the end is true. Used on Cloud Run only: elsewhere anybody
could have written these headers.
"""

from functools import lru_cache
from ipaddress import ip_address

from starlette.types import ASGIApp, Receive, Scope, Send

SCHEMES = {b"http": "http", b"https": "https"}


class ForwardedMiddleware:
    """Sets the request's client and scheme. `hops` is how many addresses
    are Google's word: 1 on Cloud Run, 2 behind a load balancer."""

    def __init__(self, app: ASGIApp, hops: int) -> None:
        self.app = app
        self.hops = hops

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serves one request."""
        if scope["type"] == "http":
            addresses: list[bytes] = []
            scheme = b""
            for name, value in scope["headers"]:
                if name == b"x-forwarded-for":
                    addresses += value.split(b",")
                elif name == b"x-forwarded-proto":
                    scheme = value.rpartition(b",")[2].strip()
            if scheme in SCHEMES:
                scope["scheme"] = SCHEMES[scheme]
            if len(addresses) >= self.hops:
                scope["client"] = client(addresses[-self.hops])
        await self.app(scope, receive, send)


@lru_cache(maxsize=1024)
def client(address: bytes) -> tuple[str, int] | None:
    """The address as ASGI has it, without a port; None where it is none."""
    try:
        return str(ip_address(address.strip().decode("latin-1"))), 0
    except ValueError:
        return None
