"""A runtime by itself, without the emulator around it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from infra.emulator.runtime import Launch, Origin, Probe, Runtime, Settings, Spec
from infra.emulator.runtime.logs import Entry
from infra.emulator.runtime.stops import Stop
from infra.emulator.world import World

ORIGIN = Origin("project", "cloud_run_revision", {"service_name": "s"})
QUICKLY = Settings(idle_seconds=60, queue_seconds=1, grace_seconds=1, durable=0)
SERVER = """
import http.server, os, sys
print("up", flush=True)
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()
"""


class Ground:
    """A runtime, and the entries it has written."""

    def __init__(self, folder: Path, settings: Settings = QUICKLY) -> None:
        self.entries: list[Entry] = []
        self.world = World(folder / "state")
        self.runtime = Runtime(folder / "state", self.world, self.entries.extend, settings)
        self.runtime.start()

    def stop(self) -> None:
        """Ends everything."""
        self.runtime.stop()
        self.world.close()

    def run(
        self,
        *command: str,
        stop: Stop | None = None,
        on_line: Callable[[], None] = lambda: None,
    ) -> tuple[int, list[str]]:
        """What a program printed, and its exit status; `on_line` is called at each line."""
        lines: list[str] = []

        def take(_: object, line: str) -> None:
            lines.append(line)
            on_line()

        status = self.runtime.run(
            command,
            folder=self.runtime.folder,
            environment=dict(os.environ),
            on_line=take,
            stop=stop,
            grace=1,
        )
        return status, lines

    def spec(self, launch: Callable[[], Launch] | None = None) -> Spec:
        """A revision that serves files."""

        def serve() -> Launch:
            return Launch((sys.executable, "-c", SERVER), self.runtime.folder, dict(os.environ))

        return Spec("r", ORIGIN, launch or serve, startup=Probe(period=20, timeout=20))
