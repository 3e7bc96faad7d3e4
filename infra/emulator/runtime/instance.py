"""One instance of a revision: a process from its start, through its probes, to its end.

Lives on the runtime's loop. Whether there should be one is the revision's business.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra.emulator.runtime import ports, probes
from infra.emulator.runtime.logs import LogWriter, Origin, line_entry
from infra.emulator.runtime.probes import Probe
from infra.emulator.runtime.processes import GRACE, Process, Stream, spawn

type State = Literal["starting", "ready", "ending", "ended"]

SYSTEM_LOG = "run.googleapis.com/varlog/system"
TROUBLE = (
    "For more troubleshooting guidance, see "
    "https://cloud.google.com/run/docs/troubleshooting#container-failed-to-start"
)


class StartError(Exception):
    """An instance cannot start; the text is Google's."""

    def __init__(self, message: str, reason: str = "CONTAINER_MISSING"):
        super().__init__(message)
        self.message = message
        self.reason = reason


@dataclass(frozen=True)
class Launch:
    """What to run, and the values of its variables, secrets among them.

    `troubles` are things it will lack, for the log and, if it does not start, the reason given.
    """

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    troubles: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Launch({self.command[0]!r})"


@dataclass(frozen=True)
class Spec:
    """A revision as the runtime needs it. `launch` is asked anew for each instance, in a thread."""

    name: str
    origin: Origin
    launch: Callable[[], Launch]
    port: int = 8080
    concurrency: int = 80
    minimum: int = 0
    maximum: int = 100
    startup: Probe = field(default_factory=Probe)
    liveness: Probe | None = None
    grace: float = GRACE


class Instance:
    """A process that serves, or is about to."""

    # Ports given to instances that have not bound them yet, or still hold them.
    _taken: set[int] = set()  # noqa: RUF012  (shared on purpose, by one loop)

    def __init__(self, spec: Spec, logs: LogWriter):
        self.spec = spec
        self.state: State = "starting"
        self.in_flight = 0
        self.idle_since = 0.0
        self.port = 0
        self.id = uuid.uuid4().hex
        self._logs = logs
        self._process: Process | None = None
        self._liveness: asyncio.Task[None] | None = None
        self._told_to_end = False

    async def start(self) -> None:
        """Returns when the instance passed its startup probe. Raises StartError."""
        spec = self.spec
        launch = await asyncio.to_thread(spec.launch)
        for trouble in launch.troubles:
            self._say("ERROR", trouble)
        self.port = ports.pick(ports.INSTANCES, self._taken)
        self._taken.add(self.port)
        environment = {**launch.environment, "PORT": str(self.port)}
        self._process = await spawn(
            launch.command,
            folder=launch.folder,
            environment=environment,
            on_line=self._line,
            grace=spec.grace,
        )
        if self._told_to_end:
            self._process.terminate()
        started = asyncio.create_task(probes.has_started(spec.startup, self.port))
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait((started, ended), return_when=asyncio.FIRST_COMPLETED)
        if started.done() and started.result() and not ended.done():
            self.state = "ready"
            self._said_started()
            if spec.liveness is not None:
                self._liveness = asyncio.create_task(self._watch(spec.liveness))
            return
        started.cancel()
        if not ended.done():
            self._say("ERROR", _failed_probe(spec))
            self._process.terminate()
        message = " ".join((_not_started(spec), *launch.troubles))
        raise StartError(message, "HEALTH_CHECK_CONTAINER_ERROR")

    async def wait(self) -> int:
        """The exit status of the process, when it has ended; 0 when it never began."""
        try:
            return await self._process.wait() if self._process else 0
        finally:
            self.state = "ended"
            self._taken.discard(self.port)
            if self._liveness:
                self._liveness.cancel()

    def end(self) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        if self.state != "ended":
            self.state = "ending"
        self._told_to_end = True
        if self._liveness:
            self._liveness.cancel()
        if self._process:
            self._process.terminate()

    @property
    def expected_end(self) -> bool:
        """Whether it was told to end."""
        return self._told_to_end

    def ended(self, status: int) -> None:
        """Says how a process ended that was not told to."""
        self._say("WARNING", f"Container called exit({status}).")

    async def _watch(self, probe: Probe) -> None:
        await probes.has_died(probe, self.port)
        self._say(
            "ERROR",
            f"LIVENESS {probe.kind.upper()} probe failed {probe.failures} times consecutively for "
            f'container "{self.spec.name}-1"{_at(probe, self.spec)}. '
            "The instance has been shut down.",
        )
        with contextlib.suppress(AttributeError):
            assert self._process is not None  # noqa: S101
            self._process.kill()

    def _said_started(self) -> None:
        probe = self.spec.startup
        kind = "Default STARTUP" if probe == Probe() else "STARTUP"
        self._say(
            "INFO",
            f"{kind} {probe.kind.upper()} probe succeeded for container "
            f'"{self.spec.name}-1"{_at(probe, self.spec)}.',
        )

    def _line(self, stream: Stream, line: str) -> None:
        if line:
            entry = line_entry(self.spec.origin, stream, line)
            entry["labels"] = {"instanceId": self.id, **entry["labels"]}
            self._logs.write(entry)

    def _say(self, severity: str, text: str) -> None:
        self._logs.write(self.spec.origin.entry(SYSTEM_LOG, severity, textPayload=text))


def _at(probe: Probe, spec: Spec) -> str:
    port = f" on port {probe.port or spec.port}"
    return f' on path "{probe.path}"{port}' if probe.kind == "http" else port


def _failed_probe(spec: Spec) -> str:
    probe = spec.startup
    kind = "Default STARTUP" if probe == Probe() else "STARTUP"
    return (
        f"{kind} {probe.kind.upper()} probe failed {probe.failures} "
        f"time{'s' if probe.failures > 1 else ''} consecutively for container "
        f'"{spec.name}-1"{_at(probe, spec)}. The instance was not started.'
    )


def _not_started(spec: Spec) -> str:
    what = (
        "failed to start and listen on the port defined provided by the "
        f"PORT={spec.port} environment variable within the allocated timeout. This can happen when "
        "the container port is misconfigured or if the timeout is too short. The health check "
        "timeout can be extended."
        if spec.startup.kind == "tcp"
        else "failed the configured startup probe checks."
    )
    return (
        f"The user-provided container {what} Logs for this revision might contain more "
        f"information. {TROUBLE}"
    )
