"""Injected classes are built in the event loop, whatever they are given."""

from collections.abc import AsyncIterator
from threading import current_thread
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from httpx import ASGITransport, AsyncClient

from src.dependencies.config import Settings
from src.main import create_app

calls: list[str] = []


async def given() -> str:
    """Something that is solved once for a request."""
    calls.append("given")
    return "given"


Given = Annotated[str, Depends(given)]


class Inner:
    """What another class is given."""

    def __init__(self, given: Given) -> None:
        self.given = given


class Outer:
    """Given a class, and what that class is given too."""

    def __init__(self, inner: Annotated[Inner, Depends()], word: Given) -> None:
        self.inner = inner
        self.word = word
        self.thread = current_thread().name


async def open_thing(request: Request) -> AsyncIterator[str]:
    """A thing that is open as long as the endpoint runs."""
    calls.append("open")
    try:
        yield request.url.path
    except ValueError:
        calls.append("failed")
        raise
    calls.append("closed")


Opened = Annotated[str, Depends(open_thing, scope="function")]


class Holder:
    """Given a thing that is open."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened


class Asked:
    """What FastAPI has to give: a parameter of the request."""

    def __init__(self, word: str = "none") -> None:
        self.word = word


router = APIRouter()


@router.get("/held")
async def held(
    request: Request,
    holder: Annotated[Holder, Depends()],
    asked: Annotated[Asked, Depends()],
    opened: Opened,
    fail: bool = False,
) -> list[str]:
    """Tells what it holds, or fails."""
    assert holder.opened == opened == request.url.path
    calls.append("ran")
    if fail:
        raise ValueError
    return [opened, asked.word]


@router.get("/built/{number}")
async def built(
    number: int,
    outer: Annotated[Outer, Depends()],
    same: Annotated[Outer, Depends(Outer)],
    plain: Given,
) -> list[str | int]:
    """Tells what it was given."""
    assert isinstance(same, Outer)
    return [number, outer.inner.given, outer.word, plain, outer.thread]


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """An application with the routes."""
    return create_app(settings, [router])


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A caller of it."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


async def test_a_class_is_built_here_and_its_needs_solved_once(
    client: AsyncClient,
) -> None:
    calls.clear()
    answer = await client.get("/built/5")
    here = current_thread().name
    assert answer.json() == [5, "given", "given", "given", here]
    assert calls == ["given"]


async def test_other_parameters_are_what_they_were(client: AsyncClient) -> None:
    assert (await client.get("/built/five")).status_code == 422


async def test_what_is_opened_closes_with_the_endpoint(
    client: AsyncClient,
) -> None:
    calls.clear()
    answer = await client.get("/held?word=given")
    assert answer.json() == ["/held", "given"]
    assert calls == ["open", "ran", "closed"]


async def test_what_is_opened_hears_of_a_failure(client: AsyncClient) -> None:
    calls.clear()
    assert (await client.get("/held?fail=true")).status_code == 500
    assert calls == ["open", "ran", "failed"]


async def test_a_test_may_give_something_else(
    app: FastAPI, client: AsyncClient
) -> None:
    app.dependency_overrides[given] = lambda: "other"
    assert (await client.get("/built/5")).json()[1:4] == ["other"] * 3
    app.dependency_overrides[Inner] = lambda: Inner("inner")
    assert (await client.get("/built/5")).json()[1:3] == ["inner", "other"]
