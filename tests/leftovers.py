"""A run of the tests has a folder for temporary files of its own, and fails when anything stays.

What stays is a file or folder in it, or a process that was started during the run. The hooks of
pytest that are here work from tests/conftest.py, and in the run's first process alone.
"""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

PREFIX = "cloudrun-tests-"
PATIENCE = 5.0
BYTECODE = "bytecode"
# uv's locks, what the tests of services keep of their last runs, and PostgreSQL's programs, copied
# to where its account can run them.
MEANT_TO_STAY = re.compile(
    r"uv-[0-9a-f]+\.lock|pytest-of-\w+|cookiecutter-cloudrun-\d+(/programs-[0-9a-f]+)?"
    rf"|{BYTECODE}"
)
FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the folder. Everybody may enter it, for PostgreSQL does not run as root."""
    if hasattr(config, "workerinput"):
        return
    # What pytest keeps of the last runs stays where it always is.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o755)
    os.environ["TMPDIR"] = str(folder)
    # Every cloud of the tests would compile all that its first service installs.
    os.environ["CLOUD_EMULATOR_BYTECODE"] = str(folder / BYTECODE)
    tempfile.tempdir = None
    config.stash[FOLDER] = folder


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fails a run that has left something, and removes it."""
    yield
    folder = session.config.stash.get(FOLDER, None)
    if folder is None:
        return
    running = lasting_processes(folder)
    left = [f"the process {pid}: {command}" for pid, command in running.items()]
    left += [f"the file or folder {path}" for path in lasting_files(folder)]
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
    if left:
        print("\nThe tests have left:", *left, sep="\n  ", file=sys.stderr)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


def lasting_files(folder: Path) -> list[str]:
    """What is in the folder, by its path in it, but for what is meant to stay."""
    found = [*folder.iterdir(), *folder.glob("cookiecutter-cloudrun-*/*")]
    paths = [path.relative_to(folder).as_posix() for path in found]
    return sorted(path for path in paths if not MEANT_TO_STAY.fullmatch(path))


def lasting_processes(folder: Path) -> dict[int, str]:
    """The processes of the run that are still there after a while, each with its command."""
    deadline = monotonic() + PATIENCE
    while (found := dict(processes(folder))) and monotonic() < deadline:
        sleep(0.1)
    return found


def processes(folder: Path) -> Iterator[tuple[int, str]]:
    """Those that have the run's folder in their variables or their command; Linux alone tells."""
    needle = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            variables = (entry / "environ").read_bytes()
        except OSError:
            continue
        if int(entry.name) != os.getpid() and needle in command + variables:
            yield int(entry.name), command.replace(b"\0", b" ").decode("utf-8", "replace").strip()
