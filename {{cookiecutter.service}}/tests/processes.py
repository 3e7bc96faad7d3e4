"""The service as a process of its own, for the tests that need one."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parent.parent
SERVER = [sys.executable, "-c", "from src import server; server()"]
# The same, with the routes of tests/serving.py.
TEST_SERVER = [
    sys.executable,
    "-c",
    "from src.main import serve; serve('tests.serving:app')",
]
PATIENCE_SECONDS = 30


@dataclass
class Service:
    """A process that serves."""

    process: subprocess.Popen[str]
    port: int
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, status: int = -signal.SIGTERM) -> str:
        """Sends SIGTERM, which must end it. Returns what it has printed."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended(status)

    def ended(self, status: int = -signal.SIGTERM) -> str:
        """Waits until SIGTERM has ended it. Returns what it has printed."""
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join()
        assert code == status, self.log
        return "".join(self.log)

    def __post_init__(self) -> None:
        # A full pipe would halt the process.
        self.reader = Thread(target=self.read)

    def read(self) -> None:
        """Takes what the process prints, to its end."""
        assert self.process.stdout is not None
        self.log.extend(self.process.stdout)


@contextmanager
def running(
    environment: dict[str, str],
    folder: Path,
    program: list[str] = SERVER,
) -> Iterator[Service]:
    """The process, once it says that it listens; ended with it. Its port
    is one that was free, unless the environment has it."""
    variables = {"PORT": str(free_port()), "PYTHONPATH": str(ROOT)}
    variables |= environment
    process = subprocess.Popen(
        program,
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    service = Service(process, int(variables["PORT"]))
    try:
        for line in process.stdout:
            service.log.append(line)
            if f"running on {service.url}" in line:
                service.reader.start()
                yield service
                break
        else:
            pytest.fail(f"the server has ended: {service.log}")
    finally:
        end(process)
        if service.reader.is_alive():
            service.reader.join()
        process.stdout.close()


def end(process: subprocess.Popen[str]) -> None:
    """Ends the process, which then tells what of it was covered; kills it if
    it has not ended soon."""
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
