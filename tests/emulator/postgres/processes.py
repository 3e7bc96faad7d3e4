"""Servers seen from outside: in a process of their own, by number and port, and once gone."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.emulator.postgres import watchdog

REPOSITORY = Path(__file__).parents[3]
PASSWORD = "correct horse"

# Starts a server as told in its argument, says where it is, and stops it when its input ends.
CHILD = """
import json, signal, sys
from pathlib import Path
from infra.emulator.postgres import Server
wish = json.loads(sys.argv[1])
folder = wish.pop("folder", None)
server = Server(Path(folder) if folder else None, **wish)
server.start()
alive = lambda *_: print(server.psql("SELECT 'alive after Ctrl-C'"), flush=True)
signal.signal(signal.SIGINT, alive)
print(json.dumps({
    "port": server.port,
    "data": str(server.data),
    "sockets": str(server.socket_directory),
    "answer": server.psql("SELECT current_user"),
}), flush=True)
sys.stdin.read()
server.stop()
"""


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Returns once the condition holds, or fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def processes_naming(text: object) -> list[str]:
    """The argument lists of all processes that have the text in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(text) in arguments:
                found.append(arguments)
    return found


def pid_of(data: str | Path) -> int:
    """The process of the server that runs on a data folder. There must be one."""
    pid = watchdog.running(Path(data))
    assert pid is not None
    return pid


def is_open(port: int) -> bool:
    """Whether anybody on this machine listens on the port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def watchdog_of(pid: int) -> int:
    """The process that watches a server: its parent."""
    answer = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    return int(answer.stdout)


def kill(pid: int) -> None:
    """Kills a process, and returns when it is gone."""
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not watchdog.alive(pid))


@contextlib.contextmanager
def child(**wish: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Another process that has a server, which the test may kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps({"password": PASSWORD, "durable": False} | wish)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
