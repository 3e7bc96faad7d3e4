"""`invoke demo`: from nothing to a served request, and back to nothing."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.project import find_uv
from tests.end_to_end.processes import listens, running
from tests.template.bakes import REPOSITORY

# Not by `uv run`, which leaves a lock file of its own where temporary files go.
DEMO = [sys.executable, "-m", "invoke", "demo"]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


def variables(scratch: Path) -> dict[str, str]:
    """Ours, with folders for what is temporary and what is kept, in which any leftover is seen."""
    cache = subprocess.check_output([find_uv(), "cache", "dir"], text=True).strip()
    temporary, home = scratch / "temporary", scratch / "home"
    temporary.mkdir()
    home.mkdir()
    return {**os.environ, "TMPDIR": str(temporary), "HOME": str(home), "UV_CACHE_DIR": cache}


def leftovers(scratch: Path) -> list[Path]:
    """What there is in those folders."""
    return [*scratch.glob("*/*")]


def programs_in(scratch: Path) -> list[str]:
    """The programs that run on something in the folder."""
    listed = subprocess.run(
        ["ps", "-axww", "-o", "args="], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if str(scratch) in line]


def test_it_shows_a_served_request_and_leaves_nothing(tmp_path: Path) -> None:
    with running(DEMO, REPOSITORY, variables(tmp_path)) as process:
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    found = re.search(r"GET (http://\S+)/items/([0-9a-f-]{36})\n  (\{.*\})", output)
    assert found is not None, output
    url, item, answer = found.groups()
    assert item in answer
    for command in ("provision", "deploy"):
        assert f"$ invoke {command} --env local" in output
    assert re.search(r"orders-local : ok=\d+ changed=\d+ failed=0", output), output
    assert re.search(r"in all: generate .* s, local cloud .*, deploy .*, requests ", output), output
    # The image's build is a line.
    assert re.search(r"build the image \.+ +[\d.]+ s\n", output), output
    assert f"Swagger: {url}/docs" in output
    assert not listens(int(url.rpartition(":")[2]))
    assert programs_in(tmp_path) == []
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("generate the service", "SIGINT"),
        ("start a local cloud", "SIGTERM"),
        ("Provisioning", "SIGHUP"),
        ("build the image", "SIGINT"),
    ],
)
def test_ended_anywhere_it_leaves_nothing(tmp_path: Path, moment: str, name: str) -> None:
    with running(DEMO, REPOSITORY, variables(tmp_path)) as process:
        # A step's line is printed in two parts: its name is there while it is under way.
        assert process.stdout is not None
        seen = ""
        while moment not in seen:
            character = process.stdout.read(1)
            assert character, seen
            seen += character
        os.killpg(process.pid, signal.Signals[name])
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert programs_in(tmp_path) == []
    assert leftovers(tmp_path) == []
