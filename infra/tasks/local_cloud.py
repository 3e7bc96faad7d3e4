"""The local cloud of this user: found where it runs, started where it doesn't, and stopped.

It is a process of its own that outlives the task which started it. Its state folder says, in
emulator.json, where it listens; what is said there is believed only when it answers.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import monotonic, sleep

from infra.project import environment
from infra.tasks.stopping import uninterrupted

STATE_VARIABLE = "CLOUD_EMULATOR_STATE"
HOST_VARIABLE = "CLOUD_EMULATOR_HOST"
BYTECODE_VARIABLE = "CLOUD_EMULATOR_BYTECODE"
NAME = "cookiecutter-cloudrun emulator"
START_SECONDS = 90
# Revisions have 10 s to end, PostgreSQL has 27.
STOP_SECONDS = 60
GRACE_SECONDS = 5
ANSWER_SECONDS = 10
POLL_SECONDS = 0.05
LOG = "emulator.log"
LOG_LINES = 20
# What an emulator says that finds its folder taken.
IN_USE = "another emulator is using"

# https://cloud.google.com/sdk/docs/properties#setting_properties_using_environment_variables
OVERRIDES = {
    "ARTIFACTREGISTRY": "artifactregistry",
    "CLOUDBUILD": "cloudbuild",
    "CLOUDRESOURCEMANAGER": "cloudresourcemanager",
    "IAM": "iam",
    "IAMCREDENTIALS": "iamcredentials",
    "LOGGING": "logging",
    "SECRETMANAGER": "secretmanager",
    "SERVICEUSAGE": "serviceusage",
    "SQL": "sqladmin",
    "STORAGE": "storage",
}


class LocalCloudError(Exception):
    """The local cloud can't be started or stopped; the text says why and what to do."""


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud that answers."""

    host: str
    pid: int
    state: Path


def state_folder() -> Path:
    """The folder the local cloud keeps its world in: what CLOUD_EMULATOR_STATE says, else one in
    the place of this system for what programs keep."""
    if chosen := os.environ.get(STATE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    return Path(states(), "cookiecutter-cloudrun", "local-cloud")


def states() -> Path:
    """Where programs of this user keep their state."""
    if chosen := os.environ.get("XDG_STATE_HOME"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ".local" / "state"


def find_running(state: Path) -> LocalCloud | None:
    """The local cloud that runs on the state folder; None when none answers."""
    try:
        said = json.loads((state / "emulator.json").read_text("utf-8"))
        host, pid = str(said["host"]), int(said["pid"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    # Its port may be somebody else's by now, be it another local cloud.
    return LocalCloud(host, pid, state) if who_answers(host) == pid else None


def who_answers(host: str) -> int | None:
    """The process of the local cloud that listens there; None for no answer, or a stranger's."""
    try:
        connection = HTTPConnection(host, timeout=ANSWER_SECONDS)
        with closing(connection):
            connection.request("GET", "/")
            body = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    if not isinstance(body, dict) or body.get("name") != NAME:
        return None
    pid: int | None = body.get("pid")
    return pid


def ensure_running(state: Path | None = None) -> str:
    """Returns the host and port of the local cloud, once it answers; starts it if need be.

    Raises LocalCloudError with the end of its log.
    """
    state = state or state_folder()
    found = find_running(state)
    return found.host if found else start(state).host


def start(state: Path, lifeline: int | None = None) -> LocalCloud:
    """Starts a local cloud that outlives this process. One that somebody else starts at the same
    moment is as good. Raises LocalCloudError.

    With a lifeline, the end of a pipe to read from, it ends when nobody has the other end any more.
    """
    try:
        state.mkdir(parents=True, exist_ok=True)
        log = (state / LOG).open("ab")
    except OSError as error:
        raise LocalCloudError(
            f"the local cloud can't use {state}: {error}. {STATE_VARIABLE} names another folder"
        ) from error
    process = None
    try:
        with log, uninterrupted():
            begin = log.tell()
            process = launch(state, log.fileno(), lifeline)
        return wait_until_it_answers(state, process, begin)
    except BaseException:
        if process is not None and process.poll() is None:
            process.terminate()
            with_patience(lambda: process.poll() is not None, STOP_SECONDS)
        raise


