"""Fixtures for generated services, and the options of the property test."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace

import cookiecutter.hooks  # type: ignore[import-untyped]
import pytest
from pytest_cookies.plugin import Cookies  # type: ignore[import-untyped]

from tests.infra.seeds import (  # noqa: F401
    pytest_addoption,
    pytest_sessionfinish,
    pytest_terminal_summary,
)
from tests.template.bakes import Baked, bake

type Bake = Callable[..., Baked]


@pytest.fixture(scope="session", autouse=True)
def no_hook_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """cookiecutter leaves the hooks that it renders where temporary files go; here that is ours."""
    folder = tmp_path_factory.mktemp("hooks")
    with pytest.MonkeyPatch.context() as patch:
        make = partial(tempfile.NamedTemporaryFile, dir=folder)
        patch.setattr(cookiecutter.hooks, "tempfile", SimpleNamespace(NamedTemporaryFile=make))
        yield


@pytest.fixture(scope="session")
def baked(cookies_session: Cookies, tmp_path_factory: pytest.TempPathFactory) -> Bake:
    """Generates a service with the answers given, once for the same answers."""
    shared = tmp_path_factory.mktemp("shared")
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
