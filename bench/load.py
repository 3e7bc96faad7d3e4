"""Requests over kept-alive connections, as many as a server answers, and how long each took.

    python bench/load.py --port 8000 --seconds 5 --connections 32 TRAFFIC

TRAFFIC is a file of requests, `METHOD PATH [BODY]` a line, sent one after another and then again;
`{n}` in a body is the number of the request, so that each is another. Prints one JSON object, see
`Load`. An answer that is not 2xx ends it with status 1. Standard library only, one thread on one
selector: it shares a core with PostgreSQL, and takes some 15 µs a request of it.
"""

import argparse
import json
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from time import perf_counter

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHUNK = 1 << 18
PATIENCE = 10.0


class LoadError(Exception):
    """The server did not do what a benchmark can count; the text says what it did."""


@dataclass(frozen=True)
class Load:
    """What was measured: how many answers in how many seconds, latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float


@dataclass
class Connection:
    """A kept-alive connection: when its request was sent, and what came of the answer."""

    socket: socket.socket
    sent: float = 0.0
    answer: bytes = b""

    def send(self, request: bytes) -> None:
        """Sends the next request."""
        self.answer = b""
        self.sent = perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Takes what is there; whether that completes the answer. Raises LoadError."""
        received = self.socket.recv(CHUNK)
        if not received:
            raise LoadError(f"the connection was closed after {self.answer[:200]!r}")
        self.answer += received
        head = self.answer.find(b"\r\n\r\n")
        if head < 0:
            return False
        if not self.answer.startswith(b"HTTP/1.1 2"):
            raise LoadError(f"the answer was {self.answer[:500]!r}")
        length = LENGTH.search(self.answer, 0, head)
        if length is None:
            raise LoadError(f"the answer has no Content-Length: {self.answer[:head]!r}")
        return len(self.answer) >= head + 4 + int(length[1])


def requests(traffic: str, host: str) -> Iterator[bytes]:
    """The requests of the file, for ever."""
    lines = [line.split(" ", 2) for line in traffic.splitlines()]
    for number, (method, path, *body) in enumerate(cycle(lines)):
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
        if body:
            text = body[0].replace("{n}", str(number))
            head += f"Content-Type: application/json\r\nContent-Length: {len(text.encode())}\r\n"
            yield f"{head}\r\n{text}".encode()
        else:
            yield f"{head}\r\n".encode()


def load(address: tuple[str, int], traffic: str, connections: int, seconds: float) -> Load:
    """Keeps each connection busy for the seconds, then waits for the answers still due."""
    following = requests(traffic, f"{address[0]}:{address[1]}")
    taken: list[float] = []
    with DefaultSelector() as selector:
        for _ in range(connections):
            connected = socket.create_connection(address, PATIENCE)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connected, EVENT_READ, Connection(connected))
        try:
            started = perf_counter()
            for key in selector.get_map().values():
                key.data.send(next(following))
            due = connections
            while due:
                ready = selector.select(PATIENCE)
                if not ready:
                    raise LoadError(f"{due} requests have no answer after {PATIENCE:g} s")
                for key, _ in ready:
                    connection: Connection = key.data
                    if not connection.receive():
                        continue
                    now = perf_counter()
                    taken.append(now - connection.sent)
                    if now - started < seconds:
                        connection.send(next(following))
                    else:
                        due -= 1
            ended = perf_counter()
        finally:
            for key in selector.get_map().values():
                key.data.socket.close()
    taken.sort()
    p50, p99 = (1000 * taken[int(part * (len(taken) - 1))] for part in (0.5, 0.99))
    return Load(len(taken), ended - started, p50, p99)


def main() -> None:
    """Loads and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("traffic", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=32)
    given = parser.parse_args()
    traffic = given.traffic.read_text("utf-8")
    try:
        found = load((given.host, given.port), traffic, given.connections, given.seconds)
    except (LoadError, OSError) as error:
        sys.exit(f"load: {error}")
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
