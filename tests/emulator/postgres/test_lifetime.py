"""No server outlives its parent, whatever happens to the parent or to the watchdog."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.emulator.postgres import Server, watchdog
from tests.emulator.postgres.machine import only_posix, only_proc
from tests.emulator.postgres.processes import (
    CHILD,
    PASSWORD,
    REPOSITORY,
    child,
    eventually,
    is_open,
    kill,
    pid_of,
    watchdog_of,
)

pytestmark = only_posix


def test_a_killed_parent_takes_a_temporary_server_with_it() -> None:
    with child() as (process, server):
        pid = pid_of(server["data"])
        process.kill()
        eventually(lambda: not watchdog.alive(pid))
        eventually(lambda: not Path(server["data"]).parent.exists())
        eventually(lambda: not Path(server["sockets"]).exists())


def test_a_killed_parent_leaves_the_data_of_a_folder(folder: Path) -> None:
    with child(folder=str(folder)) as (process, server):
        pid = pid_of(server["data"])
        process.kill()
        eventually(lambda: not watchdog.alive(pid))
    with Server(folder, password=PASSWORD) as again:
        assert "shut down at" in again.log.read_text()


def test_a_killed_parent_can_be_followed_at_once(folder: Path) -> None:
    with child(folder=str(folder)) as (process, first):
        process.kill()
        with Server(folder, password=PASSWORD) as second:
            second.create_database("after")
            assert second.psql("SELECT current_database()", "after") == "after"
        assert not is_open(first["port"])


@only_proc
def test_a_parent_killed_while_another_holds_its_pipe_is_noticed() -> None:
    with child() as (process, server):
        pid = pid_of(server["data"])
        # A copy of the pipe's end, as a forked worker of the parent has it.
        held = [
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            for path in Path(f"/proc/{watchdog_of(pid)}/fd").glob("0")
        ]
        process.kill()
        eventually(lambda: not watchdog.alive(pid))
        for descriptor in held:
            os.close(descriptor)


def test_a_parent_killed_during_initdb_leaves_nothing(ground: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps({"password": PASSWORD})],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
    )
    eventually(lambda: bool([*(ground / "tmp").glob("*/making-*/data/PG_VERSION")]))
    process.kill()
    process.communicate()
    eventually(lambda: not [*(ground / "tmp").iterdir()])


def test_a_parent_gets_a_ctrl_c_and_the_server_does_not() -> None:
    with child() as (process, server):
        assert process.stdout is not None
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "alive after Ctrl-C\n"
        assert pid_of(server["data"])


def test_a_parent_stops_a_server_whose_watchdog_was_killed(folder: Path) -> None:
    with Server(folder, password=PASSWORD, durable=False) as server:
        pid = pid_of(server.data)
        kill(watchdog_of(pid))
    assert not watchdog.alive(pid)


def test_a_server_that_does_not_react_is_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "STOPPING", (("INT", 0.2), ("QUIT", 0.2), ("KILL", 10.0)))
    with Server(folder, password=PASSWORD, durable=False) as server:
        pid = pid_of(server.data)
        os.kill(pid, signal.SIGSTOP)
        watchdog.stop(server.data, "")
        eventually(lambda: not watchdog.alive(pid))
