"""The folders of the generated services that most tests of delivery files read."""

from pathlib import Path

import pytest

from tests.conftest import Bake
from tests.template.delivery import REPOSITORY_NAME


@pytest.fixture
def folder(baked: Bake) -> Path:
    """A service whose repository is known; a test must leave it as it was."""
    return baked(repository=REPOSITORY_NAME).folder


@pytest.fixture
def folder_without_repository(baked: Bake) -> Path:
    """A service that has none yet; a test must leave it as it was."""
    return baked().folder
