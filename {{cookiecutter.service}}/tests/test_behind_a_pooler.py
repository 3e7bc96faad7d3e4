"""Behind a pooler in transaction mode, which gives each transaction another
of PostgreSQL's connections: by one setting."""

import asyncio
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from src.dependencies.config import Settings
from tests.processes import free_port
from tests.serving import serving

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
REQUESTS = 100


@pytest.fixture
def pooler(settings: Settings, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A PgBouncer with two connections, and the settings that lead to it."""
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
    given, port = settings.database, free_port()
    password = given.password.get_secret_value()
    config = tmp_path / "pgbouncer.ini"
    config.write_text(
        f"""
[databases]
* = host={given.host} port={given.port} user={given.user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""
    )
    command = [PGBOUNCER, str(config)]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]  # it refuses to be root
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if "process up" in line:
            break
    else:
        pytest.fail("pgbouncer has ended")
    yield {"host": "127.0.0.1", "port": port, "pool_size": 20}
    process.terminate()
    process.communicate()


async def test_many_share_few_connections(
    settings: Settings, pooler: dict[str, Any]
) -> None:
    async with serving(settings, **pooler, pooler=True) as (_, client):
        for path in ("/health", "/backend"):
            asked = [client.get(path) for _ in range(REQUESTS)]
            answers = await asyncio.gather(*asked)
            statuses = Counter(answer.status_code for answer in answers)
            assert statuses == {200: REQUESTS}
        assert len({answer.json() for answer in answers}) <= 2


async def test_without_the_setting_it_would_not_work(
    settings: Settings, pooler: dict[str, Any]
) -> None:
    async with serving(settings, **pooler) as (_, client):
        assert (await client.get("/health")).status_code == 503


async def test_nothing_is_kept_on_a_connection(
    settings: Settings,
) -> None:
    async with serving(settings, pooler=True) as (app, client):
        assert (await client.get("/backend")).status_code == 200
        async with app.state.sessions.open() as session:
            connection = await session.connection()
            for _ in range(2):
                query = text("SELECT CAST(:number AS int)")
                await connection.execute(query, {"number": 1})
            prepared = "SELECT count(*) FROM pg_prepared_statements"
            kept = await connection.exec_driver_sql(prepared)
            assert kept.scalar_one() == 0
            sent = (
                "SELECT name FROM pg_settings WHERE source = 'client' "
                "AND name <> 'client_encoding'"
            )
            settings_sent = await connection.exec_driver_sql(sent)
            assert settings_sent.scalars().all() == []
