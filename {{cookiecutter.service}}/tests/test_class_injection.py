"""Injected classes are built in the event loop, whatever they are given."""

from collections.abc import AsyncIterator
from threading import current_thread
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
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


router = APIRouter()


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
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of an application with the route."""
    app: FastAPI = create_app(settings, [router])
    transport = ASGITransport(app)
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
