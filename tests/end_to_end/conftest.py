"""A local cloud for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.clouds import LocalCloud, local_cloud_in


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A local cloud that no other test uses."""
    with local_cloud_in(tmp_path / "cloud") as here:
        yield here
