"""The way in: an HTTP proxy with one port for each service and one for each of its tags.

A request goes to a revision by percent and there to an instance, which is started for it if need
be. Anybody on this machine may call any service, a private one too, unless the emulator was asked
to check (CLOUD_EMULATOR_CHECK_INVOKERS=1): that a caller may not invoke is IAM's answer to give in
the cloud, and here it would only be in the way of trying things out.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from infra.emulator.runtime import ports
from infra.emulator.runtime.exchange import Exchange, Target
from infra.emulator.runtime.logs import LogWriter, Origin
from infra.emulator.runtime.revision import Revision
from infra.emulator.runtime.store import Store

PORT = "gateway-port"


@dataclass(frozen=True)
class Route:
    """What a port leads to: revisions with their weights, all of one service."""

    origin: Origin
    targets: Sequence[tuple[Revision, int]] = ()
    timeout: float = 300.0
    # Whether the value of an Authorization header may invoke the service.
    may_invoke: Callable[[str], bool] | None = field(default=None, compare=False)

    def choose(self) -> Revision | None:
        """A revision at random, by weight; None when there is none to serve."""
        weights = [weight for _, weight in self.targets]
        if not any(weights):
            return None
        return random.choices([revision for revision, _ in self.targets], weights)[0]  # noqa: S311


class Gateway:
    """Keeps a port open for each route, the same one for as long as the world remembers it."""

    def __init__(self, store: Store, logs: LogWriter):
        self._store = store
        self._logs = logs
        self._routes: dict[str, Route] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._ports: dict[str, int] = {}
        self._clients: set[asyncio.Task[None]] = set()

    def url(self, name: str) -> str | None:
        """The address of a route that is open."""
        port = self._ports.get(name)
        return f"http://{ports.HOST}:{port}" if port else None

    async def open(self, name: str, route: Route) -> str:
        """Leads a name's port somewhere, from the next request on. Returns its address."""
        self._routes[name] = route
        if name not in self._servers:
            kept = self._store.get(PORT, name)
            port = kept["port"] if kept else 0
            if port in self._ports.values() or not port or not await self._listen(name, port):
                await self._listen_anywhere(name)
        return f"http://{ports.HOST}:{self._ports[name]}"

    async def close(self, name: str, *, forget: bool = True) -> None:
        """Closes a name's port. Who is being answered still gets the answer."""
        self._routes.pop(name, None)
        self._ports.pop(name, None)
        if server := self._servers.pop(name, None):
            server.close()
        if forget:
            self._store.delete(PORT, name)

    async def stop(self) -> None:
        """Closes everything, and remembers the ports."""
        for name in list(self._servers):
            await self.close(name, forget=False)
        for client in self._clients:
            client.cancel()
        while self._clients:
            await asyncio.wait(set(self._clients))

    async def _listen_anywhere(self, name: str) -> None:
        taken = {body["port"] for body in self._store.list(PORT)} | set(self._ports.values())
        while not await self._listen(name, port := ports.pick(ports.SERVICES, taken)):
            taken.add(port)
        self._store.put(PORT, name, {"name": name, "port": port})

    async def _listen(self, name: str, port: int) -> bool:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101
            self._clients.add(task)
            try:
                await self._serve(name, reader, writer)
            finally:
                self._clients.discard(task)

        try:
            self._servers[name] = await asyncio.start_server(client, ports.HOST, port)
        except OSError:
            return False
        self._ports[name] = port
        return True

    async def _serve(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        def target() -> Target | None:
            route = self._routes.get(name)
            if route is None:
                return None
            return Target(route.origin, route.choose(), route.timeout, route.may_invoke)

        try:
            with contextlib.suppress(OSError):
                await Exchange(reader, writer, target, self._logs).run()
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
