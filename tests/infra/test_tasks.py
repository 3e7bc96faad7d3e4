"""The tasks: quick to list, and what they say when they can't begin."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

LISTING = """
import sys
from infra.tasks import namespace
google = sorted(name for name in sys.modules if name.split(".")[0] in {"google", "grpc"})
raise SystemExit(f"imported: {google[:5]}" if google else 0)
"""
TASKS = "from infra.tasks import namespace as namespace\n"
BROKEN_TASKS = """
from invoke.tasks import task
from infra.tasks import namespace
from infra.tasks.options import friendly

@task
@friendly
def broken(context):
    return {}["no such key"]

@task
@friendly
def unreadable(context):
    return open("/no/such/file").read()

namespace.add_task(broken)
namespace.add_task(unreadable)
"""
STG = "project: acme-stg\nregion: europe-west1\nservice:\n  name: orders\n"
FREE_OF_CREDENTIALS = {
    "NO_GCE_CHECK": "true",
    "GOOGLE_APPLICATION_CREDENTIALS": "",
    "CLOUD_EMULATOR_HOST": "",
}
COMMANDS = ["provision", "destroy", "status", "render", "secret list"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service with one environment."""
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "stg.yaml").write_text(STG)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "tasks.py").write_text(TASKS)
    return tmp_path


def invoke(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the folder, with a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=folder,
        env={**os.environ, "HOME": str(folder), "APPDATA": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_listing_imports_nothing_of_googles() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_environment_is_usage(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "prod")
    assert done.returncode == 2
    assert "there is no environment 'prod'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_no_credentials_says_how_to_log_in(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "stg", **FREE_OF_CREDENTIALS)
    assert done.returncode == 2
    assert "gcloud auth application-default login" in done.stderr


@pytest.fixture
def refusing() -> Iterator[str]:
    """A server that gives nobody a token."""

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(400)
            self.end_headers()
            self.wfile.write(b'{"error": "invalid_grant", "error_description": "Invalid JWT"}')

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/token"
    server.shutdown()
    thread.join()
    server.server_close()


def key_file(folder: Path, token_uri: str) -> Path:
    """A service account's key that nobody knows."""
    private = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    key = {
        "type": "service_account",
        "client_email": "gone@acme-stg.iam.gserviceaccount.com",
        "private_key": private.decode(),
        "token_uri": token_uri,
    }
    file = folder / "key.json"
    file.write_text(json.dumps(key))
    return file


def test_credentials_that_are_no_longer_good_say_so_once(folder: Path, refusing: str) -> None:
    key = str(key_file(folder, refusing))
    variables = {**FREE_OF_CREDENTIALS, "GOOGLE_APPLICATION_CREDENTIALS": key}
    done = invoke(folder, "provision", "--env", "stg", **variables)
    assert done.returncode == 2
    assert done.stderr == (
        "error: Google does not take the credentials: invalid_grant: Invalid JWT\n"
        "Log in again:\n    gcloud auth application-default login\n"
    )
    assert not done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_an_emulator_that_does_not_answer_is_named(folder: Path, command: str) -> None:
    done = invoke(folder, *command.split(), "--env", "stg", CLOUD_EMULATOR_HOST="127.0.0.1:1")
    assert done.returncode == 2
    assert "no emulator answers at 127.0.0.1:1" in done.stderr


def test_a_wrong_file_creates_nothing(folder: Path) -> None:
    (folder / "environments" / "stg.yaml").write_text(STG + "  max_instances: 0\n")
    done = invoke(folder, "provision", "--env", "stg")
    assert done.returncode == 2
    assert "environments/stg.yaml:5: service.max_instances: must be at least 1" in done.stderr
    assert not done.stdout


def test_a_traceback_is_for_those_who_ask(folder: Path) -> None:
    plain = invoke(folder, "status", "--env", "prod")
    assert "Traceback" not in plain.stderr
    for words, variables in (
        (("--debug", "status"), {}),
        (("status", "--debug"), {}),
        (("status",), {"INVOKE_DEBUG": "1"}),
    ):
        done = invoke(folder, *words, "--env", "prod", **variables)
        assert done.returncode == plain.returncode == 2
        assert "Traceback (most recent call last)" in done.stderr
        assert "EnvironmentFileError" in done.stderr
        assert done.stderr.endswith(plain.stderr)


def test_a_bug_is_one_line_that_says_how_to_report_it(folder: Path) -> None:
    (folder / "tasks.py").write_text(BROKEN_TASKS)
    done = invoke(folder, "broken")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: this is a bug of cookiecutter-cloudrun: KeyError: 'no such key' (tasks.py:9). "
        "Please report it, with what this prints: invoke --debug broken"
    ]
    debugged = invoke(folder, "--debug", "broken")
    assert debugged.returncode == 1
    assert "Traceback (most recent call last)" in debugged.stderr
    assert debugged.stderr.endswith(done.stderr)


def test_what_the_machine_refuses_is_no_bug(folder: Path) -> None:
    (folder / "tasks.py").write_text(BROKEN_TASKS)
    done = invoke(folder, "unreadable")
    assert done.returncode == 1
    assert done.stderr == (
        "error: [Errno 2] No such file or directory: '/no/such/file'. "
        "To see where it happened: invoke --debug unreadable\n"
    )
