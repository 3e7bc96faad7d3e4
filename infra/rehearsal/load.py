"""Steady load: so many requests a second, whatever becomes of them, and what became of each.

Requests are sent by the clock and not as answers come: a service that stalls is asked on, as by its
users.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self

import httpx

AGENT = "cookiecutter-cloudrun-rehearsal"
ANSWER_SECONDS = 30.0
MOST_AT_ONCE = 200
WARM_SECONDS = 60.0
# What is one row's alone in a path: a number, or a UUID.
ONES_OWN = re.compile(r"(?<=/)(\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?=/|$)")


@dataclass(frozen=True)
class Request:
    """A request that was sent; times are seconds of the monotonic clock."""

    path: str
    sent: float
    seconds: float
    status: int | None
    """None: there was no answer."""
    why: str = ""
    """Why there was none."""

    @property
    def is_lost(self) -> bool:
        """Whether it got no answer."""
        return self.status is None

    @property
    def is_failed(self) -> bool:
        """Whether it got the answer of a server that failed."""
        return self.status is not None and self.status >= 500


class Load:
    """Sends GET requests to the paths in turn from the beginning of the block to its end, and goes
    on there until there were `least`."""

    def __init__(self, url: str, paths: Sequence[str], rate: float, least: int) -> None:
        """`rate` is in requests a second."""
        self.requests: list[Request] = []
        self._url = url
        self._paths = paths
        self._rate = rate
        self._least = least
        self._over = Event()
        self._abandoned = Event()
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._work, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        if error is not None:
            self._abandoned.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            asyncio.run(self._send_all())
        except BaseException as failure:
            # Told where the block ends.
            self._failure = failure

    async def _send_all(self) -> None:
        limits = httpx.Limits(max_connections=MOST_AT_ONCE)
        async with (
            httpx.AsyncClient(
                base_url=self._url,
                headers={"user-agent": AGENT},
                timeout=ANSWER_SECONDS,
                limits=limits,
                trust_env=False,
            ) as client,
            asyncio.TaskGroup() as group,
        ):
            began, count = monotonic(), 0
            while not self._is_enough(count):
                group.create_task(self._send(client, self._paths[count % len(self._paths)]))
                count += 1
                await asyncio.sleep(max(0.0, began + count / self._rate - monotonic()))

    def _is_enough(self, count: int) -> bool:
        if self._abandoned.is_set():
            return True
        return self._over.is_set() and count >= self._least

    async def _send(self, client: httpx.AsyncClient, path: str) -> None:
        sent, status, why = monotonic(), None, ""
        try:
            status = (await client.get(path)).status_code
        except httpx.HTTPError as error:
            why = f"{type(error).__name__}: {error}".rstrip(": ")
        self.requests.append(Request(path, sent, monotonic() - sent, status, why))


def route(path: str) -> str:
    """The path with a star for what is one row's alone: `/items/*`."""
    return ONES_OWN.sub("*", path.partition("?")[0])


def try_each(url: str, paths: Sequence[str]) -> dict[str, int | None]:
    """What each path answers before anything is done, called once; None for no answer."""
    answers: dict[str, int | None] = {}
    with httpx.Client(base_url=url, timeout=WARM_SECONDS, trust_env=False) as client:
        for path in paths:
            try:
                answers[path] = client.get(path).status_code
            except httpx.HTTPError:
                answers[path] = None
    return answers


def paths_of(openapi: dict[str, object]) -> list[str]:
    """The paths of an OpenAPI document that can be read without knowing anything: GET, and
    nothing in them or behind them that must be given."""
    found = []
    paths = openapi.get("paths")
    for path, operations in paths.items() if isinstance(paths, dict) else ():
        get = operations.get("get")
        if get is None or "{" in path:
            continue
        parameters = [*operations.get("parameters", ()), *get.get("parameters", ())]
        if not any(each.get("required") for each in parameters):
            found.append(path)
    return found
