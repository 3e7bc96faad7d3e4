"""One client's connection to the gateway, request after request, each passed to an instance.

Bodies are passed on as they come, in both directions. Source of what is added and answered: Cloud
Run's "Container runtime contract", and what its front end says when it cannot serve.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import h11

from infra.emulator.runtime.frontend import BROKEN, FORBIDDEN, NOT_AVAILABLE, NOT_FOUND
from infra.emulator.runtime.instance import StartError
from infra.emulator.runtime.logs import LogWriter, Origin
from infra.emulator.runtime.ports import HOST
from infra.emulator.runtime.revision import BusyError, Revision
from infra.emulator.runtime.tracing import Trace

CHUNK = 65536
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te "
    b"trailer transfer-encoding upgrade".split()
)
OWN_AUTHORIZATION = "x-serverless-authorization"
REQUESTS = "run.googleapis.com/requests"


@dataclass(frozen=True)
class Target:
    """What the connection's port leads to at the moment."""

    origin: Origin
    revision: Revision | None
    timeout: float
    may_invoke: Callable[[str], bool] | None


@dataclass
class _Asked:
    """A request under way."""

    request: h11.Request
    headers: dict[str, str]
    trace: Trace
    began: float
    status: int = 0
    size: int = 0

    @property
    def path(self) -> str:
        return self.request.target.decode("latin-1")


