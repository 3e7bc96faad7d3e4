"""Clients that write, read and remember. Each has rows of its own, and does one thing at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import httpx

from tests.service.journal import Journal, Row

CLIENTS = 16
PATH = "/items/"
FILLING = "x" * 900
"""Makes rows big, so that the table needs new blocks all the time."""
PLENTY = 20
"""Rows of a client from which on it rather deletes."""
PAUSE = 0.1
"""Seconds from a failed request to the next: who is refused at once would ask very often."""
OUTAGE = 503
FINE = {"200", "201"}
DEADLINE_MISSED = "deadline missed"
DIED = "connection died"


class Load:
    """The clients and what they have met."""

    def __init__(self, url: str, deadline: float, journal: Journal) -> None:
        """`deadline` is in seconds: none of the requests may take longer."""
        self.journal = journal
        self.forget()
        self._url, self._deadline = url, deadline
        self._ended = asyncio.Condition()
        self._clients: list[Client] = []

    def forget(self) -> None:
        """Begins to count anew."""
        self.answers: Counter[str] = Counter()
        """How requests ended: statuses and deaths."""
        self.acknowledged = 0
        """Writes that have been."""
        self.doubts = 0
        """Writes whose outcome is unknown."""
        self.slowest = 0.0
        """Seconds of the request that took longest."""

    @property
    def troubled(self) -> bool:
        """Whether a request failed."""
        return bool(self.answers.keys() - FINE)

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[None]:
        """Opens their connections."""
        async with AsyncExitStack() as stack:
            for number in range(CLIENTS):
                # The deadline is for a whole request, and ours.
                http = httpx.AsyncClient(base_url=self._url, timeout=None, trust_env=False)  # noqa: S113
                self._clients.append(Client(number, await stack.enter_async_context(http), self))
            yield

    @asynccontextmanager
    async def running(self, seed: int) -> AsyncIterator[None]:
        """They work. At the end each finishes what it has begun."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                random = Random(f"{seed} {client.number}")  # noqa: S311
                tasks.create_task(client.work(random, stop))
            try:
                yield
            finally:
                stop.set()

    async def more(self, answers: int) -> None:
        """Returns when so many more requests have ended, however they did."""
        aim = self.answers.total() + answers
        async with self._ended:
            await self._ended.wait_for(lambda: self.answers.total() >= aim)

    async def ready(self) -> bool:
        """Whether the service says that it is."""
        try:
            # A connection of its own each time, as a prober has.
            async with httpx.AsyncClient(base_url=self._url, trust_env=False) as http:
                return (await http.get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def each_writes(self) -> None:
        """Every client makes a row, and every one must succeed."""
        failed = self.doubts
        async with asyncio.TaskGroup() as tasks:
            for client in self._clients:
                tasks.create_task(client.create())
        if self.doubts > failed:
            self.journal.faults.append(f"{self.doubts - failed} of {CLIENTS} fresh writes failed")

    async def send(
        self, http: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None = None
    ) -> httpx.Response | None:
        """An answer, or None where none came."""
        clock = asyncio.get_running_loop().time
        begun, answer = clock(), None
        try:
            async with asyncio.timeout(self._deadline):
                answer = await http.request(method, path, json=body)
            end = str(answer.status_code)
        except TimeoutError:
            end = DEADLINE_MISSED
            self.journal.faults.append(f"{method} took more than {self._deadline:.0f} s")
        except httpx.TransportError:
            end = DIED
        self.slowest = max(self.slowest, clock() - begun)
        self.answers[end] += 1
        async with self._ended:
            self._ended.notify_all()
        if answer is not None and answer.status_code == OUTAGE:
            self._check_outage(answer)
        return answer

    def _check_outage(self, answer: httpx.Response) -> None:
        if "retry-after" not in answer.headers:
            self.journal.faults.append("503 without Retry-After")


class Client:
    """One of them."""

    def __init__(self, number: int, http: httpx.AsyncClient, load: Load) -> None:
        self.number, self._http, self._load = number, http, load
        self._rows: list[Row] = []
        self._writes = 0

    async def work(self, random: Random, stop: asyncio.Event) -> None:
        """One request after another, until it is to stop."""
        while not stop.is_set():
            self._rows = [row for row in self._rows if row.usable]
            if not await self._one(random):
                await asyncio.sleep(PAUSE)

    async def create(self) -> bool:
        """Makes a row. Returns whether it was acknowledged, as all of these do."""
        row = self._load.journal.new(f"{self.number}-{self._next()}")
        content = self._content()
        body = {"name": row.name, "description": content}
        data = await self._write("POST", PATH, row, content, body)
        if data is not None:
            row.id = data["id"]
            self._rows.append(row)
        return data is not None

    async def _one(self, random: Random) -> bool:
        rows = self._rows
        if not rows:
            return await self.create()
        row = random.choice(rows)
        many = len(rows) > PLENTY
        match random.choices("CRUDL", (10 if many else 40, 25, 20, 40 if many else 8, 5))[0]:
            case "R":
                return await self._read(row)
            case "U":
                content = self._content()
                body = {"description": content}
                return await self._write("PATCH", f"{PATH}{row.id}", row, content, body) is not None
            case "D":
                return await self._write("DELETE", f"{PATH}{row.id}", row, None) is not None
            case "L":
                return await self._list()
        return await self.create()

    async def _read(self, row: Row) -> bool:
        answer = await self._load.send(self._http, "GET", f"{PATH}{row.id}")
        if answer is None or not self._expected(answer, 200, 404):
            return False
        found = answer.json()["data"]
        self._load.journal.saw(row, found["description"] if answer.status_code == 200 else None)
        return True

    async def _list(self) -> bool:
        answer = await self._load.send(self._http, "GET", PATH)
        return answer is not None and self._expected(answer, 200)

    async def _write(
        self,
        method: str,
        path: str,
        row: Row,
        content: str | None,
        body: dict[str, str] | None = None,
    ) -> dict[str, Any] | None:
        """The row as the service says it is now (or was, when deleted); None without a word."""
        answer = await self._load.send(self._http, method, path, body)
        if answer is not None and answer.is_success:
            data: dict[str, Any] = answer.json()["data"]
            row.acknowledged(content)
            self._load.acknowledged += 1
            if content is not None:
                self._load.journal.saw(row, data["description"])
            return data
        if answer is not None and self._expected(answer, 404):
            self._load.journal.saw(row, None)
        row.in_doubt(content)
        self._load.doubts += 1
        return None

    def _expected(self, answer: httpx.Response, *statuses: int) -> bool:
        """Whether the status is one of these. Other than that only an outage is no fault."""
        if answer.status_code not in (*statuses, OUTAGE):
            what = f"{answer.request.method}: {answer.status_code} {answer.text:.200}"
            self._load.journal.faults.append(what)
        return answer.status_code in statuses

    def _next(self) -> int:
        self._writes += 1
        return self._writes

    def _content(self) -> str:
        """What no other write says, in the number of the write first."""
        return f"{self.number}-{self._next()} {FILLING}"
