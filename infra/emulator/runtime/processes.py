"""Programs as children that never outlive the emulator: started, watched, ended.

A program's output is handed on line by line. POSIX only: process groups are what makes ending sure.
Nothing here knows what the program is.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from infra.emulator.runtime import keeper

type Stream = Literal["stdout", "stderr"]
type OnLine = Callable[[Stream, str], None]

# Cloud Run's time from SIGTERM to SIGKILL, in seconds.
GRACE = 10.0
LONGEST_LINE = 256 * 1024
# Seconds for the lines that are still in the pipes when the program has ended.
LAST_LINES = 2.0


class Process:
    """A running program. Made by `spawn`, on the loop that it then belongs to."""

    def __init__(
        self,
        keeper: asyncio.subprocess.Process,
        gone: asyncio.StreamReader,
        readers: list[asyncio.Task[None]],
    ):
        self._keeper = keeper
        self._gone = gone
        self._readers = readers
        self._ended = asyncio.create_task(self._wait())

    async def wait(self) -> int:
        """The exit status, 128 and a signal's number when that ended the program.

        Returns when all it printed was handed on, too.
        """
        return await asyncio.shield(self._ended)

    def terminate(self) -> None:
        """Asks the program to end; it is killed when its grace is over. Returns at once."""
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()

    def kill(self) -> None:
        """Kills the program and whatever it started."""
        with contextlib.suppress(ProcessLookupError):
            self._keeper.send_signal(signal.SIGUSR1)

    async def _wait(self) -> int:
        # Not asyncio's own wait, which may wait for the pipes too, that a daemon can keep open.
        await self._gone.read()
        while self._keeper.returncode is None:
            await asyncio.sleep(0.001)
        _, open_still = await asyncio.wait(self._readers, timeout=LAST_LINES)
        for reader in open_still:
            reader.cancel()
        # Or what a daemon keeps open would be closed by the garbage collector, on another loop.
        self._keeper._transport.close()  # type: ignore[attr-defined]
        status = self._keeper.returncode
        return 128 - status if status < 0 else status


async def spawn(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    on_line: OnLine,
    grace: float = GRACE,
) -> Process:
    """Starts a program with exactly this environment; a missing one ends at once with 127."""
    ours, theirs = os.pipe()
    gone = asyncio.StreamReader()
    with os.fdopen(theirs, "wb"):
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(gone), os.fdopen(ours, "rb")
        )
        child = await asyncio.create_subprocess_exec(
            # No site-packages and none of the program's settings for the keeper itself.
            sys.executable,
            *("-I", "-S", keeper.__file__, str(os.getpid()), str(grace)),
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
            # It closes when the keeper is gone, and the program does not get it.
            pass_fds=(theirs,),
        )
    streams: list[tuple[Stream, asyncio.StreamReader | None]] = [
        ("stdout", child.stdout),
        ("stderr", child.stderr),
    ]
    readers = [
        asyncio.create_task(_read(name, reader, on_line)) for name, reader in streams if reader
    ]
    return Process(child, gone, readers)


async def _read(name: Stream, reader: asyncio.StreamReader, on_line: OnLine) -> None:
    while line := await _line(reader):
        on_line(name, line.decode("utf-8", "replace").rstrip("\r\n"))


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next line, or a piece of one that is longer than any should be; empty at the end."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as error:
        return await reader.readexactly(error.consumed)