class Exchange:
    """A client's connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: Callable[[], Target | None],
        logs: LogWriter,
    ):
        self._reader = reader
        self._writer = writer
        self._target = target
        self._logs = logs
        self._client = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        """Serves until the client or we have had enough."""
        while True:
            try:
                event = await _next(self._client, self._reader)
            except h11.RemoteProtocolError:
                await self._answer(400, "Bad Request")
                return
            if not isinstance(event, h11.Request):
                return
            target = self._target()
            if target is None:
                return
            headers = {key.decode(): value.decode("latin-1") for key, value in event.headers}
            asked = _Asked(event, headers, Trace.of(headers), perf_counter())
            try:
                await self._serve(asked, target)
            finally:
                self._log(asked, target)
            if self._client.our_state is not h11.DONE or self._client.their_state is not h11.DONE:
                return
            self._client.start_next_cycle()

    async def _serve(self, asked: _Asked, target: Target) -> None:
        path = asked.path.partition("?")[0]
        if path == "/healthz":
            # Google's front end keeps this path for itself.
            await self._refuse(asked, 404, NOT_FOUND)
            return
        # Where both are there, Cloud Run looks at its own only.
        who = asked.headers.get(OWN_AUTHORIZATION) or asked.headers.get("authorization", "")
        if target.may_invoke and not await asyncio.to_thread(target.may_invoke, who):
            await self._refuse(asked, 403, FORBIDDEN.format(path=path))
            return
        if target.revision is None:
            await self._refuse(asked, 503, NOT_AVAILABLE)
            return
        try:
            async with asyncio.timeout(target.timeout):
                await self._pass_on(asked, target.revision)
        except StartError:
            await self._refuse(asked, 503, NOT_AVAILABLE)
        except BusyError:
            await self._refuse(asked, 429, "Rate exceeded.")
        except TimeoutError:
            await self._refuse(asked, 504, "upstream request timeout")
        except (OSError, h11.ProtocolError):
            await self._refuse(asked, 503, BROKEN)

    async def _pass_on(self, asked: _Asked, revision: Revision) -> None:
        instance = await revision.acquire()
        try:
            reader, writer = await asyncio.open_connection(HOST, instance.port)
            try:
                await self._talk(asked, reader, writer)
            finally:
                writer.close()
        finally:
            revision.release(instance)

    async def _talk(
        self, asked: _Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Sends the request to an instance, and the answer back."""
        server = h11.Connection(h11.CLIENT)
        head = h11.Request(
            method=asked.request.method, target=asked.request.target, headers=self._headers(asked)
        )
        writer.write(server.send(head) or b"")
        upload = asyncio.create_task(self._upload(server, writer))
        try:
            while True:
                event = await _next(server, reader)
                if isinstance(event, h11.InformationalResponse):
                    if event.status_code == 101:
                        upload.cancel()
                        await self._tunnel(event, server, reader, writer)
                        return
                elif isinstance(event, h11.Response):
                    asked.status = event.status_code
                    kept = [item for item in event.headers if item[0] not in HOP_BY_HOP]
                    await self._send(
                        h11.Response(
                            status_code=event.status_code, headers=kept, reason=event.reason
                        )
                    )
                elif isinstance(event, h11.Data):
                    asked.size += len(event.data)
                    await self._send(h11.Data(data=event.data))
                elif isinstance(event, h11.EndOfMessage):
                    await self._send(h11.EndOfMessage())
                    return
                else:
                    raise h11.RemoteProtocolError("the instance closed the connection")
        finally:
            upload.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, h11.ProtocolError):
                await upload

    async def _upload(self, server: h11.Connection, writer: asyncio.StreamWriter) -> None:
        """Passes the request's body on."""
        while True:
            if self._client.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            event = await _next(self._client, self._reader)
            if isinstance(event, h11.Data):
                writer.write(server.send(h11.Data(data=event.data)) or b"")
                await writer.drain()
            elif isinstance(event, h11.EndOfMessage):
                writer.write(server.send(h11.EndOfMessage()) or b"")
                await writer.drain()
                return
            else:
                # The client has gone: so has the reason for the request.
                writer.close()
                return

    async def _tunnel(
        self,
        switching: h11.InformationalResponse,
        server: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """After `101 Switching Protocols`, a WebSocket say: bytes, in both directions."""
        await self._send(switching)
        early, _ = self._client.trailing_data
        late, _ = server.trailing_data
        writer.write(early)
        self._writer.write(late)
        ways = (_pump(self._reader, writer), _pump(reader, self._writer))
        pumps = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()

    def _headers(self, asked: _Asked) -> list[tuple[bytes, bytes]]:
        """The request's headers as the instance gets them."""
        headers = [item for item in asked.request.headers if item[0] not in HOP_BY_HOP]
        if "upgrade" in asked.headers.get("connection", "").lower():
            upgrade = asked.headers.get("upgrade", "").encode("latin-1")
            headers += [(b"connection", b"upgrade"), (b"upgrade", upgrade)]
        else:
            headers.append((b"connection", b"close"))
        if b"chunked" in dict(asked.request.headers).get(b"transfer-encoding", b""):
            headers.append((b"transfer-encoding", b"chunked"))
        peer = (self._writer.get_extra_info("peername") or (HOST,))[0]
        before = asked.headers.get("x-forwarded-for")
        ours = {
            "x-forwarded-for": f"{before}, {peer}" if before else peer,
            "x-forwarded-proto": "http",
            "forwarded": f'for="{peer}";proto=http',
            **{k: v for k, v in asked.trace.headers().items() if k not in asked.headers},
        }
        names = {name.encode() for name in ours}
        return [item for item in headers if item[0] not in names] + [
            (name.encode(), value.encode("latin-1")) for name, value in ours.items()
        ]

    # Answering.

    async def _refuse(self, asked: _Asked, status: int, text: str) -> None:
        """Our own answer in place of the service's, unless that has begun already."""
        if self._client.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._client.send_failed()
            return
        asked.status = status
        asked.size = len(text)
        waits = self._client.they_are_waiting_for_100_continue
        await self._answer(status, text)
        if waits:
            return
        with contextlib.suppress(h11.ProtocolError):
            while self._client.their_state is h11.SEND_BODY:
                await _next(self._client, self._reader)

    async def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        kind = "text/html; charset=utf-8" if text.startswith("<") else "text/plain"
        headers = [
            ("content-type", kind),
            ("content-length", str(len(body))),
            ("server", "Google Frontend"),
        ]
        await self._send(h11.Response(status_code=status, headers=headers))
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        data = self._client.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    def _log(self, asked: _Asked, target: Target) -> None:
        """The entry of Cloud Run's request log."""
        status = asked.status or 499
        severity = "ERROR" if status >= 500 else "WARNING" if status >= 400 else "INFO"
        origin = target.revision.spec.origin if target.revision else target.origin
        entry = origin.entry(
            REQUESTS,
            severity,
            httpRequest={
                "requestMethod": asked.request.method.decode(),
                "requestUrl": f"http://{asked.headers.get('host', '')}{asked.path}",
                "status": status,
                "responseSize": str(asked.size),
                "userAgent": asked.headers.get("user-agent", ""),
                "remoteIp": (self._writer.get_extra_info("peername") or ("",))[0],
                "latency": f"{perf_counter() - asked.began:.6f}s",
                "protocol": f"HTTP/{asked.request.http_version.decode()}",
            },
            trace=f"projects/{origin.project}/traces/{asked.trace.trace}",
            spanId=f"{asked.trace.span:016x}",
            traceSampled=asked.trace.sampled,
        )
        self._logs.write(entry)


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    """The next event of a connection, read from its stream."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
