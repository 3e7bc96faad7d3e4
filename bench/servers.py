"""A contestant of bench/service.py while it runs: how it starts, answers, and what it uses.

Standard output goes to /dev/null: a log line costs what it costs to make and to write.
"""

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from tempfile import TemporaryFile
from time import perf_counter, sleep

import psutil
from stage import Contestant, Cores, clean, pinned

from infra.project import stop

PATIENCE = 30.0
POLL_SECONDS = 0.002
# What differs from one insert to the next.
OWN = re.compile(rb'"[0-9a-f-]{36}"|"\d{4}-\d\d-\d\dT[\d:.]+Z"')


class StartError(Exception):
    """A contestant did not start; the text is what it said."""


@dataclass(frozen=True)
class Running:
    """A server that answers: its process, its port, and the seconds from exec to the first 200."""

    contestant: Contestant
    process: psutil.Process
    port: int
    started: float

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its processes, in user and in kernel mode."""
        times = [each.cpu_times() for each in self.tree()]
        return sum(each.user + each.system for each in times)

    def mebibytes(self) -> float:
        """Resident memory of all its processes."""
        return sum(each.memory_info().rss for each in self.tree()) / 2**20

    def tree(self) -> list[psutil.Process]:
        """Its process and those that it started."""
        return [self.process, *self.process.children(recursive=True)]

    def answer(self, request: str) -> bytes:
        """Status, type and body of an answer, without the values that are an insert's own."""
        method, path, *body = request.split(" ", 2)
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, path, body[0] if body else None, headers)
            answer = connection.getresponse()
            head = f"{answer.status} {answer.headers['Content-Type']}\n".encode()
            read = answer.read()
        finally:
            connection.close()
        return head + (OWN.sub(b'"own"', read) if body else read)


@contextmanager
def running(contestant: Contestant, cores: Cores, **variables: str) -> Iterator[Running]:
    """The contestant, started on its cores and stopped at the end. Raises StartError."""
    port = free_port()
    given = {**contestant.variables, **variables}
    filled = {key: value.replace("{port}", str(port)) for key, value in given.items()}
    words = [word.replace("{port}", str(port)) for word in contestant.words]
    with TemporaryFile() as errors:
        with pinned(cores.serving):
            began = perf_counter()
            process = subprocess.Popen(
                words,
                cwd=contestant.folder,
                env=clean(filled),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        try:
            with pinned(cores.others):
                answered = wait(process, port)
            if not answered:
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace")
                raise StartError(f"{contestant.name} did not start:\n{said}")
            taken = perf_counter() - began
            yield Running(contestant, psutil.Process(process.pid), port, taken)
        finally:
            stop(process)


def wait(process: subprocess.Popen[bytes], port: int) -> bool:
    """Returns when /health answers 200: True; False when the process ended or takes too long."""
    until = perf_counter() + PATIENCE
    while process.poll() is None and perf_counter() < until:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass  # it does not listen yet
        finally:
            connection.close()
        sleep(POLL_SECONDS)
    return False


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
