"""The service as a process: it serves, it stops, it says what is wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from src.dependencies.config import Settings
from tests.processes import PATIENCE_SECONDS, SERVER, running


def test_it_serves_and_stops(
    settings: Settings, tmp_path: Path, unused_tcp_port: int
) -> None:
    port = str(unused_tcp_port)
    with running({"PORT": port}, tmp_path) as service:
        assert service.url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{service.url}/health").status_code == 200
        assert "Finished server process" in service.stop()


def test_it_runs_without_a_database_or_a_migration(
    tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    environment = {
        "PORT": str(unused_tcp_port_factory()),
        "DATABASE__HOST": "127.0.0.1",
        "DATABASE__PORT": str(unused_tcp_port_factory()),
    }
    with running(environment, tmp_path) as service:
        assert httpx.get(f"{service.url}/live").status_code == 200
        assert httpx.get(f"{service.url}/health").status_code == 503


def test_a_wrong_setting_is_said_in_a_line(tmp_path: Path) -> None:
    result = subprocess.run(
        SERVER,
        cwd=tmp_path,
        env=os.environ | {"ENVIRONMENT": "moon"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("config: environment = 'moon' in the environment")


def test_nothing_is_imported_that_is_not_needed(tmp_path: Path) -> None:
    code = """
import sys, src.models
print("src.main" in sys.modules)
from src import app
unneeded = ("google.", "jwt", "cryptography", "starlette.middleware.cors")
print([name for name in sys.modules if name.startswith(unneeded)])
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "False\n[]\n"


def test_several_workers_serve_and_stop(
    settings: Settings, tmp_path: Path
) -> None:
    with running({"SERVER__WORKERS": "2"}, tmp_path) as service:
        while "".join(service.log).count("startup complete") < 2:
            assert service.process.poll() is None, service.log
            with suppress(httpx.ConnectError):  # nobody listens yet
                httpx.get(f"{service.url}/live", timeout=PATIENCE_SECONDS)
        assert httpx.get(f"{service.url}/health").status_code == 200
        log = service.stop(0)
    assert log.count("Finished server process") == 2
    assert "Pool" not in log
