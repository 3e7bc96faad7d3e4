"""The password: asked for everywhere, and kept from logs, argument lists and files."""

import os
import threading
from pathlib import Path

import pytest

from infra.emulator.postgres import QueryError, Server, WrongPasswordError, psql
from tests.emulator.postgres.processes import PASSWORD, is_open, processes_naming


@pytest.mark.parametrize("password", ["", "two\nlines", "nul\0"])
def test_a_password_that_cannot_be_given_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="password"):
        Server(password=password)


@pytest.mark.parametrize(
    "password", ['it\'s "q" \\ $x `y`', "p:@/%40?#&=", "Pässwörd✓𝄞", "  spaced  "]
)
def test_the_password_is_kept_from_logs_and_argument_lists(folder: Path, password: str) -> None:
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.extend(processes_naming(password))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with Server(folder, password=password, durable=False) as server:
            assert server.psql("SELECT 1") == "1"
            log = server.log.read_text()
    finally:
        done.set()
        watcher.join()
    assert not seen
    assert password not in log
    assert not [*folder.glob("**/password")]


def test_the_password_is_asked_for_on_both_ways_in(server: Server) -> None:
    for host in [server.host, *([str(server.socket_directory)] if os.name != "nt" else [])]:
        right = psql.Login(host, server.port, server.user, PASSWORD)
        assert psql.ask(server.binaries, right, "SELECT 1") == "1"
        wrong = psql.Login(host, server.port, server.user, "guess")
        with pytest.raises(QueryError, match="password authentication failed"):
            psql.ask(server.binaries, wrong, "SELECT 1")


def test_a_password_of_another_time_is_named_as_the_trouble(folder: Path) -> None:
    with Server(folder, password=PASSWORD, durable=False) as server:
        port = server.port
    with pytest.raises(WrongPasswordError, match=f"delete {folder}"):
        Server(folder, password="another", port=port).start()
    assert not is_open(port)
    with Server(folder, password=PASSWORD, port=port) as server:
        assert server.psql("SELECT 1") == "1"
