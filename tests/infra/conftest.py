"""An emulator for all tests of a worker, and services to provision on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.ours import Journal, Make, Ours
from tests.infra.services import write
from tests.infra.worlds import hollow_cloud


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator of the control plane alone, on a scratch folder."""
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as emulator:
        yield emulator.host


@pytest.fixture
def journal(host: str) -> Journal:
    """What the emulator is asked from here on."""
    journal = Journal(host)
    journal.clear()
    return journal


@pytest.fixture
def make(host: str, tmp_path: Path) -> Make:
    """Makes a service; all of a test's share a folder."""
    folder = write(tmp_path)
    return lambda project, **fields: Ours.make(host, folder, project, **fields)
