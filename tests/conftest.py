"""Fixtures for generated services; the seeded tests' options; no run leaves anything behind."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_cookies.plugin import Cookies  # type: ignore[import-untyped]

from tests.infra import seeds
from tests.infra.scaffold import ten
from tests.leftovers import pytest_configure, pytest_sessionfinish
from tests.order import pytest_collection_modifyitems
from tests.service import rounds
from tests.template.bakes import Baked, bake

__all__ = [
    "Bake",
    "baked",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_sessionfinish",
    "pytest_xdist_auto_num_workers",
    "service",
    "shared",
]

# A shell that runs the tests in the background has them, and all that they start, ignore Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The tests start many processes: each would compile all its modules, and leave nothing to the next.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """The options of the tests that can do more than there is time for each time."""
    seeds.pytest_addoption(parser, pluginmanager)
    rounds.pytest_addoption(parser, pluginmanager)
    ten.pytest_addoption(parser)


def pytest_xdist_auto_num_workers() -> int:
    """One worker more than there are processors: many tests wait, for a build or a canary."""
    return (os.process_cpu_count() or 1) + 1


type Bake = Callable[..., Baked]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What generated services of a worker share: virtual environments, a type checker's cache."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="session")
def baked(cookies_session: Cookies, shared: Path) -> Bake:
    """Generates a service with the answers given, once for the same answers."""
    done: dict[frozenset[tuple[str, str]], Baked] = {}

    def once(**answers: str) -> Baked:
        key = frozenset(answers.items())
        if key not in done:
            done[key] = bake(cookies_session, shared, **answers)
        return done[key]

    return once


@pytest.fixture
def service(baked: Bake) -> Baked:
    """The service that all defaults give; a test must leave it as it was."""
    return baked()
