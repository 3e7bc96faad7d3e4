"""Commands as a person runs them: watched while they run, interrupted, and gone afterwards."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from socket import socket
from time import monotonic, sleep

import httpx

from infra.tasks.local_cloud import BYTECODE_VARIABLE

SECONDS = 120
NOT_THEIRS = ("CLOUD", "INVOKE", "GOOGLE")


def variables_of_a_person() -> dict[str, str]:
    """The environment of somebody who has set nothing for us; what was compiled is shared."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == BYTECODE_VARIABLE or not name.startswith(NOT_THEIRS)
    }


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listens(port: int) -> bool:
    """Whether anybody does."""
    with closing(socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(
    command: list[str], folder: Path, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a shell starts one; killed if it must be."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Presses Ctrl-C, which reaches the whole process group. The exit status and the output."""
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=SECONDS)
    return process.returncode, output


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    """Returns when the address answers 200, or fails with what the process printed."""
    deadline = monotonic() + SECONDS
    while process.poll() is None and monotonic() < deadline:
        try:
            if httpx.get(url).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(process.communicate()[0])
