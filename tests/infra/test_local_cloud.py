"""The local cloud of a user: started once, found again, stopped, and never believed blindly."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from infra.tasks import local_cloud
from tests.template.bakes import REPOSITORY


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder whose cloud, if one was started, is stopped."""
    folder = tmp_path / "state"
    yield folder
    local_cloud.stop(folder)


def invoke(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the repository on the state folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLOUD")}
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=REPOSITORY,
        env={**clean, local_cloud.STATE_VARIABLE: str(state)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_outlives_the_command_that_started_it_and_is_found_again(state: Path) -> None:
    started = invoke(state, "emulator.start")
    assert started.returncode == 0, started.stderr
    found = local_cloud.find_running(state)
    assert found is not None
    assert f"http://{found.host}, process {found.pid}" in started.stdout
    again = invoke(state, "emulator.start")
    assert f"process {found.pid}" in again.stdout
    assert local_cloud.ensure_running(state) == found.host
    assert found.host in invoke(state, "emulator.status").stdout
    assert (state / "world.sqlite").stat().st_mode & 0o077 == 0
    stopped = invoke(state, "emulator.stop")
    assert "is stopped" in stopped.stdout
    assert local_cloud.find_running(state) is None
    assert not local_cloud.is_alive(found.pid)
    nothing = invoke(state, "emulator.stop")
    assert (nothing.returncode, nothing.stdout) == (0, f"No local cloud runs on {state}\n")
    assert invoke(state, "emulator.status").stdout == nothing.stdout


def test_the_exports_can_be_evaluated_and_lead_there(state: Path) -> None:
    printed = invoke(state, "emulator.env", "--project", "it's mine")
    assert printed.returncode == 0, printed.stderr
    host = local_cloud.ensure_running(state)
    script = f'{printed.stdout}\nprintf "%s\\n" "$CLOUDSDK_CORE_PROJECT" "$CLOUD_EMULATOR_HOST" '
    script += '"$CLOUDSDK_API_ENDPOINT_OVERRIDES_SQL"'
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == ["it's mine", host, f"http://{host}/sqladmin/"]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "{}",
        '{"host": "127.0.0.1:1", "pid": 1}',
        '{"host": "127.0.0.1:nowhere", "pid": 1}',
        '{"host": "127.0.0.1:1", "pid": "many"}',
    ],
)
def test_what_a_dead_one_left_is_not_believed(state: Path, said: str) -> None:
    state.mkdir()
    (state / "emulator.json").write_text(said)
    assert local_cloud.find_running(state) is None
    assert local_cloud.stop(state) is False


def test_one_starts_where_a_dead_one_left_its_traces(state: Path) -> None:
    state.mkdir()
    (state / "emulator.json").write_text('{"host": "127.0.0.1:1", "pid": 1}')
    assert local_cloud.start(state) == local_cloud.find_running(state)


def test_a_stranger_on_the_port_is_not_taken_for_it(state: Path) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"name": "somebody"}')

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Stranger)
    Thread(target=server.serve_forever, daemon=True).start()
    state.mkdir()
    said = {"host": f"127.0.0.1:{server.server_port}", "pid": os.getpid()}
    (state / "emulator.json").write_text(json.dumps(said))
    assert local_cloud.find_running(state) is None
    assert local_cloud.stop(state) is False
    server.shutdown()


def test_two_that_start_it_at_once_get_the_same(state: Path) -> None:
    found: list[str] = []
    threads = [
        Thread(target=lambda: found.append(local_cloud.ensure_running(state))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert len(set(found)) == 1


def test_an_interrupt_while_it_is_started_leaves_no_process(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        """A process whose start is interrupted before its starter knows of it."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        local_cloud.start(state)
    assert len(begun) == 1
    assert not local_cloud.is_alive(begun[0])


def test_one_that_can_not_start_says_why(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    done = invoke(blocked, "emulator.start")
    assert done.returncode == 1
    assert f"error: the local cloud can't use {blocked}" in done.stderr
    assert "CLOUD_EMULATOR_STATE names another folder" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.local/state/cookiecutter-cloudrun/local-cloud"),
        ("linux", {"XDG_STATE_HOME": "xdg"}, "xdg/cookiecutter-cloudrun/local-cloud"),
        ("darwin", {}, "home/Library/Application Support/cookiecutter-cloudrun/local-cloud"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/cookiecutter-cloudrun/local-cloud"),
        ("linux", {"XDG_STATE_HOME": "xdg", "CLOUD_EMULATOR_STATE": "mine"}, "mine"),
    ],
)
def test_its_folder_is_where_this_system_keeps_such_things(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    platform: str,
    variables: dict[str, str],
    folder: str,
) -> None:
    for name in ("XDG_STATE_HOME", "CLOUD_EMULATOR_STATE", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", platform)
    assert local_cloud.state_folder() == tmp_path / folder


def test_a_throwaway_cloud_uses_what_the_user_s_own_has_compiled(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(local_cloud.BYTECODE_VARIABLE)
    monkeypatch.setenv(local_cloud.STATE_VARIABLE, str(state))
    assert local_cloud.kept_bytecode() == {}
    own = state / "images/.bytecode"
    own.mkdir(parents=True)
    assert local_cloud.kept_bytecode() == {local_cloud.BYTECODE_VARIABLE: str(own)}
    monkeypatch.setenv(local_cloud.BYTECODE_VARIABLE, "elsewhere")
    assert local_cloud.kept_bytecode() == {}
