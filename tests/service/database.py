"""A PostgreSQL that keeps what it has acknowledged, dies in every way, and is started again.

Whoever runs a database in the cloud restarts it; here that is a task. Its disk is a small one
where this process may mount one.
"""

import asyncio
import errno
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from random import Random
from secrets import token_hex

from infra.emulator.postgres import PostgresError, Server, watchdog
from infra.emulator.postgres.begin import free_port

NAME = "orders"
DISK_MIB = 224
"""Room for an empty cluster, the 48 MiB of its log, and a hundred more."""
SEGMENTS = 4
"""At least as many files of its log as the settings below have it keep for later."""
SETTINGS = {"min_wal_size": "32MB", "max_wal_size": "48MB", "max_connections": "60"}
FILL_LOG = "SELECT pg_logical_emit_message(true, 'full', 'x'); SELECT pg_switch_wal()"
BLOCK = bytes(4096)
POLL = 0.02
OTHERS = "pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
CONTENTS = "SELECT coalesce(json_object_agg(name, description), '{}') FROM items"


class Database:
    """A PostgreSQL, and who restarts it."""

    def __init__(self, folder: Path, *, small: bool) -> None:
        """`small` says that the folder is all of a small disk."""
        self.disk = folder if small else None
        self.restarts = 0
        self.server = Server(
            folder, port=free_port(), password=token_hex(), durable=True, settings=SETTINGS
        )
        self.server.start()
        self.server.create_database(NAME)
        self._data, self.port = self.server.data, self.server.port
        self._may_run, self._ends = True, False

    @property
    def variables(self) -> dict[str, str]:
        """What tells a service how to log in, wherever it finds the database."""
        return {
            "DATABASE__HOST": "127.0.0.1",
            "DATABASE__NAME": NAME,
            "DATABASE__USER": self.server.user,
            "DATABASE__PASSWORD": self.server.password,
        }

    async def run(self) -> None:
        """Starts it again whenever it is dead, until `end`."""
        while not self._ends:
            if self._may_run and watchdog.running(self._data) is None:
                await asyncio.to_thread(self.server.stop)
                # What the dead one leaves may still be dying, and a full disk takes no log.
                with suppress(PostgresError, OSError):
                    await asyncio.to_thread(self.server.start)
                    self.restarts += 1
            await asyncio.sleep(POLL)

    def end(self) -> None:
        """Has `run` return; `server` is still to be stopped."""
        self._ends = True

    async def contents(self) -> dict[str, str]:
        """What its rows say, by name."""
        found: dict[str, str] = json.loads(
            await asyncio.to_thread(self.server.psql, CONTENTS, NAME)
        )
        return found

    @contextmanager
    def ended_by(self, sent: signal.Signals) -> Iterator[None]:
        """Its first process gets a signal; it is not started again before the end of this."""
        pid = watchdog.running(self._data)
        assert pid is not None
        self._may_run = False
        os.kill(pid, sent)
        try:
            yield
        finally:
            self._may_run = True

    async def kill_backends(self, random: Random) -> None:
        """Kills the processes of one connection or of all. PostgreSQL then resets itself."""
        told = await asyncio.to_thread(
            self.server.psql, f"SELECT {OTHERS} AND pid <> pg_backend_pid()"
        )
        pids = [int(pid) for pid in told.split()]
        for pid in random.choice([pids, pids[:1]]):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @asynccontextmanager
    async def full(self, *, log_too: bool) -> AsyncIterator[None]:
        """No block of its disk is free. With `log_too` none that its log has set aside, either."""
        assert self.disk is not None
        ballast = self.disk / "ballast"
        try:
            fill(ballast)
            # Without room for its log PostgreSQL goes away by itself, which is what is wanted.
            with suppress(PostgresError):
                for _ in range(SEGMENTS if log_too else 0):
                    await asyncio.to_thread(self.server.psql, FILL_LOG)
            yield
        finally:
            ballast.unlink(missing_ok=True)


def fill(ballast: Path) -> None:
    """Writes until the disk is full."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(BLOCK):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A disk of its own, in memory; None where this process may not mount any."""
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    options = f"size={DISK_MIB}m,mode=0755"
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
            check=False,
            capture_output=True,
        )
        mounted = done.returncode == 0
    except OSError:
        mounted = False
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
