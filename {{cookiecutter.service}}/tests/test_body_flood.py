"""A flood of bodies costs a bounded amount of memory, however many callers
send them at once."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from src.connection import READ_BYTES
from src.dependencies.config import ServerSettings
from tests.processes import TEST_SERVER, Service, running

MIB = 1024 * 1024
CALLERS = 400
LIMITS = ServerSettings()
# Of bodies: each is there twice while its parts are put together. Of each
# connection: what is read at once, and what uvicorn holds.
BOUND = 2 * LIMITS.max_bodies_bytes + CALLERS * 2 * READ_BYTES + 32 * MIB
REQUEST = (
    b"POST /bodies HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n" % MIB
)


def resident(service: Service, field: str) -> int:
    """The process's memory in bytes: VmRSS now, VmHWM at its most."""
    status = Path(f"/proc/{service.process.pid}/status").read_text("utf-8")
    (line,) = [each for each in status.splitlines() if field in each]
    return int(line.split()[1]) * 1024


async def send(port: int, everybody: asyncio.Barrier) -> int:
    """Sends all but the last byte; when all callers have done so, that too.
    Returns the status of the answer, 0 for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(REQUEST + b"x" * (MIB - 1))
        await writer.drain()
    except OSError:
        await everybody.wait()
    else:
        await everybody.wait()
        writer.write(b"x")
    try:
        answer = await reader.read()
    except OSError:
        return 0
    finally:
        writer.close()
    return int(answer.split()[1]) if answer else 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
async def test_a_flood_of_bodies_is_bounded(tmp_path: Path) -> None:
    patient = {"SERVER__READ_SECONDS": "300"}
    with running(patient, tmp_path, TEST_SERVER) as service:
        before = resident(service, "VmRSS")
        everybody = asyncio.Barrier(CALLERS)
        async with asyncio.TaskGroup() as callers:
            tasks = [
                callers.create_task(send(service.port, everybody))
                for _ in range(CALLERS)
            ]
        statuses = Counter(task.result() for task in tasks)
        grown = resident(service, "VmHWM") - before
    # 0: the connection was one too many, and was closed.
    assert statuses.keys() <= {200, 503, 0}
    assert statuses[200] > 0
    assert statuses[503] > 0
    assert grown < BOUND
