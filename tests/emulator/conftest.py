"""One emulator for all tests of a worker, and a project of its own for each test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.tasks.local_cloud import remove
from tests.emulator.emulators import Emulator
from tests.emulator.ground import Ground


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A running emulator that the tests share."""
    emulator = Emulator(tmp_path_factory.mktemp("emulator") / "state").start()
    yield emulator
    emulator.stop()
    remove(emulator.folder)


@pytest.fixture
def bare_project() -> str:
    """A project that nothing has been done in."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def project(emulator: Emulator, bare_project: str) -> str:
    """A project with every API enabled."""
    emulator.enable_all(bare_project)
    return bare_project


@pytest.fixture
def own_emulator(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator that one test may stop, kill and start as it likes; it is not started yet."""
    emulator = Emulator(tmp_path / "state")
    yield emulator
    if emulator.process is not None and emulator.process.poll() is None:
        emulator.kill()
    remove(emulator.folder)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Ground]:
    """A runtime of a test's own."""
    ground = Ground(tmp_path)
    yield ground
    ground.stop()
