"""The check of what a run of the tests leaves, on runs that leave something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.template.bakes import REPOSITORY

CONFTEST = "from tests.leftovers import pytest_configure, pytest_sessionfinish\n"

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")


def run(folder: Path, test: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A run of a test, whose temporary files go into the folder."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(f"def test_it():\n    {test}\n")
    temporary = folder / "temporary"
    temporary.mkdir()
    own = {"TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)}
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take longer to load than the test to run
    left = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"],
        cwd=folder,
        env={**left, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert [path.name.partition("-of-")[0] for path in temporary.iterdir()] in ([], ["pytest"])
    return done


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n2")])
@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("__import__('tempfile').mkdtemp(prefix='forgotten-')", "the file or folder forgotten-"),
        ("__import__('subprocess').Popen(['sleep', '600'])", ": sleep 600"),
    ],
)
def test_what_is_left_fails_the_run_and_is_removed(
    tmp_path: Path, test: str, said: str, options: tuple[str, ...]
) -> None:
    done = run(tmp_path, test, *options)
    assert done.returncode == 1
    assert "The tests have left:" in done.stderr
    assert said in done.stderr


def test_a_run_that_leaves_nothing_passes(tmp_path: Path) -> None:
    done = run(tmp_path, "__import__('tempfile').TemporaryDirectory().cleanup()")
    assert (done.returncode, done.stderr) == (0, "")
