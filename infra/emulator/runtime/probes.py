"""Asking an instance whether it has started and still works, as a revision's probes say.

Source: Cloud Run, "Configure container health checks for services".
"""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import h11

HOST = "127.0.0.1"
# How often we look whether a port is open yet: a start is then as quick as the program is, not as
# coarse as the probe's period.
GLANCE = 0.05
HEALTHY = range(200, 400)


@dataclass(frozen=True)
class Probe:
    """A probe of a container. Times are seconds; `port` None is the container's own."""

    kind: Literal["tcp", "http"] = "tcp"
    path: str = "/"
    port: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0
    period: float = 240
    timeout: float = 240
    failures: int = 1

    @property
    def patience(self) -> float:
        """The seconds after which it has failed for good."""
        return self.delay + max(self.period * self.failures, self.timeout)


async def has_started(probe: Probe, port: int) -> bool:
    """Whether the instance passed the probe before the probe's patience was over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(probe.patience):
            await asyncio.sleep(probe.delay)
            while not await listens(probe.port or port):
                await asyncio.sleep(GLANCE)
            for _ in range(probe.failures):
                if await passes(probe, port):
                    return True
                await asyncio.sleep(probe.period)
    return False


async def has_died(probe: Probe, port: int) -> None:
    """Returns when the probe has failed as often as it may in a row."""
    await asyncio.sleep(probe.delay)
    failed = 0
    while failed < probe.failures:
        await asyncio.sleep(probe.period)
        failed = 0 if await passes(probe, port) else failed + 1


async def passes(probe: Probe, port: int) -> bool:
    """One try."""
    if probe.kind == "tcp":
        return await listens(probe.port or port)
    try:
        async with asyncio.timeout(probe.timeout):
            return await _status(probe, probe.port or port) in HEALTHY
    except (OSError, TimeoutError, h11.RemoteProtocolError):
        return False


async def listens(port: int) -> bool:
    """Whether anybody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


async def _status(probe: Probe, port: int) -> int:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        connection = h11.Connection(h11.CLIENT)
        headers = {"Host": f"{HOST}:{port}", "User-Agent": "kube-probe/1.0", "Connection": "close"}
        request = h11.Request(
            method="GET", target=probe.path, headers=list({**headers, **probe.headers}.items())
        )
        writer.write(
            (connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b"")
        )
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                return event.status_code
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(65536))
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed without an answer")
    finally:
        writer.close()
