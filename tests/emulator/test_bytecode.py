"""Compiled Python from one image to the next: only for the very same file."""

import os
from pathlib import Path

import pytest

from infra.emulator.runtime import bytecode

MODULE = "package/module.py"
COMPILED = "package/__pycache__/module.cpython-313.pyc"


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A module as the installer's cache has it."""
    path = tmp_path / "cached.py"
    path.write_text("VALUE = 1\n")
    return path


def installed(environment: Path, module: Path) -> Path:
    """Links the module into a virtual environment. Returns where its packages are."""
    packages = environment / "lib/python3.13/site-packages"
    (packages / "package").mkdir(parents=True)
    os.link(module, packages / MODULE)
    return packages


def test_the_same_file_is_not_compiled_again(tmp_path: Path, cached: Path) -> None:
    first, second = (installed(tmp_path / name, cached) for name in ("first", "second"))
    compiled = first / COMPILED
    compiled.parent.mkdir()
    compiled.write_bytes(b"compiled")
    bytecode.keep(tmp_path / "first", tmp_path / "kept")
    bytecode.restore(tmp_path / "second", tmp_path / "kept")
    assert (second / COMPILED).samefile(compiled)


def test_another_file_of_the_same_name_is(tmp_path: Path, cached: Path) -> None:
    first = installed(tmp_path / "first", cached)
    (first / COMPILED).parent.mkdir()
    (first / COMPILED).write_bytes(b"compiled")
    bytecode.keep(tmp_path / "first", tmp_path / "kept")
    newer = tmp_path / "newer.py"
    newer.write_text("VALUE = 1\n")
    second = installed(tmp_path / "second", newer)
    bytecode.restore(tmp_path / "second", tmp_path / "kept")
    assert not (second / COMPILED).exists()
    # The newest is what is kept.
    (second / COMPILED).parent.mkdir()
    (second / COMPILED).write_bytes(b"compiled anew")
    bytecode.keep(tmp_path / "second", tmp_path / "kept")
    assert (tmp_path / "kept" / COMPILED).read_bytes() == b"compiled anew"
