"""The Unix socket of a server: the folder it is in, and the names clients look for there.

Windows has none. The socket is PostgreSQL's own; here are only its folder and links to it.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.emulator.postgres.account import Account
from infra.emulator.postgres.errors import StartError

LONGEST = 103 if sys.platform == "darwin" else 107
# What libpq, asyncpg and Cloud SQL's clients look for when they are given a folder and no port.
DEFAULT_PORT = 5432


@dataclass(frozen=True)
class Sockets:
    """The folder clients are told, and the one PostgreSQL listens in when it cannot write there."""

    directory: Path
    real: Path

    def names(self, port: int) -> dict[Path, Path]:
        """The links to make, so that a client needs no port, each with the socket it leads to."""
        target = self.real / socket_name(port)
        wanted = [self.directory / socket_name(port), self.directory / socket_name(DEFAULT_PORT)]
        return {name: target for name in wanted if name != target}

    def link(self, port: int) -> list[Path]:
        """Makes the links and returns them; leaves alone what leads to another live server."""
        made = []
        for name, target in self.names(port).items():
            if _answers(name):
                continue
            with contextlib.suppress(FileNotFoundError):
                name.unlink()
            name.symlink_to(target)
            made.append(name)
        return made


def prepare(directory: Path, account: Account, spare: Callable[[], Path]) -> Sockets:
    """Makes the folder if need be; PostgreSQL listens in what `spare` makes if it cannot there.

    Raises StartError when the caller itself cannot write to it.
    """
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(0o700)
        account.own(directory)
    if account.may_write(directory):
        return Sockets(directory, directory)
    if account.uid is not None and directory.is_dir():
        return Sockets(directory, spare())
    raise StartError(f"the socket folder {directory} cannot be written to by {account.name}")


def _answers(path: Path) -> bool:
    """Whether a server listens there; a killed one leaves its socket."""
    if sys.platform == "win32":
        return False
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(os.fspath(path))
        except OSError:
            return False
    return True


def check_length(directory: Path) -> None:
    """Raises ValueError when a socket in the folder would have a path too long to be opened."""
    path = os.fsencode(directory / socket_name(65535))
    if len(path) > LONGEST:
        raise ValueError(
            f"the socket folder {directory} is too long: with the socket's name it takes "
            f"{len(path)} bytes, and the system opens no more than {LONGEST}"
        )


def socket_name(port: int) -> str:
    """What PostgreSQL calls its socket."""
    return f".s.PGSQL.{port}"
