"""Whose program is at the other end of a connection, as far as the system tells.

A build runs whatever it is given, so whoever may call the emulator can run anything as its user:
on a machine that several people share, that must be this user alone, and root, who can anyway.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from infra.emulator import errors

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
ANY_USER = "CLOUD_EMULATOR_ANY_USER"


def is_strangers(client: int, server: int) -> bool:
    """Whether the connection from one port of this machine to another is another user's.

    False where the system does not say, as on macOS. A connection that its client has given up
    has no owner any more, and is a stranger's: nobody waits for the answer.
    """
    rows = [row for table in _TABLES for row in _rows(table)]
    ours = {os.geteuid(), 0} if sys.platform != "win32" else set()
    for local, remote, user, inode in rows:
        if (local, remote) == (client, server):
            return inode == 0 or user not in ours
    # A table without the port we listen on is of no use, as in some sandboxes.
    return any(local == server for local, _, _, _ in rows)


class OwnUsersOnly(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's HTTP, for connections of this user and root; others are told so and closed.

    `CLOUD_EMULATOR_ANY_USER=1` in the emulator's environment lets everybody in.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Called by asyncio, for each connection."""
        super().connection_made(transport)
        client = transport.get_extra_info("peername")
        server = transport.get_extra_info("sockname")
        if os.environ.get(ANY_USER) == "1" or not (client and server):
            return
        if is_strangers(client[1], server[1]):
            transport.write(_REFUSAL)
            transport.close()


def _rows(table: Path) -> list[tuple[int, int, int, int]]:
    """Local port, remote port, user and inode of each TCP connection of this machine."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return []
    fields = (line.split() for line in lines)
    return [
        (_port(field[1]), _port(field[2]), int(field[7]), int(field[9]))
        for field in fields
        if len(field) > 9
    ]


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _refusal() -> bytes:
    failure: Any = errors.error(
        "PERMISSION_DENIED",
        "This emulator belongs to another user of this machine. Start one of your own, or have it"
        f" started with {ANY_USER}=1.",
    ).to_json()
    body = json.dumps(failure).encode()
    head = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json; charset=UTF-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


_REFUSAL = _refusal()
