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


def test_it_shows_a_served_request_and_leaves_nothing(tmp_path: Path) -> None:
    with running(DEMO, REPOSITORY, variables(tmp_path)) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    found = re.search(r"GET /items/([0-9a-f-]{36})\n  (\{.*\})", output)
    assert found is not None, output
    assert found[1] in found[2]
    assert len(re.findall(r"\d\.\d s\n", output)) == 7
    swagger = re.search(r"Swagger: http://127\.0\.0\.1:(\d+)/docs", output)
    assert swagger is not None, output
    assert not listens(int(swagger[1]))
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ended_half_way_it_leaves_nothing(tmp_path: Path, name: str) -> None:
    with running(DEMO, REPOSITORY, variables(tmp_path)) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "start PostgreSQL" in line:
                break
        os.killpg(process.pid, signal.Signals[name])
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert leftovers(tmp_path) == []
