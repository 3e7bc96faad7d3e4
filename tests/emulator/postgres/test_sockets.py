"""The Unix sockets: where they are, how long their paths may be, and when they go."""

import tempfile
from pathlib import Path

import pytest

from infra.emulator.postgres import Server, psql
from tests.emulator.postgres.machine import only_posix, only_root
from tests.emulator.postgres.processes import PASSWORD

pytestmark = only_posix


def test_sockets_need_no_port(ground: Path, folder: Path) -> None:
    directory = ground / "cloudsql" / "project:region:name"
    for _ in range(2):
        with Server(folder, password=PASSWORD, durable=False, socket_directory=directory) as server:
            assert server.socket_directory == directory
            login = psql.Login(str(directory), 5432, server.user, PASSWORD)
            assert psql.ask(server.binaries, login, "SHOW port") == str(server.port)
        assert not [*directory.iterdir()]


def test_sockets_are_in_a_short_folder_by_default(
    ground: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ground / "tmp" / ("x" * 60)
    long.mkdir()
    long.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with Server(password=PASSWORD, durable=False) as server:
        assert server.socket_directory is not None
        assert len(str(server.socket_directory)) < 85
        assert server.data.is_relative_to(long)


def test_sockets_in_too_long_a_folder_are_refused(ground: Path) -> None:
    with pytest.raises(ValueError, match="too long"):
        Server(password=PASSWORD, socket_directory=ground / ("x" * 100))


@only_root
def test_sockets_work_in_a_folder_closed_to_others(ground: Path) -> None:
    closed = ground / "closed"
    closed.mkdir(0o700)
    with Server(password=PASSWORD, durable=False, socket_directory=closed / "s") as server:
        for port in (5432, server.port):
            login = psql.Login(str(closed / "s"), port, server.user, PASSWORD)
            assert psql.ask(server.binaries, login, "SELECT 1") == "1"
    assert not [*(closed / "s").iterdir()]
