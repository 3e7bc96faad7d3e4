"""One local cloud: its memory, and the parts of it that run."""

import asyncio
from pathlib import Path
from typing import Any

from infra.emulator.world import World


class Part:
    """Something of the cloud that lives as long as the emulator: a gateway, the databases.

    A product names its parts with `Api.part`, and takes one with `call.cloud.part(Gateway)`.
    """

    def __init__(self, cloud: "Cloud") -> None:
        self.cloud = cloud

    def start(self) -> None:
        """Called once, in a thread, before the emulator answers its first call."""

    def stop(self) -> None:
        """Called once, in a thread, after its last; parts stop in the opposite order."""


class Cloud:
    """What a call can reach."""

    def __init__(self, world: World, *, hollow: bool = False) -> None:
        """`hollow`: nothing runs behind it, neither databases nor services (see hollow.py)."""
        self.world = world
        self.hollow = hollow
        # Where the emulator answers, `127.0.0.1:PORT`, and the loop that does it; set at start.
        self.host = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._parts: dict[type[Part], Part] = {}

    @property
    def folder(self) -> Path:
        """The folder that holds everything."""
        return self.world.folder

    def part[P: Part](self, kind: type[P]) -> P:
        """Returns the one part of a kind."""
        with self.world.transaction():
            if kind not in self._parts:
                self._parts[kind] = kind(self)
        part: Any = self._parts[kind]
        return part  # type: ignore[no-any-return]

    def start(self, kinds: list[type[Part]]) -> None:
        """Starts parts in the order given."""
        for kind in kinds:
            self.part(kind).start()

    def stop(self) -> None:
        """Stops every part that was made, the last one first, whatever fails."""
        failures = []
        for part in reversed(list(self._parts.values())):
            try:
                part.stop()
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup("parts of the emulator did not stop", failures)
