"""A process that runs PostgreSQL for its parent, and stops it when the parent says so or dies.

Run by path with only the standard library, so it starts at once whatever can be imported. It takes
orders as lines of JSON, decides nothing but how to stop, and never learns a password.
"""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

POLL = 0.01
# Fast shutdown; immediate, which the next start recovers from; then no question. Seconds for each.
STOPPING = (("INT", 10.0), ("QUIT", 5.0), ("KILL", 2.0))
REMOVING = 5.0


class ParentGoneError(Exception):
    """The parent closed the pipe or died: whatever is under way ends now."""


class PidFile(NamedTuple):
    """The lines of postmaster.pid used here, which PostgreSQL's `miscadmin.h` lists."""

    pid: int
    port: int
    socket_directory: str
    status: str


class Watchdog:
    """Carries out the orders of one parent on one data folder."""

    def __init__(self) -> None:
        self.orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.parent = 0
        self.settings: dict[str, Any] = {}
        self.remove: list[str] = []
        self.server: subprocess.Popen[bytes] | None = None

    def work(self) -> None:
        """Obeys until the parent is gone, then stops PostgreSQL and removes what is temporary."""
        threading.Thread(target=self._read, daemon=True).start()
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: self.orders.put(None))
        try:
            self.settings = json.loads(self._next())
            self.parent = self.settings["parent"]
            while True:
                print(json.dumps(self._obey(**json.loads(self._next()))), flush=True)
        except (ParentGoneError, BrokenPipeError):
            pass
        finally:
            if self.settings:
                stop(Path(self.settings["data"]), self.settings["pg_ctl"], self.server)
                remove(self.remove)

    def _obey(self, order: str, **details: Any) -> int | str | None:
        if order == "run":
            return self._run(**details)
        if order == "serve":
            return self._serve(**details)
        self.remove.extend(details["paths"])
        return None

    def _run(self, command: list[str]) -> int:
        """Runs a program to its end and returns its status; it dies with the parent."""
        child = self._start(command)
        try:
            while child.poll() is None:
                self._check(POLL)
        finally:
            if child.poll() is None:
                _kill_group(child)
        return child.wait()

    def _serve(self, command: list[str], seconds: float) -> str:
        """Starts PostgreSQL: `ready`, `ended` when it gave up, or `slow` when neither in time."""
        self.server = self._start(command)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.server.poll() is not None:
                return "ended"
            found = read_pid_file(Path(self.settings["data"]))
            if found and found.pid == self.server.pid and found.status == "ready":
                return "ready"
            self._check(POLL)
        return "slow"

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        user = self.settings["user"]
        with open(self.settings["log"], "ab") as log:
            return subprocess.Popen(
                command,
                cwd=os.path.abspath(os.sep),
                env=self.settings["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=self.settings["group"],
                extra_groups=None if user is None else [],
                process_group=None if os.name == "nt" else 0,
            )

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                self.orders.put(line)
        self.orders.put(None)

    def _next(self) -> str:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._take(1.0)
            if self.server is not None:
                self.server.poll()

    def _check(self, seconds: float) -> None:
        """Waits a moment for the parent to go away; it sends no order while one is carried out."""
        with contextlib.suppress(queue.Empty):
            self._take(seconds)

    def _take(self, seconds: float) -> str:
        try:
            order = self.orders.get(timeout=seconds)
        except queue.Empty:
            # A process forked from the parent may hold the pipe open after the parent's death.
            if self.parent and os.name != "nt" and os.getppid() != self.parent:
                raise ParentGoneError from None
            raise
        if order is None:
            raise ParentGoneError
        return order


def stop(data: Path, pg_ctl: str, server: subprocess.Popen[bytes] | None = None) -> None:
    """Stops the PostgreSQL of a data folder, more and more firmly; takes at most 18 s.

    `server` is our own child, if it is one; otherwise the process is found through the folder.
    """
    pid = running(data) if server is None else server.pid
    if pid is None:
        return
    for name, seconds in STOPPING:
        _send(name, pid, pg_ctl)
        if _wait(lambda: _gone(pid, data, server), seconds):
            break
    # The file goes a moment before the process, which without /proc may stay listed for longer.
    if server is None and sys.platform != "win32":
        _wait(lambda: not alive(pid), 1.0)


def running(data: Path) -> int | None:
    """The process id of the PostgreSQL that runs on a data folder, whatever a stale file says."""
    found = read_pid_file(data)
    return found.pid if found and alive(found.pid) and _works_on(found.pid, data) else None


def read_pid_file(data: Path) -> PidFile | None:
    """What a data folder's postmaster.pid says, if there is one."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        pid, port = int(lines[0]), int(lines[3])
    except (OSError, ValueError, IndexError):
        return None
    return PidFile(
        pid, port, lines[4] if len(lines) > 4 else "", lines[7].strip() if len(lines) > 7 else ""
    )


def is_listed(pid: int) -> bool:
    """Whether the system knows a process of that number, be it dead and not yet reaped."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def alive(pid: int) -> bool:
    """Whether such a process runs; on Windows, where `_works_on` tells, always."""
    if not is_listed(pid):
        return False
    try:
        # The state follows the name, which is in parentheses and may have any character in it.
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return True
    return state[0] not in "ZX"


def _works_on(pid: int, data: Path) -> bool:
    """Whether a process is PostgreSQL on this folder, not one that got a dead one's number."""
    if sys.platform == "win32":
        tasklist = ["tasklist", "/NH", "/FI", f"PID eq {pid}", "/FI", "IMAGENAME eq postgres.exe"]
        return (
            str(pid).encode() in subprocess.run(tasklist, capture_output=True, check=False).stdout
        )
    try:
        # PostgreSQL works in its data folder.
        return os.path.samefile(f"/proc/{pid}/cwd", data)
    except PermissionError:
        name = Path(f"/proc/{pid}/comm").read_text("utf-8", "replace")
    except OSError:
        if os.path.exists("/proc/self/cwd"):
            return False
        ps = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
        name = subprocess.run(ps, capture_output=True, check=False, text=True).stdout
    return "postgres" in name or "postmaster" in name


def _gone(pid: int, data: Path, server: subprocess.Popen[bytes] | None) -> bool:
    if server is not None and server.pid == pid:
        return server.poll() is not None
    found = read_pid_file(data)
    return found is None or found.pid != pid or not alive(pid)


def _send(name: str, pid: int, pg_ctl: str) -> None:
    if sys.platform == "win32":
        subprocess.run([pg_ctl, "kill", name, str(pid)], check=False, capture_output=True)
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, f"SIG{name}"))


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        child.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def remove(paths: list[str]) -> None:
    """Removes files, links and whole folders; again for a while, as the dying may still write."""

    def removed() -> bool:
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(path)
        return not any(os.path.lexists(path) for path in paths)

    _wait(removed, REMOVING)


def _wait(happened: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


if __name__ == "__main__":
    Watchdog().work()