def launch(state: Path, log: int, lifeline: int | None) -> subprocess.Popen[bytes]:
    """The process itself, which no terminal's Ctrl-C reaches, and our end by the lifeline alone."""
    command = [sys.executable, "-m", "infra.emulator", "--state", str(state), "--port", "0"]
    if lifeline is not None:
        command.append("--lifeline")
    apart = 0
    if sys.platform == "win32":
        apart = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        command,
        # What the caller has set for its own cloud is not for the local one's services.
        env=environment(**kept_bytecode()),
        cwd=state,
        stdin=subprocess.DEVNULL if lifeline is None else lifeline,
        stdout=log,
        stderr=log,
        start_new_session=os.name == "posix",
        creationflags=apart,
        # Secrets are in what it writes.
        umask=0o077 if os.name == "posix" else -1,
    )


def kept_bytecode() -> dict[str, str]:
    """Names what this user's own local cloud has compiled, where it has: a throwaway one need not
    do it again."""
    mine = state_folder() / "images" / ".bytecode"
    if BYTECODE_VARIABLE in os.environ or not mine.is_dir():
        return {}
    return {BYTECODE_VARIABLE: str(mine)}


def wait_until_it_answers(
    state: Path, process: subprocess.Popen[bytes], log_begin: int
) -> LocalCloud:
    """The local cloud, be it this process or another that was quicker. Raises LocalCloudError."""
    deadline = monotonic() + START_SECONDS
    while monotonic() < deadline:
        if found := find_running(state):
            return found
        if process.poll() is not None and IN_USE not in tail(state / LOG, log_begin):
            # Another one may have held the folder, and be about to answer.
            deadline = min(deadline, monotonic() + GRACE_SECONDS)
        sleep(POLL_SECONDS)
    raise LocalCloudError(
        f"the local cloud did not start. The end of {state / 'emulator.log'}:\n"
        + tail(state / LOG, log_begin)
    )


def stop(state: Path) -> bool:
    """Stops the local cloud and all it runs; its state stays. Returns whether one ran.

    Raises LocalCloudError when it does not end.
    """
    found = find_running(state)
    if found is None:
        return False
    os.kill(found.pid, signal.SIGTERM)
    if not with_patience(lambda: not is_alive(found.pid), STOP_SECONDS):
        raise LocalCloudError(
            f"the local cloud, process {found.pid}, did not end within {STOP_SECONDS} s: "
            f"see {state / 'emulator.log'}"
        )
    return True


def with_patience(done: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition holds within the seconds."""
    deadline = monotonic() + seconds
    while not done():
        if monotonic() > deadline:
            return False
        sleep(POLL_SECONDS)
    return True


def is_alive(pid: int) -> bool:
    """Whether the process is there. One that ended and was ours to bury is not."""
    if sys.platform == "win32":
        listed = subprocess.run(
            ["tasklist", "/NH", "/FI", f"PID eq {pid}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return str(pid) in listed.stdout
    try:
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def tail(log: Path, begin: int) -> str:
    """The last lines of the log after the position."""
    try:
        with log.open("rb") as file:
            file.seek(begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError as error:
        return str(error)
    return "\n".join(lines[-LOG_LINES:]) or "(it is empty)"


def exports(host: str, project: str) -> dict[str, str]:
    """The variables with which an unmodified gcloud, and our own commands, use the local cloud."""
    return {
        HOST_VARIABLE: host,
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "True",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_PROJECT": project,
    } | {
        f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"http://{host}/{prefix}/"
        for name, prefix in OVERRIDES.items()
    }


@contextmanager
def scratch_cloud(state: Path) -> Iterator[LocalCloud]:
    """A local cloud of our own on a new folder; stopped at the end, and its folder removed. It
    does not outlive us: of a process that is killed only the folder stays."""
    ours, others = os.pipe()
    try:
        yield start(state, lifeline=ours)
    finally:
        stop(state)
        os.close(others)
        os.close(ours)
        remove(state)


def remove(state: Path) -> None:
    """Removes a state folder nobody uses, and the databases that are elsewhere for it: root's
    are, where the account PostgreSQL runs as does not get into the folder."""
    for link in state.glob("sql/*/*/data"):
        if link.is_symlink():
            shutil.rmtree(link.resolve().parent, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
