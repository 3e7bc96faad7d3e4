"""Whose program is at the other end of a connection, as far as the system tells.

A build runs whatever it is given, so whoever may call the emulator can run anything as its user:
on a machine that several people share, that must be this user alone, and root, who can anyway.
"""

import asyncio
import json
import os
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from infra.emulator import errors
from infra.emulator.owners import Address, owner

ANY_USER = "CLOUD_EMULATOR_ANY_USER"


def is_strangers(client: Address, server: Address) -> bool:
    """Whether a connection within this machine comes from another user's program.

    False where the system does not say, as on macOS. A connection that its client has given up
    has no owner any more, and is a stranger's: nobody waits for the answer.
    """
    found = owner(client, server)
    return found is not None and not (found.there and found.user in (os.geteuid(), 0))


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
        if is_strangers(client[:2], server[:2]):
            transport.write(_REFUSAL)
            transport.close()


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
