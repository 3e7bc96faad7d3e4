"""A folder that keeps a server's data: whatever a start finds in it, nothing is lost or doubled."""

import os
import threading
from pathlib import Path

import pytest

from infra.emulator.postgres import (
    BinariesNotFoundError,
    Server,
    StartError,
    WrongPasswordError,
    begin,
    watchdog,
)
from tests.emulator.postgres.machine import installed, only_posix
from tests.emulator.postgres.processes import (
    PASSWORD,
    child,
    eventually,
    is_open,
    kill,
    pid_of,
    watchdog_of,
)

pytestmark = only_posix


def test_a_server_left_behind_is_taken_over(folder: Path) -> None:
    with child(folder=str(folder)) as (process, orphan):
        pid = pid_of(orphan["data"])
        kill(watchdog_of(pid))
        process.kill()
    assert watchdog.alive(pid)
    with Server(folder, password=PASSWORD) as server:
        assert (server.port, pid_of(server.data)) == (orphan["port"], pid)
        assert server.psql("SELECT 1") == "1"
        with pytest.raises(WrongPasswordError):
            Server(folder, password="another").start()
    eventually(lambda: not watchdog.alive(pid))
    assert not is_open(orphan["port"])


def test_a_server_left_behind_on_another_port_is_replaced(folder: Path) -> None:
    with child(folder=str(folder)) as (process, orphan):
        pid = pid_of(orphan["data"])
        kill(watchdog_of(pid))
        process.kill()
    wanted = begin.free_port()
    with Server(folder, password=PASSWORD, port=wanted) as server:
        assert server.port == wanted
        assert not watchdog.alive(pid)


def test_the_folder_of_a_living_process_is_shared_and_left_to_it(folder: Path) -> None:
    with child(folder=str(folder)) as (_, first):
        with Server(folder, password=PASSWORD) as second:
            assert second.port == first["port"]
            assert second.psql("SELECT 1") == "1"
        assert is_open(first["port"])
        with pytest.raises(StartError, match="already served, on port"):
            Server(folder, password=PASSWORD, port=begin.free_port()).start()


def test_a_folder_asked_for_by_several_at_once_is_made_once(folder: Path) -> None:
    servers = [Server(folder, password=PASSWORD, durable=False) for _ in range(3)]
    threads = [threading.Thread(target=server.start) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({server.port for server in servers}) == 1
    for server in servers:
        server.stop()


def test_a_folder_left_by_a_killed_initdb_is_made_again(folder: Path) -> None:
    for half_made in (folder / "data", folder / "making-x" / "data"):
        half_made.mkdir(parents=True)
        (half_made / "PG_VERSION").write_text("15\n")
    with Server(folder, password=PASSWORD, durable=False) as server:
        assert server.psql("SELECT 1") == "1"
    assert not [*folder.glob("making-*")]


def test_a_folder_of_something_else_is_not_touched(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "thesis.txt").write_text("years of work")
    with pytest.raises(StartError, match="not a data folder of PostgreSQL"):
        Server(folder, password=PASSWORD).start()
    assert (folder / "data" / "thesis.txt").exists()


def test_a_folder_with_the_number_of_another_process_starts(folder: Path) -> None:
    with Server(folder, password=PASSWORD, durable=False) as server:
        pid_file = server.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with Server(folder, password=PASSWORD, durable=False) as server:
        assert server.psql("SELECT 1") == "1"


def test_a_folder_goes_on_with_the_version_that_made_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, wheel = installed("system"), installed("wheel")
    if system.version[0] == wheel.version[0]:
        pytest.skip("both are the same version")
    monkeypatch.setenv("POSTGRES_BINDIR", str(wheel.bindir))
    with Server(folder, password=PASSWORD, durable=False):
        pass
    monkeypatch.setenv("POSTGRES_BINDIR", str(system.bindir))
    with pytest.raises(BinariesNotFoundError, match=f"made by PostgreSQL {wheel.version[0]}"):
        Server(folder, password=PASSWORD).start()
    monkeypatch.delenv("POSTGRES_BINDIR")
    with Server(folder, password=PASSWORD) as server:
        assert server.version == wheel.version
