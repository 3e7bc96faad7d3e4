"""A real PostgreSQL as a child process, without Docker: for development, tests and Cloud SQL.

Only the standard library is used, and nothing of the rest of infra. It is reached from this machine
only and is not for production.
"""

from infra.emulator.postgres.binaries import Binaries, find_binaries
from infra.emulator.postgres.errors import (
    BinariesNotFoundError,
    PortInUseError,
    PostgresError,
    QueryError,
    StartError,
    UnsafeFolderError,
    WrongPasswordError,
)
from infra.emulator.postgres.server import Server

__all__ = [
    "Binaries",
    "BinariesNotFoundError",
    "PortInUseError",
    "PostgresError",
    "QueryError",
    "Server",
    "StartError",
    "UnsafeFolderError",
    "WrongPasswordError",
    "find_binaries",
]
