"""The locks of a real PostgreSQL, as they are seen while they are held."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulator.postgres import Server, binaries
from infra.emulator.postgres.psql import Login
from infra.rehearsal.locks import Sampler
from infra.rehearsal.psql import Psql, PsqlError


@pytest.fixture(scope="module")
def psql() -> Iterator[Psql]:
    """A database with a table of three rows."""
    with Server(password="for tests", durable=False) as server:
        login = Login(server.host, server.port, server.user, server.password)
        variables = binaries.environment() | login.variables("postgres")
        asked = Psql(str(server.binaries.program("psql")), variables)
        asked.ask(
            "CREATE TABLE items AS SELECT n AS id, 'one' AS name FROM generate_series(1, 3) n"
        )
        yield asked


def start(psql: Psql, sql: str) -> subprocess.Popen[str]:
    """Runs statements meanwhile."""
    process = subprocess.Popen(
        psql.command, stdin=subprocess.PIPE, env=psql.variables, text=True, encoding="utf-8"
    )
    assert process.stdin is not None
    process.stdin.write(sql)
    process.stdin.close()
    return process


def test_a_table_that_is_kept_from_its_readers_is_seen(psql: Psql) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
    with Sampler(psql) as sampler:
        migration = start(
            psql, "BEGIN; ALTER TABLE items ADD COLUMN price int; SELECT pg_sleep(1); COMMIT;"
        )
        while psql.ask(held) == [["0"]]:
            assert migration.poll() is None
        assert psql.ask("SELECT count(*) FROM items") == [["3"]]
        assert migration.wait() == 0
    lock = next(each for each in sampler.locks if each.table == "items")
    assert (lock.mode, lock.keeps_out) == ("AccessExclusiveLock", "reads and writes")
    assert 0.5 < lock.seconds < 30
    assert lock.waiting == 1
    assert 0 < lock.waited <= lock.seconds
    assert sampler.rewritten == []


def test_an_index_keeps_writers_out_and_one_made_concurrently_does_not(psql: Psql) -> None:
    with Sampler(psql) as sampler:
        psql.ask("BEGIN; CREATE INDEX ON items (id); SELECT pg_sleep(0.5); COMMIT;")
    assert {(each.table, each.keeps_out) for each in sampler.locks} == {("items", "writes")}
    with Sampler(psql) as sampler:
        psql.ask("CREATE INDEX CONCURRENTLY ON items (name);")
    assert sampler.locks == []


def test_a_table_that_is_written_anew_is_named_however_small_it_is(psql: Psql) -> None:
    with Sampler(psql) as sampler:
        psql.ask("ALTER TABLE items ALTER COLUMN id TYPE bigint;")
        psql.ask("CREATE TABLE others (id int);")
    assert sampler.rewritten == ["items"]


def test_what_postgresql_refuses_is_said(psql: Psql) -> None:
    with pytest.raises(PsqlError, match='relation "nowhere" does not exist'):
        psql.ask("SELECT * FROM nowhere")


def test_nothing_of_the_login_is_in_an_argument(psql: Psql) -> None:
    password = psql.variables["PGPASSWORD"]
    with Sampler(psql):
        listed = [
            path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.is_file()
        ]
    assert not any(password.encode() in each for each in listed)
    assert password not in repr(psql)
