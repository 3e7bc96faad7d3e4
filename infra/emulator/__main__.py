"""Runs the emulator: `python -m infra.emulator --state DIR --port N`.

When it answers, DIR/emulator.json says where; it is gone again when the emulator ends.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import uvicorn

from infra.emulator import operations, products
from infra.emulator.api import Router
from infra.emulator.cloud import Cloud
from infra.emulator.control import MOST_MILLISECONDS, Pace, seconds_of
from infra.emulator.errors import GoogleError
from infra.emulator.guard import Guard
from infra.emulator.hollow import fits
from infra.emulator.postgres.lock import FolderLock
from infra.emulator.server import Emulator
from infra.emulator.state import make_private
from infra.emulator.world import World

_HOST = "127.0.0.1"
HOLLOW = "CLOUD_EMULATOR_HOLLOW"


def main() -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.emulator", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the folder that holds the cloud")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument(
        "--latency", type=float, default=0, metavar="MS", help="how long each call takes at least"
    )
    parser.add_argument(
        "--hollow",
        action="store_true",
        default=os.environ.get(HOLLOW, "0") not in ("", "0"),
        help=f"run neither databases nor services behind the control plane; also {HOLLOW}=1",
    )
    parser.add_argument(
        "--lifeline",
        action="store_true",
        help="end when standard input does: with whoever holds its other end",
    )
    options = parser.parse_args()
    try:
        pace = Pace(seconds_of(options.latency, "--latency", MOST_MILLISECONDS), {})
    except GoogleError as error:
        parser.error(error.message)
    folder: Path = options.state.absolute()
    make_private(folder)
    lock = FolderLock(folder / "lock")
    if not lock.acquire():
        print(f"error: another emulator is using {folder}", file=sys.stderr)
        return 1
    try:
        listener = listen(options.port)
    except OSError as error:
        print(f"error: cannot listen on {_HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    with listener:
        return asyncio.run(
            serve(folder, listener, pace, hollow=options.hollow, lifeline=options.lifeline)
        )


def listen(port: int) -> socket.socket:
    """Returns a socket that listens; those it accepts send at once what is written."""
    listener = socket.create_server((_HOST, port))
    # asyncio does so itself only for sockets that name their protocol, which this one does not; an
    # answer's body would wait 40 ms for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


async def serve(
    folder: Path, listener: socket.socket, pace: Pace, *, hollow: bool, lifeline: bool
) -> int:
    """Serves a folder's cloud on a socket that listens already."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if lifeline:
        hold(lambda: loop.call_soon_threadsafe(stop.set))
    world = World(folder)
    if not fits(world, hollow=hollow):
        kind, other = ("real", "without") if hollow else ("hollow", "with")
        print(
            f"error: the cloud in {folder} is a {kind} one. Use another folder, or start it {other}"
            f" --hollow ({HOLLOW}=1).",
            file=sys.stderr,
        )
        world.close()
        return 1
    router = Router(products.apis())
    cloud = Cloud(world, hollow=hollow)
    cloud.host = f"{_HOST}:{listener.getsockname()[1]}"
    cloud.loop = loop
    operations.interrupt(world)
    announcement = folder / "emulator.json"
    emulator = Emulator(cloud, router, pace)
    server = _Server(
        uvicorn.Config(
            Guard(emulator),
            http=emulator.connections.protocol(),
            # The date is the cloud's, the client the one that is connected.
            date_header=False,
            proxy_headers=False,
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    )
    parts = [part for api in router.apis.values() for part in api.parts]
    try:
        await asyncio.to_thread(cloud.start, parts)
        serving = asyncio.create_task(server.serve([listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        _announce(announcement, cloud.host)
        await asyncio.wait(
            [serving, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        emulator.faults.remove()
        server.should_exit = True
        await serving
    finally:
        announcement.unlink(missing_ok=True)
        world.end()
        await asyncio.to_thread(cloud.stop)
        world.close()
    return 0


def hold(let_go: Callable[[], object]) -> None:
    """Calls that when standard input ends, which nobody writes to; from a thread of its own."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        let_go()

    Thread(target=wait, name="lifeline", daemon=True).start()


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn raises them again when it is done."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def _announce(path: Path, host: str) -> None:
    partial = path.with_suffix(".json.part")
    partial.write_text(json.dumps({"host": host, "pid": os.getpid()}))
    partial.replace(path)


if __name__ == "__main__":
    # Work may still be held up in a thread; all that matters has been written and stopped.
    status = main()
    sys.stdout.flush()
    os._exit(status)
