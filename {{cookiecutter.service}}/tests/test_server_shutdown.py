"""SIGTERM under load: every request that was accepted is answered, and the
process ends in time with nothing left open."""

import asyncio
import re
import signal
from itertools import count
from pathlib import Path

import asyncpg

from src.about import NAME
from src.dependencies.config import Settings
from tests.processes import PATIENCE_SECONDS, TEST_SERVER, running

CALLERS = 32
BEFORE_THE_SIGNAL = 1000
REQUEST = "GET /backend HTTP/1.1\r\nHost: x\r\nX-Request-Id: drain-{}\r\n\r\n"


class Load:
    """Callers that ask again as soon as they are answered, and connect again
    when a connection is closed, until nobody listens."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.numbers = count()
        self.outcomes: dict[int, str] = {}
        self.enough = asyncio.Event()

    async def call(self) -> None:
        """One caller."""
        while True:
            try:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", self.port
                )
            except OSError:
                return
            closed = False
            while not closed:
                number = next(self.numbers)
                writer.write(REQUEST.format(number).encode())
                closed = await self.hear(number, reader)
            writer.close()

    async def hear(self, number: int, reader: asyncio.StreamReader) -> bool:
        """Notes the answer. Returns whether the connection is at its end."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search("content-length: ([0-9]+)", head)
            assert length is not None, head
            await reader.readexactly(int(length[1]))
        except (OSError, asyncio.IncompleteReadError):
            self.outcomes[number] = "lost"
            return True
        self.outcomes[number] = head.split()[1]
        if len(self.outcomes) >= BEFORE_THE_SIGNAL:
            self.enough.set()
        return "connection: close" in head


async def test_no_request_is_lost(settings: Settings, tmp_path: Path) -> None:
    environment = {"K_REVISION": "drained"}
    with running(environment, tmp_path, TEST_SERVER) as service:
        load = Load(service.port)
        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(load.call())
            await load.enough.wait()
            assert await sessions(settings) > 0
            service.process.send_signal(signal.SIGTERM)
        log = await asyncio.to_thread(service.ended)
    # A caller whose connection nobody has accepted any more was not heard,
    # and has lost nothing: it may ask another instance.
    lost = [
        number
        for number, outcome in load.outcomes.items()
        if outcome != "200" and f'drain-{number}"' in log
    ]
    assert lost == []
    assert len(load.outcomes) >= BEFORE_THE_SIGNAL
    assert "timeout graceful shutdown exceeded" not in log
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await sessions(settings) > 0:
            pass


async def test_a_request_without_an_end_does_not_hold_it_up(
    settings: Settings, tmp_path: Path
) -> None:
    environment = {"K_REVISION": "held", "SERVER__SHUTDOWN_SECONDS": "1"}
    with running(environment, tmp_path, TEST_SERVER) as service:
        address = ("127.0.0.1", service.port)
        _, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /run?statement=SELECT+pg_sleep(25) HTTP/1.1\r\n")
        writer.write(b"Host: x\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await sessions(settings, "held") == 0:
                pass
        service.process.send_signal(signal.SIGTERM)
        log = await asyncio.to_thread(service.ended)
        writer.close()
    assert "timeout graceful shutdown exceeded" in log
    assert "Finished server process" in log


async def sessions(settings: Settings, revision: str = "drained") -> int:
    """How many connections the process has to the database."""
    given = settings.database
    connection = await asyncpg.connect(
        host=given.host,
        port=given.port,
        user=given.user,
        password=given.password.get_secret_value(),
        database=given.name,
    )
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = $1 AND application_name = $2",
        given.name,
        f"{NAME} {revision}",
    )
    await connection.close()
    return found
