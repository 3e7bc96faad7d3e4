"""Builds as a part of the cloud: those that run, and those that a former emulator left running."""

import shutil
from pathlib import Path

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import messages
from infra.emulator.build.documents import BUILDS, OVER, STOPPED, put
from infra.emulator.build.run import Run
from infra.emulator.cloud import Cloud, Part
from infra.emulator.errors import GoogleError
from infra.emulator.machine import Machine
from infra.emulator.runtime.stops import Stop

_STATUS = cb.Build.Status


class Builds(Part):
    """Every build of the cloud, and those that run."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._machine = cloud.part(Machine)
        self._stops: dict[str, Stop] = {}

    def start(self) -> None:
        """Ends what a former emulator left running."""
        self._machine.start()
        for body in self.cloud.world.list(BUILDS):
            build = messages.from_json(cb.Build, body)
            if build.status not in OVER:
                build.status = _STATUS(_STATUS.INTERNAL_ERROR)
                build.status_detail = STOPPED
                build.finish_time = self.cloud.world.now()
                put(self.cloud.world, build)
                shutil.rmtree(self._folder(build) / "workspace", ignore_errors=True)

    def carry_out(self, build: cb.Build, operation: str) -> cb.Build:
        """Runs a build to its end. Raises GoogleError when it does not succeed."""
        stop = self._stops.setdefault(build.id, Stop())
        run = Run(self._machine, build, operation, self._folder(build), stop)
        try:
            return run.carry_out()
        finally:
            self._stops.pop(build.id, None)

    def spoil(self, build: cb.Build, error: GoogleError) -> None:
        """Ends a build whose operation fails, before it has run."""
        build.status = _STATUS(_STATUS.INTERNAL_ERROR)
        build.status_detail = error.message
        build.finish_time = self.cloud.world.now()
        put(self.cloud.world, build)

    def cancel(self, build: cb.Build) -> None:
        """Ends a build that is queued or runs."""
        self._stops.setdefault(build.id, Stop()).set()

    def _folder(self, build: cb.Build) -> Path:
        return self.cloud.folder / "builds" / build.id
