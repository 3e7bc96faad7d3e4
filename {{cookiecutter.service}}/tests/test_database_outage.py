"""The database goes away, and comes back: 503 meanwhile, from any route, and
nobody has to restart anything."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from secrets import token_hex
from time import monotonic

import httpx
import pytest
from httpx import AsyncClient, Response
from infra.emulator.postgres import Server
from pydantic import SecretStr

from src.about import NAME
from src.dependencies.config import Settings
from src.schemas import ErrorResponse
from tests.processes import (
    PATIENCE_SECONDS,
    TEST_SERVER,
    free_port,
    running,
)
from tests.serving import serving


def assert_come_back_later(answer: Response) -> None:
    """It is a 503 in the error shape, which says when to come back."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    error = ErrorResponse.model_validate(answer.json())
    assert error.status_code == 503
    assert "database" in error.message


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[AsyncClient]:
    """A caller of the test's application."""
    async with serving(settings) as (_, client):
        yield client


async def run(client: AsyncClient, statement: str) -> Response:
    """Runs a statement in a request."""
    return await client.post("/run", params={"statement": statement})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A PostgreSQL that a test may stop."""
    server = Server(
        tmp_path / "postgres",
        port=free_port(),
        password=token_hex(),
        durable=False,
    )
    with server:
        data = server.data
        yield server
    # PostgreSQL does not run as root, whose folders are closed to others: for
    # root the data are elsewhere.
    shutil.rmtree(data.resolve().parent)


def until(url: str, status: int) -> Response:
    """Asks until the answer has the status."""
    end = monotonic() + PATIENCE_SECONDS
    while (answer := httpx.get(url)).status_code != status:
        assert monotonic() < end, answer.text
    return answer


async def test_a_restarted_database_is_found_again(
    server: Server, tmp_path: Path
) -> None:
    environment = {
        "DATABASE__HOST": server.host,
        "DATABASE__PORT": str(server.port),
        "DATABASE__USER": server.user,
        "DATABASE__PASSWORD": server.password,
        "DATABASE__NAME": "postgres",
    }
    with running(environment, tmp_path, TEST_SERVER) as service:
        url = service.url
        async with AsyncClient(base_url=url, timeout=60) as client:
            assert (await client.get("/health")).status_code == 200
            before = (await client.get("/backend")).json()
            waiting = asyncio.create_task(run(client, "SELECT pg_sleep(60)"))
            await seen(server, "pg_sleep")
            await asyncio.to_thread(server.stop)
            assert_come_back_later(await waiting)
            for path in ("/backend", "/health"):
                assert_come_back_later(await client.get(path))
            assert (await client.get("/live")).status_code == 200
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(until, f"{url}/health", 200)
            after = await client.get("/backend")
            assert after.status_code == 200
            assert after.json() != before
        assert server.password not in service.stop()


async def seen(server: Server, statement: str) -> None:
    """Waits until the server runs the statement."""
    ask = (
        "SELECT count(*) FROM pg_stat_activity "
        f"WHERE query ~ '{statement}' AND pid <> pg_backend_pid()"
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await asyncio.to_thread(server.psql, ask) == "0":
            pass


async def test_a_request_whose_connection_is_cut(client: AsyncClient) -> None:
    cut = "SELECT pg_terminate_backend(pg_backend_pid())"
    assert_come_back_later(await run(client, cut))
    assert (await client.get("/backend")).status_code == 200


async def test_a_spent_pool(settings: Settings) -> None:
    options = {"pool_size": 1, "pool_overflow": 0, "pool_wait_seconds": 0.05}
    async with serving(settings, **options) as (app, client):
        async with app.state.sessions.open() as session:
            await session.connection()
            assert_come_back_later(await client.get("/backend"))
            assert_come_back_later(await client.get("/health"))
            assert (await client.get("/live")).status_code == 200
        assert (await client.get("/backend")).status_code == 200


async def test_a_statement_that_takes_too_long(settings: Settings) -> None:
    async with serving(settings, statement_seconds=0.05) as (_, client):
        assert_come_back_later(await run(client, "SELECT pg_sleep(60)"))
        assert (await client.get("/backend")).status_code == 200


async def test_a_lock_that_is_not_to_be_had(
    settings: Settings, client: AsyncClient
) -> None:
    lock = "SELECT pg_advisory_xact_lock(1)"
    async with serving(settings, lock_seconds=0.05) as (app, other):
        async with app.state.sessions.open() as session:
            connection = await session.connection()
            await connection.exec_driver_sql(lock)
            assert_come_back_later(await run(other, lock))
        assert (await run(other, lock)).status_code == 200


@pytest.mark.parametrize(
    "code",
    [
        *("08006", "25006", "25P03", "40001", "40P01", "53100", "53300"),
        *("55P03", "57014", "57P01", "57P03", "58030"),
    ],
)
async def test_what_passes_by_itself(
    client: AsyncClient, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert_come_back_later(await run(client, fail_with(code)))
    logged = str([record.msg for record in caplog.records])
    assert f"{code}'" in logged
    assert "a word of the cause" not in logged


@pytest.mark.parametrize("code", ["22012", "42P01", "XX000", "P0001"])
async def test_what_does_not_is_a_crash(
    client: AsyncClient, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await run(client, fail_with(code))
    assert answer.status_code == 500
    assert "cause" not in answer.text
    assert len([each for each in caplog.records if each.exc_info]) == 1


def fail_with(code: str) -> str:
    """A statement that PostgreSQL refuses with the code."""
    return (
        "DO $$ BEGIN RAISE EXCEPTION 'a word of the cause' "
        f"USING ERRCODE = '{code}'; END $$"
    )


async def test_a_server_that_became_a_standby_is_left(
    settings: Settings,
) -> None:
    async with serving(settings, pool_size=1) as (_, client):
        before = (await client.get("/backend")).json()
        turned = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
        assert (await run(client, turned)).status_code == 200
        assert (await client.get("/backend")).json() == before
        assert_come_back_later(await run(client, "CREATE TABLE t ()"))
        assert (await client.get("/backend")).json() != before


async def test_a_server_without_a_free_connection(
    settings: Settings, client: AsyncClient
) -> None:
    role = f"none_{token_hex(4)}"
    create = f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0"
    assert (await run(client, create)).status_code == 200
    options = {"user": role, "password": SecretStr("x")}
    async with serving(settings, **options) as (_, refused):
        assert_come_back_later(await refused.get("/backend"))
        assert_come_back_later(await refused.get("/health"))
    await run(client, f"DROP ROLE {role}")


async def test_a_connection_says_who_it_is_and_what_it_may_hold(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K_REVISION", "revision-7")
    options = {
        "statement_seconds": 7,
        "lock_seconds": 0.5,
        "idle_in_transaction_seconds": 9,
    }
    names = [
        "application_name",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
    ]
    async with serving(settings, **options) as (app, _):
        async with app.state.sessions.open() as session:
            connection = await session.connection()
            shown = [
                (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
                for name in names
            ]
    assert shown == [f"{NAME} revision-7", "7s", "500ms", "9s"]
