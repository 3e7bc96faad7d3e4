"""A TCP connection's way from one program to another, which can be cut or go dead on demand."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import StrEnum
from random import Random

CHUNK = 65536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: closing sends a reset."""


class Toward(StrEnum):
    """A direction."""

    SERVER = "server"
    CLIENT = "client"


class Wire:
    """Forwards connections from a port of 127.0.0.1 to another."""

    def __init__(self, port: int, to: int) -> None:
        self.port, self.to = port, to
        self.cuts = 0
        """Connections cut so far."""
        self._flows = asyncio.Event()
        self._flows.set()
        self._cut: tuple[Toward, Random] | None = None
        self._left = 0
        self._live: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def forwarding(self) -> AsyncIterator[None]:
        """Listens and forwards. Afterwards no connection is left."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        try:
            yield
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    @contextmanager
    def cutting(self, times: int, toward: Toward, random: Random) -> Iterator[None]:
        """Cuts as many of the next messages in a direction half-way through, each with a reset."""
        self._cut, self._left = (toward, random), times
        try:
            yield
        finally:
            self._cut, self._left = None, 0

    @contextmanager
    def dead(self, *, resumes: bool) -> Iterator[None]:
        """Nothing comes through and nobody is told. Afterwards all of it comes, or a reset does."""
        self._flows.clear()
        try:
            yield
        finally:
            if not resumes:
                self.reset()
            self._flows.set()

    def reset(self) -> None:
        """Cuts every connection there is."""
        for writer in self._live:
            abort(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        ends = [writer]
        self._live.add(writer)
        try:
            await self._flows.wait()
            there, upstream = await asyncio.open_connection("127.0.0.1", self.to)
            ends.append(upstream)
            self._live.add(upstream)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, upstream, Toward.SERVER))
                both.create_task(self._pump(there, writer, Toward.CLIENT))
            for end in ends:
                end.close()
        except* OSError:
            pass  # One end is gone, and with it goes the other.
        finally:
            self._tasks.discard(task)
            for end in ends:
                self._live.discard(end)
                if not end.is_closing():
                    abort(end)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toward: Toward
    ) -> None:
        while data := await reader.read(CHUNK):
            await self._flows.wait()
            if self._left and self._cut is not None and self._cut[0] is toward:
                self._left -= 1
                self.cuts += 1
                writer.write(data[: self._cut[1].randrange(len(data))])
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def abort(writer: asyncio.StreamWriter) -> None:
    """Closes with a reset, whatever is still to be sent."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
