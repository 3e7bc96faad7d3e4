"""The generated service as a process, restarted when it dies, as Cloud Run does it."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

COMMAND = ("-c", "from src import server; server()")
LOG_LINES = 10
RAISED = re.compile(r"[\w.]+(Error|Exception|Timeout)\b")
"""How the line of a traceback begins that names the exception."""
TO_DRAIN = 10.0
"""Seconds that Cloud Run gives a process after SIGTERM."""
POLL = 0.02


class Service:
    """A service's process, one after another."""

    def __init__(self, python: Path, folder: Path, variables: Mapping[str, str], log: Path) -> None:
        self.restarts = -1
        self._python, self._folder, self._variables, self._log = python, folder, variables, log
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Starts it, and again whenever it ends; kills it when this is cancelled."""
        try:
            while True:
                with self._log.open("ab") as log:
                    self._process = await asyncio.create_subprocess_exec(
                        self._python,
                        *COMMAND,
                        cwd=self._folder,
                        env=self._variables,
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
                self.restarts += 1
                await self._process.wait()
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
                await self._process.wait()

    @asynccontextmanager
    async def ended_by(self, sent: signal.Signals) -> AsyncIterator[None]:
        """The process gets a signal; at the end of this another one is in its place."""
        assert self._process is not None
        process, before = self._process, self.restarts
        process.send_signal(sent)
        yield
        try:
            await asyncio.wait_for(process.wait(), TO_DRAIN)
        except TimeoutError:
            process.kill()
        while self.restarts == before:
            await asyncio.sleep(POLL)

    def crashes(self) -> list[str]:
        """The last errors that its log has with a traceback, each with what was raised."""
        found = []
        for line in self._log.read_text("utf-8", "replace").splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("stack_trace"):
                raised = [text for text in entry["stack_trace"].splitlines() if RAISED.match(text)]
                found.append(f"logged: {entry['message']}: {(raised or ['?'])[-1]:.400}")
        return found[-LOG_LINES:]
