"""Calls that are held or slow: they cost the emulator no thread, and end with their client."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest

from tests.emulator.emulators import Emulator
from tests.emulator.services import eventually

# More than the emulator has threads.
MANY = 120


@pytest.fixture(autouse=True)
def undisturbed(emulator: Emulator) -> Iterator[None]:
    yield
    emulator.http().delete("/emulator/faults").raise_for_status()
    emulator.http().put("/emulator/latency", json={"milliseconds": 0}).raise_for_status()


def create(client: httpx.Client, project: str, name: str) -> int:
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    place = f"/secretmanager/v1/projects/{project}/secrets"
    return client.post(place, params={"secretId": name}, json=body, timeout=60).status_code


def exists(emulator: Emulator, project: str, name: str) -> bool:
    place = f"/secretmanager/v1/projects/{project}/secrets/{name}"
    return emulator.http().get(place).status_code == 200


def holding(emulator: Emulator) -> int:
    faults = emulator.http().get("/emulator/faults").json()["faults"]
    return sum(int(fault["holding"]) for fault in faults)


@contextmanager
def asking(emulator: Emulator, request: bytes) -> Iterator[None]:
    """A client that has sent a request, and goes away at the end without an answer."""
    host, _, port = emulator.host.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request)
        yield


def creation(project: str, name: str) -> bytes:
    body = b'{"replication":{"automatic":{}}}'
    place = f"/secretmanager/v1/projects/{project}/secrets?secretId={name}"
    return (
        f"POST {place} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )


@pytest.mark.parametrize("after", [False, True])
def test_a_call_is_held_until_its_rule_is_deleted(
    emulator: Emulator, project: str, after: bool
) -> None:
    fault = emulator.fault(method="*CreateSecret", kind="hang", after=after)
    with ThreadPoolExecutor(1) as pool, emulator.http() as client:
        held = pool.submit(create, client, project, "held")
        eventually(lambda: holding(emulator) == 1)
        assert exists(emulator, project, "held") is after
        assert not held.done()
        emulator.http().delete(f"/emulator/faults/{fault}").raise_for_status()
        assert held.result(60) == 200
    assert exists(emulator, project, "held")


@pytest.mark.parametrize("after", [False, True])
def test_a_client_that_is_killed_leaves_what_it_had_done(
    emulator: Emulator, project: str, after: bool
) -> None:
    fault = emulator.fault(write=True, path="/secretmanager/*", kind="hang", after=after, nth=2)
    with emulator.http() as client:
        assert create(client, project, "first") == 200
    with asking(emulator, creation(project, "second")):
        eventually(lambda: holding(emulator) == 1)
    eventually(lambda: holding(emulator) == 0)
    assert exists(emulator, project, "second") is after
    entry = next(one for one in reversed(emulator.calls()) if one["fault"])
    assert (entry["fault"], entry["status"]) == (fault, 200 if after else 0)


def test_held_calls_take_no_thread(emulator: Emulator, project: str) -> None:
    emulator.fault(method="*CreateSecret", kind="hang")
    with ExitStack() as stack:
        for number in range(MANY):
            stack.enter_context(asking(emulator, creation(project, f"held-{number}")))
        eventually(lambda: holding(emulator) == MANY)
        assert not exists(emulator, project, "held-0")


def test_latency_takes_no_thread(emulator: Emulator, project: str) -> None:
    set_latency(emulator, 60_000)
    with ExitStack() as stack:
        for number in range(MANY):
            stack.enter_context(asking(emulator, creation(project, f"slow-{number}")))
        set_latency(emulator, 0)
        assert not exists(emulator, project, "slow-0")


def test_every_call_takes_the_latency_and_the_emulators_own_do_not(
    emulator: Emulator, project: str
) -> None:
    set_latency(emulator, 100)
    emulator.forget()
    place = f"/secretmanager/v1/projects/{project}/secrets"
    with emulator.http() as client, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(client.get, [place] * 32))
    assert {answer.status_code for answer in answers} == {200}
    assert min(answer.elapsed.total_seconds() for answer in answers) >= 0.1
    assert emulator.http().get("/emulator/latency").json() == {"milliseconds": 100}
    assert len(emulator.calls()) == 32


@pytest.mark.parametrize("given", [-1, "100", None, True, 1e9])
def test_a_latency_that_is_none_is_refused(emulator: Emulator, given: object) -> None:
    answer = emulator.http().put("/emulator/latency", json={"milliseconds": given})
    assert answer.status_code == 400
    assert "milliseconds" in answer.json()["error"]["message"]


def set_latency(emulator: Emulator, milliseconds: float) -> None:
    said: dict[str, Any] = {"milliseconds": milliseconds}
    emulator.http().put("/emulator/latency", json=said).raise_for_status()
