"""The HTTP connections of the emulator, so that one can be cut off as a broken network would."""

import asyncio
import socket
import struct

from infra.emulator.peers import OwnUsersOnly

type Address = tuple[str, int]

# Closing with a linger of no time sends RST instead of FIN (socket(7), SO_LINGER).
_AT_ONCE = struct.pack("ii", 1, 0)


class Connections:
    """Those that are open, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[Address, asyncio.Transport] = {}

    def protocol(self) -> type[asyncio.Protocol]:
        """Returns uvicorn's protocol for our own user, which makes its connections known here."""
        transports = self._transports

        class Protocol(OwnUsersOnly):
            def connection_made(self, transport: asyncio.Transport) -> None:
                super().connection_made(transport)
                self._address = self.client or ("", 0)
                transports[self._address] = transport
                # asyncio leaves it out where a listening socket was given to it: 40 ms a call.
                _socket_of(transport).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(self._address, None)
                super().connection_lost(exc)

        return Protocol

    def reset(self, client: Address | None) -> None:
        """Cuts a client's connection: it sees a connection reset."""
        transport = self._transports.get(client) if client else None
        if transport is None:
            return
        _socket_of(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()


def _socket_of(transport: asyncio.Transport) -> socket.socket:
    found: socket.socket = transport.get_extra_info("socket")
    return found
