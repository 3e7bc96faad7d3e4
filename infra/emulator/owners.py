"""Whose the other end of a TCP connection inside this machine is, as far as Linux tells.

It is asked for one connection (sock_diag(7)), and where that is not to be had, looked up in the
table of all (proc(5), /proc/net/tcp), which takes milliseconds on a busy machine.
"""

import re
import socket
import struct
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

type Address = tuple[str, int]

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# From <linux/netlink.h>, <linux/sock_diag.h> and <linux/inet_diag.h>.
_SOCK_DIAG, _BY_FAMILY, _REQUEST, _ALL_STATES, _LISTENS = 4, 20, 1, 0xFFFFFFFF, 10
_HEADER = struct.Struct("=IHHII")
_ASKED = struct.Struct("=BBBxI")
_ENDS = struct.Struct("!HH4s12x4s12x")
_NO_COOKIE = struct.pack("=III", 0, _ALL_STATES, _ALL_STATES)
_ANSWER = struct.Struct("=BB2x48x12xII")


@dataclass(frozen=True)
class Owner:
    """The user of an end of a connection; `there` is False when it has been given up."""

    user: int
    there: bool


def owner(client: Address, server: Address) -> Owner | None:
    """Who holds the client's end of a connection over IPv4; None where the system does not say."""
    if sys.platform != "linux":
        return None
    try:
        found = _ask(client, server)
    except OSError:
        found = None
    return found or _look_up(client, server)


def _ask(client: Address, server: Address) -> Owner | None:
    ends = _ENDS.pack(
        client[1], server[1], socket.inet_aton(client[0]), socket.inet_aton(server[0])
    )
    asked = _ASKED.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, _ALL_STATES) + ends + _NO_COOKIE
    head = _HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _REQUEST, 1, 0)
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)) as kernel:
        kernel.settimeout(1)
        kernel.send(head + asked)
        answer = kernel.recv(4096)
    if _HEADER.unpack_from(answer)[1] != _BY_FAMILY:
        return None
    _, state, user, inode = _ANSWER.unpack_from(answer, _HEADER.size)
    return None if state == _LISTENS else Owner(user, inode != 0)


def _look_up(client: Address, server: Address) -> Owner | None:
    tables = b"".join(_read(table) for table in _TABLES)
    pattern = rf"{_hex(client)} [0-9A-F]*{_hex(server)} (?:\S+ +){{4}}(\d+) +\S+ +(\d+)"
    if row := re.search(pattern.encode(), tables):
        return Owner(int(row[1]), int(row[2]) != 0)
    # A table without the port we listen on is of no use, as in some sandboxes.
    return Owner(0, there=False) if f"{server[1]:04X} ".encode() in tables else None


def _hex(address: Address) -> str:
    host = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{host:08X}:{address[1]:04X}"


def _read(table: Path) -> bytes:
    try:
        return table.read_bytes()
    except OSError:
        return b""
