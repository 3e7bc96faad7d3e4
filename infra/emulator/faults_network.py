"""What faults do to a call on its way: it is delayed, held, or its connection is cut.

Everything here waits without a thread, and in real time.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from starlette.types import Receive

from infra.emulator.connections import Address, Connections
from infra.emulator.faults import DelayFault, Fault, Faults, HangFault, ResetFault


class Network:
    """The way from one client to the emulator and back, for one call."""

    def __init__(
        self,
        faults: Faults,
        connections: Connections,
        client: Address | None,
        receive: Receive,
    ) -> None:
        self._faults = faults
        self._connections = connections
        self._client = client
        self._receive = receive

    async def passes(self, struck: Sequence[Fault], *, after: bool) -> bool:
        """Lets a call through, or after it has been carried out its answer; False if it is lost."""
        for fault in struck:
            match fault.rule:
                case DelayFault(seconds=seconds) if not after:
                    await asyncio.sleep(seconds)
                case HangFault(after=when) if when is after:
                    if not await self._hold(fault):
                        return False
                case ResetFault(after=when) if when is after:
                    self._connections.reset(self._client)
                    await self._gone()
                    return False
        return True

    async def _hold(self, fault: Fault) -> bool:
        """Waits until the rule is deleted; False when the client is gone before."""
        loop, released = asyncio.get_running_loop(), asyncio.Event()
        self._faults.on_release(fault, partial(loop.call_soon_threadsafe, released.set))
        waits = [asyncio.create_task(released.wait()), asyncio.create_task(self._gone())]
        fault.holding += 1
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            fault.holding -= 1
            for one in waits:
                one.cancel()
        return released.is_set()

    async def _gone(self) -> None:
        """Returns when the client has closed the connection, or it was cut."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
