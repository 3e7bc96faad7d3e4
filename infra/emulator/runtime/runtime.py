"""What really runs behind the APIs: one object, one thread with an event loop, one folder.

Products call it from their own threads. It knows no API: what comes in are specifications, and
what it has to remember it keeps in the store it is given.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from infra.emulator.runtime.dockerbuild import ImageBuilder
from infra.emulator.runtime.gateway import Gateway, Route
from infra.emulator.runtime.images import Images
from infra.emulator.runtime.instance import Spec
from infra.emulator.runtime.logs import LogWriter, Sink
from infra.emulator.runtime.metadata import Identity, Metadata
from infra.emulator.runtime.processes import GRACE, Stream, spawn
from infra.emulator.runtime.revision import Revision
from infra.emulator.runtime.settings import Settings
from infra.emulator.runtime.sql import Databases
from infra.emulator.runtime.stops import Stop
from infra.emulator.runtime.store import Store

# The folder of another emulator's compiled Python, used and added to.
BYTECODE = "CLOUD_EMULATOR_BYTECODE"
# How often a program that may be stopped from elsewhere looks whether it was.
GLANCE = 0.05
# What a program ended by us answers, as after SIGTERM.
TERMINATED = 143


class Runtime:
    """Processes, images, databases and the gateway of one local cloud."""

    def __init__(self, folder: Path, store: Store, sink: Sink, settings: Settings | None = None):
        self.settings = settings or Settings.read()
        self.folder = folder
        self.logs = LogWriter(sink)
        self.images = Images(folder / "images", store)
        kept = os.environ.get(BYTECODE) or folder / "images/.bytecode"
        self.image_builder = ImageBuilder(self.images, Path(kept))
        self.databases = Databases(folder / "sql", durable=bool(self.settings.durable))
        self.gateway = Gateway(store, self.logs)
        self._metadata = Metadata()
        self._revisions: dict[str, Revision] = {}
        self._starting: dict[str, Revision] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="runtime", daemon=True)
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begins to work. Revisions and databases are started by their products."""
        for name in ("images", "sql"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.logs.start()
        self._thread.start()

    def stop(self) -> None:
        """Ends everything that was started: services, then databases. Takes about the grace."""
        self._stopping.set()
        self.call(self._stop())
        self.databases.stop_all()
        self.logs.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def call[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the loop, from another thread, and returns what it does."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result()

    # Services.

    def deploy(self, spec: Spec, *, check: bool = True) -> None:
        """Makes a revision. With `check`, returns when an instance of it is ready.

        Raises StartError, and then there is no revision.
        """

        async def work() -> None:
            revision = Revision(spec, self.logs, self.settings)
            if check:
                self._starting[spec.name] = revision
                try:
                    await revision.check()
                except BaseException:
                    await revision.stop()
                    raise
                finally:
                    self._starting.pop(spec.name, None)
            self._revisions[spec.name] = revision

        self.call(work())

    def retire(self, name: str) -> None:
        """Ends a revision, be it still starting; returns when its processes are gone."""

        async def work() -> None:
            for revision in (self._starting.get(name), self._revisions.pop(name, None)):
                if revision:
                    await revision.stop()

        self.call(work())

    def route(
        self, name: str, route: Route, weights: Mapping[str, int] | Sequence[tuple[str, int]]
    ) -> str:
        """Leads an address to revisions by weight, those that are not there left out."""

        async def work() -> str:
            pairs = list(weights.items()) if isinstance(weights, Mapping) else list(weights)
            targets = [
                (self._revisions[revision], weight)
                for revision, weight in pairs
                if revision in self._revisions
            ]
            return await self.gateway.open(
                name, Route(route.origin, targets, route.timeout, route.may_invoke)
            )

        return self.call(work())

    def close_route(self, name: str) -> None:
        """Closes an address for good."""
        self.call(self.gateway.close(name))

    def serve(self, serving: Mapping[str, bool]) -> None:
        """Says which revisions get requests, and so keep their minimum of instances."""

        async def work() -> None:
            for name, serves in serving.items():
                if revision := self._revisions.get(name):
                    revision.serve(serves)

        self.call(work())

    def has_revision(self, name: str) -> bool:
        """Whether the revision could serve."""
        return name in self._revisions

    def instances(self, name: str) -> int:
        """How many instances of a revision serve or are about to."""

        async def work() -> int:
            revision = self._revisions.get(name)
            return len(revision.instances) if revision else 0

        return self.call(work())

    def metadata(self, identity: Identity) -> dict[str, str]:
        """The variables by which Google's libraries find an identity's metadata server."""
        return self.call(self._metadata.variables(identity))

    # Programs that end by themselves.

    def run(  # noqa: PLR0913
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        on_line: Callable[[Stream, str], None],
        stop: Stop | None = None,
        grace: float = GRACE,
    ) -> int:
        """Runs a program to its end, or until `stop` says so. Returns its exit status."""

        async def work() -> int:
            process = await spawn(
                command, folder=folder, environment=environment, on_line=on_line, grace=grace
            )
            ended = asyncio.create_task(process.wait())
            asked = False
            while not ended.done():
                if not asked and (self._stopping.is_set() or (stop and stop.is_set())):
                    process.terminate()
                    asked = True
                await asyncio.wait((ended,), timeout=GLANCE)
            return ended.result()

        if self._stopping.is_set() or (stop and stop.is_set()):
            return TERMINATED
        return self.call(work())

    def _work(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _stop(self) -> None:
        await self.gateway.stop()
        await self._metadata.stop()
        revisions = (*self._starting.values(), *self._revisions.values())
        await asyncio.gather(*(revision.stop() for revision in revisions))
        self._revisions.clear()
        # Programs under way notice by themselves.
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=self.settings.grace_seconds + 5)
