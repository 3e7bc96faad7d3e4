"""The runtime as a part of the cloud: started before the products that need it, stopped after."""

from collections.abc import Sequence
from datetime import datetime

from infra.emulator import entries as log
from infra.emulator.cloud import Cloud, Part
from infra.emulator.hollow import HollowRuntime
from infra.emulator.runtime import Runtime
from infra.emulator.runtime.logs import Entry


class Machine(Part):
    """What really runs in this cloud."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        kind = HollowRuntime if cloud.hollow else Runtime
        self.runtime = kind(cloud.folder, cloud.world, self._write)
        self._started = False

    def start(self) -> None:
        """Starts the runtime, for whichever product asks first."""
        if not self._started:
            self._started = True
            self.runtime.start()

    def stop(self) -> None:
        """Ends every process."""
        if self._started:
            self.runtime.stop()

    def _write(self, entries: Sequence[Entry]) -> None:
        log.write(self.cloud.world, [self._stamped(entry) for entry in entries])

    def _stamped(self, entry: Entry) -> Entry:
        """An entry with the cloud's time: what runs knows this machine's."""
        clock = self.cloud.world.clock
        if not clock.moved:
            return entry
        stamp = clock.of_machine(datetime.fromisoformat(entry["timestamp"]))
        return {**entry, "timestamp": f"{stamp:%Y-%m-%dT%H:%M:%S.%fZ}"}
