"""What commands ask for at a terminal, and what they do without one."""

import sys
from pathlib import Path

import pytest

from infra.cloud import Cloud
from infra.environment import load
from tests.end_to_end.small import Small
from tests.end_to_end.terminal import CTRL_C, CTRL_D, Terminal

SECRET = "payment-key"
MORE = f"database:\n  deletion_protection: false\nsecrets:\n  PAYMENT__KEY: {SECRET}\n"
VALUE = "pa55-wörd-of-nobody"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")


@pytest.fixture(scope="module")
def service(host: str, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A service that is provisioned."""
    made = Small.make(tmp_path_factory.mktemp("service"), host, "asking-project", MORE)
    made.passes("provision")
    return made


def at_terminal(service: Small, *words: str) -> Terminal:
    """A command at a terminal."""
    return Terminal(service.command(*words), service.folder, service.variables)


def value_of(service: Small, name: str, version: str) -> str:
    """What a version of a secret holds."""
    cloud = Cloud(load(service.folder, "stg"), service.host)
    full = f"{cloud.names.secret(name)}/versions/{version}"
    payload: bytes = cloud.secrets.access_secret_version(name=full).payload.data
    return payload.decode()


def version_in(printed: str) -> str:
    """The version that `invoke secret set` says it made."""
    return printed.partition(f"{SECRET}: version ")[2].partition(".")[0]


def test_a_typed_value_is_not_shown(service: Small) -> None:
    with at_terminal(service, "secret", "set", "PAYMENT__KEY") as terminal:
        terminal.wait_for(f"Value of {SECRET}: ")
        terminal.type(f"{VALUE}\n")
        status, seen = terminal.end()
    assert status == 0, seen
    assert VALUE not in seen
    assert value_of(service, SECRET, version_in(seen)) == VALUE


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (f"{VALUE}\n", VALUE),
        (VALUE, VALUE),
        (f"{VALUE}\r\n", VALUE),
        (f"{VALUE}\r", f"{VALUE}\r"),
        ("two\nlines\n\n", "two\nlines\n"),
        (" spaces \n", " spaces "),
    ],
)
def test_a_piped_value_loses_one_newline_and_nothing_else(
    service: Small, given: str, kept: str
) -> None:
    printed = service.passes("secret", "set", SECRET, given=given.encode())
    assert kept.strip() not in printed
    assert value_of(service, SECRET, version_in(printed)) == kept


def test_not_even_debugging_shows_a_value(service: Small) -> None:
    printed = service.passes("--debug", "secret", "set", SECRET, given=VALUE.encode())
    assert "invoke." in printed
    assert VALUE not in printed


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"", "the value of payment-key is empty: type it, or give it on standard input"),
        (b"\n", "the value of payment-key is empty: type it, or give it on standard input"),
        (b"\xff", "the value of payment-key is not UTF-8 text"),
        (b"x" * 65537, "the value of payment-key is longer than the 65536 bytes Google takes"),
    ],
)
def test_what_is_no_value_is_not_set(service: Small, given: bytes, said: str) -> None:
    service.writes()
    done = service.run("secret", "set", SECRET, given=given)
    assert (done.returncode, done.stdout) == (2, f"error: {said}\n")
    assert service.writes() == []


@pytest.mark.parametrize(
    ("keys", "status", "said"),
    [
        ("\n", 2, f"error: the value of {SECRET} is empty: type it, or give it"),
        (CTRL_D, 2, f"error: the value of {SECRET} is empty: type it, or give it"),
        (CTRL_C, 130, "interrupted"),
    ],
)
def test_a_prompt_can_be_left(service: Small, keys: str, status: int, said: str) -> None:
    service.writes()
    with at_terminal(service, "secret", "set", SECRET) as terminal:
        terminal.wait_for(f"Value of {SECRET}: ")
        terminal.type(keys)
        ended, seen = terminal.end()
    assert ended == status, seen
    assert said in seen
    assert "Traceback" not in seen
    assert service.writes() == []


@pytest.mark.parametrize(
    ("keys", "status", "said"),
    [
        ("order\n", 2, "error: nothing was deleted: that is not orders"),
        ("y\n", 2, "error: nothing was deleted: that is not orders"),
        (CTRL_D, 2, "error: nothing was deleted: that is not orders"),
        (CTRL_C, 130, "interrupted"),
    ],
)
def test_without_the_name_nothing_is_deleted(
    service: Small, keys: str, status: int, said: str
) -> None:
    service.writes()
    with at_terminal(service, "destroy") as terminal:
        terminal.wait_for("Type the service's name to go on:")
        terminal.type(keys)
        ended, seen = terminal.end()
    assert ended == status, seen
    assert said in seen
    assert "Traceback" not in seen
    assert service.writes() == []


def test_without_a_terminal_yes_has_to_be_said(service: Small) -> None:
    service.writes()
    done = service.run("destroy", given=b"orders\n")
    assert done.returncode == 2, done.stdout
    assert "nothing was deleted: there is no terminal to ask at; say --yes" in done.stdout
    assert service.writes() == []


def test_with_the_name_everything_is_deleted(host: str, tmp_path: Path) -> None:
    service = Small.make(tmp_path, host, "asked-and-gone", MORE)
    service.passes("provision")
    with at_terminal(service, "destroy") as terminal:
        terminal.wait_for("Type the service's name to go on:")
        terminal.type("orders\n")
        status, seen = terminal.end()
    assert status == 0, seen
    assert "failed=0" in seen
    left = service.passes("status")
    assert left.count("not there yet") == 3, left
