"""A server, from start to stop: how it answers, on which port, and what it refuses."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.emulator.postgres import (
    Binaries,
    PortInUseError,
    PostgresError,
    Server,
    StartError,
    begin,
    watchdog,
)
from tests.emulator.postgres.processes import PASSWORD, REPOSITORY, is_open, pid_of


def test_a_server_answers_and_leaves_nothing(each_source: Binaries) -> None:
    server = Server(password=PASSWORD, durable=False)
    with server:
        data, port = server.data, server.port
        pid = pid_of(data)
        assert server.version == each_source.version
        assert server.psql("SELECT 1, 'a'") == "1|a"
        assert is_open(port)
    assert not watchdog.alive(pid)
    assert not is_open(port)
    assert not data.exists()
    server.stop()
    with pytest.raises(PostgresError, match="not started"):
        server.psql("SELECT 1")


def test_a_server_is_utf8_and_utc_and_on_this_machine_only(each_source: Binaries) -> None:
    with Server(password=PASSWORD, durable=False) as server:
        assert server.psql("SHOW server_encoding") == "UTF8"
        assert server.psql("SELECT lower('ÄÉ')") == "äé"
        assert server.psql("SHOW timezone") == "UTC"
        assert server.psql("SHOW listen_addresses") == "127.0.0.1"


def test_a_server_keeps_its_data_in_a_folder(folder: Path, each_source: Binaries) -> None:
    server = Server(folder, password=PASSWORD)
    with server:
        server.psql("CREATE TABLE kept AS SELECT 42 AS answer")
        assert server.psql("SHOW fsync") == "on"
        assert server.data == folder / "data"
    with server:
        assert server.psql("SELECT answer FROM kept") == "42"


def test_a_server_is_durable_or_fast() -> None:
    with Server(password=PASSWORD, durable=False, settings={"work_mem": "9MB"}) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert server.psql(f"SHOW {name}") == "off"
        assert server.psql("SHOW work_mem") == "9MB"


def test_a_server_takes_an_unusual_user() -> None:
    with Server(user="Zoë Neill-1", password=PASSWORD, durable=False) as server:
        assert server.psql("SELECT current_user") == "Zoë Neill-1"
    with pytest.raises(ValueError, match="cannot have quotes"):
        Server(user='a"b', password=PASSWORD)


def test_a_server_that_cannot_start_says_what_its_log_said(ground: Path) -> None:
    server = Server(password=PASSWORD, durable=False, settings={"shared_buffers": "blue"})
    with pytest.raises(StartError, match="invalid value for parameter"):
        server.start()
    assert not [*(ground / "tmp").iterdir()]


def test_the_package_imports_the_standard_library_only() -> None:
    code = "import sys, infra.emulator.postgres; print(*{m.split('.')[0] for m in sys.modules})"
    answer = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        text=True,
    )
    assert set(answer.stdout.split()) <= sys.stdlib_module_names | {"infra", "__main__"}


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 is in use"):
            Server(password=PASSWORD, durable=False, port=port).start()


def test_a_port_that_was_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = begin.free_port()
        ports = iter([taken.getsockname()[1], free])
        monkeypatch.setattr(begin, "free_port", lambda: next(ports))
        with Server(password=PASSWORD, durable=False) as server:
            assert server.port == free
