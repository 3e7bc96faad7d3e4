"""The metadata server an instance finds, so that Google's libraries in it act as its account.

Source: Compute Engine, "About VM metadata"; Cloud Run's "Container runtime contract". The tokens
are ones the emulator takes, and nobody else.
"""

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from infra.emulator.runtime.hosts import is_local
from infra.emulator.runtime.ports import HOST

ROOT = "/computeMetadata/v1/"
ACCOUNTS = "instance/service-accounts/"
HOUR = 3599


@dataclass(frozen=True)
class Identity:
    """Whose metadata it is."""

    project: str
    number: str
    region: str
    account: str


class Metadata:
    """One server for each identity, started when it is first needed."""

    def __init__(self) -> None:
        self._servers: dict[Identity, asyncio.Server] = {}

    async def variables(self, identity: Identity) -> dict[str, str]:
        """What tells Google's libraries where to ask."""
        if identity not in self._servers:

            async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await _answer(identity, reader, writer)

            self._servers[identity] = await asyncio.start_server(client, HOST, 0)
        port = self._servers[identity].sockets[0].getsockname()[1]
        names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
        return dict.fromkeys(names, f"{HOST}:{port}")

    async def stop(self) -> None:
        """Closes them all."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()


async def _answer(
    identity: Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        target = head.split(" ")[1] if " " in head else "/"
        asked = _may_ask(head)
        found = _value(identity, target) if asked or target == "/" else None
        status = "200 OK" if found else "404 Not Found" if asked else "403 Forbidden"
        text = found or ""
        kind = "application/json" if text.startswith("{") else "application/text"
        writer.write(
            f"HTTP/1.1 {status}\r\nMetadata-Flavor: Google\r\nServer: Metadata Server for VM\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(text.encode())}\r\n"
            f"Connection: close\r\n\r\n{text}".encode()
        )
        await writer.drain()
    writer.close()


def _may_ask(head: str) -> bool:
    """Whether a program asks: with the header that no page can send, and not through a proxy."""
    lines = (line.partition(":") for line in head.lower().split("\r\n")[1:])
    headers = {name.strip(): value.strip() for name, _, value in lines}
    if "x-forwarded-for" in headers or not is_local(headers.get("host", HOST)):
        return False
    return headers.get("metadata-flavor") == "google"


def _value(identity: Identity, target: str) -> str | None:
    """What is behind a path, or None."""
    url = urlsplit(target)
    query = parse_qs(url.query)
    path = url.path.removeprefix(ROOT)
    if path in ("/", ""):
        return "computeMetadata/\n"
    if path.startswith(ACCOUNTS):
        account, _, what = path.removeprefix(ACCOUNTS).partition("/")
        if account in ("default", identity.account):
            return _account(identity, what, query)
    return {
        "project/project-id": identity.project,
        "project/numeric-project-id": identity.number,
        "instance/region": f"projects/{identity.number}/regions/{identity.region}",
        "instance/zone": f"projects/{identity.number}/zones/{identity.region}-1",
        "instance/id": "0",
        "universe/universe-domain": "googleapis.com",
    }.get(path)


def _account(identity: Identity, what: str, query: dict[str, list[str]]) -> str | None:
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    token = f"emulated:{identity.account}"
    match what:
        case "":
            known = {"aliases": ["default"], "email": identity.account, "scopes": scopes}
            return json.dumps(known)
        case "email":
            return identity.account
        case "scopes":
            return "\n".join(scopes)
        case "token":
            return json.dumps({"access_token": token, "expires_in": HOUR, "token_type": "Bearer"})
        case "identity":
            claims = {"aud": query.get("audience", [""])[0], "email": identity.account}
            parts: list[dict[str, object]] = [
                {"alg": "none", "typ": "JWT"},
                {**claims, "exp": 2**33, "iat": 0},
            ]
            return ".".join(_segment(part) for part in parts) + "."
    return None


def _segment(part: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
