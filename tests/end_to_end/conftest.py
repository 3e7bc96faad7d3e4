"""Local clouds: one for each test, or one that the tests of a module share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.tasks.local_cloud import scratch_cloud
from tests.end_to_end.clouds import LocalCloud, local_cloud_in


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A local cloud that no other test uses; it starts when it is needed."""
    with local_cloud_in(tmp_path / "cloud") as here:
        yield here


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a local cloud answers that the tests of a module share."""
    with scratch_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running.host
