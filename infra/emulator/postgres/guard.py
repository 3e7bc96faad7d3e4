"""The parent's end of the watchdog: starts it, orders it about, and closes the pipe for it to stop.

Knows processes and pipes, not PostgreSQL.
"""

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from infra.emulator.postgres import watchdog
from infra.emulator.postgres.errors import StartError

# Seconds that stopping and removing may take before the watchdog itself must be the trouble.
PATIENCE = sum(seconds for _, seconds in watchdog.STOPPING) + watchdog.REMOVING + 5.0


@dataclass(frozen=True)
class Charge:
    """What a watchdog is responsible for: a data folder, and how its programs run."""

    data: str
    pg_ctl: str
    log: str
    environment: dict[str, str]
    user: int | None
    group: int | None


class Guard:
    """A running watchdog: it stops PostgreSQL at `close`, or when this object or process dies."""

    def __init__(self, charge: Charge, lock: int | None = None) -> None:
        """`lock` is a file descriptor that the watchdog holds open for as long as it lives."""
        self.charge = charge
        self._remove: list[str] = []
        with open(charge.log, "ab") as log:
            self._process = subprocess.Popen(
                # No site-packages and no caller's settings, for a fast start whatever is installed.
                [sys.executable, "-I", "-S", watchdog.__file__],
                cwd=os.path.abspath(os.sep),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                pass_fds=() if lock is None or os.name == "nt" else (lock,),
                **_apart(),
            )
        self._tell({"parent": os.getpid(), **asdict(charge)})

    def run(self, command: list[str]) -> int:
        """Runs a program to its end under the charge's account, and returns its exit status."""
        return int(self._ask({"order": "run", "command": command}))

    def serve(self, command: list[str], seconds: float) -> str:
        """Starts PostgreSQL and returns `ready`, `ended` or, after `seconds` of neither, `slow`."""
        return str(self._ask({"order": "serve", "command": command, "seconds": seconds}))

    def remove_later(self, *paths: Path) -> None:
        """Has files, links or whole folders removed at the end."""
        self._remove += map(str, paths)
        self._ask({"order": "remove", "paths": list(map(str, paths))})

    def close(self) -> None:
        """Has everything stopped and removed; returns when it is, after 27 s at most."""
        _shut(self._process.stdin)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.returncode != 0:
            watchdog.stop(Path(self.charge.data), self.charge.pg_ctl)
            watchdog.remove(self._remove)
        _shut(self._process.stdout)

    def _ask(self, order: dict[str, Any]) -> Any:
        self._tell(order)
        assert self._process.stdout is not None  # noqa: S101
        answer = self._process.stdout.readline()
        if not answer:
            raise StartError("the process that watches PostgreSQL ended before it answered")
        return json.loads(answer)

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
        except OSError as error:
            raise StartError("the process that watches PostgreSQL has ended") from error


def _apart() -> dict[str, Any]:
    """Keeps the terminal's Ctrl-C, which goes to a whole group, from what we start."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _shut(stream: IO[str] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.close()
