"""The load, against a server that does wrong: each request is accounted for."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

from infra.rehearsal.load import AGENT, Load, paths_of, try_each

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"


class Wrong:
    """A server: what it answers to each path, b"" for hanging up."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.asked = Counter[str]()
        self.agents = set[str]()

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its address."""
        ready, place = Event(), [0]
        loop = asyncio.new_event_loop()
        over = asyncio.Event()

        async def serve() -> None:
            server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
            place[0] = server.sockets[0].getsockname()[1]
            ready.set()
            await over.wait()
            server.close()

        thread = Thread(target=loop.run_until_complete, args=(serve(),))
        thread.start()
        ready.wait()
        try:
            yield f"http://127.0.0.1:{place[0]}"
        finally:
            loop.call_soon_threadsafe(over.set)
            thread.join()
            loop.close()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of a connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                path = head.split(" ")[1]
                self.asked[path] += 1
                self.agents.update(
                    line.partition(": ")[2]
                    for line in head.splitlines()
                    if line.lower().startswith("user-agent:")
                )
                if not self.answers[path]:
                    return
                writer.write(self.answers[path])
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def test_every_request_is_counted_and_what_became_of_it() -> None:
    wrong = Wrong({"/well": OK, "/bad": BAD, "/never": b""})
    paths = ["/well", "/bad", "/never"]
    with wrong.serving() as url, Load(url, paths, rate=300, least=90) as load:
        pass
    assert len(load.requests) == 90
    assert wrong.asked == {"/well": 30, "/bad": 30, "/never": 30}
    assert wrong.agents == {AGENT}
    became = Counter((each.path, each.status) for each in load.requests)
    assert became == {("/well", 200): 30, ("/bad", 500): 30, ("/never", None): 30}
    lost = [each for each in load.requests if each.is_lost]
    assert all("disconnected" in each.why for each in lost), lost
    assert [each.path for each in load.requests if each.is_failed] == ["/bad"] * 30


def test_it_goes_on_as_long_as_the_block_does() -> None:
    wrong = Wrong({"/": OK})
    with wrong.serving() as url, Load(url, ["/"], rate=1000, least=1) as load:
        while len(load.requests) < 50:
            pass
    assert len(load.requests) >= 50


def test_nobody_is_asked_on_when_the_block_fails() -> None:
    wrong = Wrong({"/": OK})
    try:
        with wrong.serving() as url, Load(url, ["/"], rate=10, least=10**9):
            raise LookupError
    except LookupError:
        pass
    assert sum(wrong.asked.values()) < 1000


def test_where_nobody_listens_all_is_lost() -> None:
    wrong = Wrong({})
    with wrong.serving() as url:
        pass
    with Load(url, ["/"], rate=1000, least=5) as load:
        pass
    assert [each.status for each in load.requests] == [None] * 5
    assert try_each(url, ["/"]) == {"/": None}


def test_what_needs_nothing_is_called() -> None:
    required = {"parameters": [{"name": "q", "in": "query", "required": True}]}
    optional = {"parameters": [{"name": "page", "in": "query", "required": False}]}
    document: dict[str, object] = {
        "paths": {
            "/items/": {"get": optional, "post": {}},
            "/items/{id}": {"get": {}},
            "/search": {"get": required},
            "/orders/": {"post": {}},
            "/shared": {"get": {}, **required},
        }
    }
    assert paths_of(document) == ["/items/"]
    assert paths_of({}) == []
