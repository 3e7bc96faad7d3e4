"""`invoke rehearse` as a person and a CI run it, and that nothing of it stays."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.project import find_uv
from tests.conftest import Bake
from tests.end_to_end.processes import interrupt, running, variables_of_a_person
from tests.end_to_end.rehearsals import commit, edit
from tests.template.bakes import REPOSITORY, Baked

REHEARSE = [sys.executable, "-m", "invoke", "rehearse", "--env", "prd"]
ADDS = '''"""add a price"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """To this revision."""
    op.add_column("items", sa.Column("price", sa.Integer(), nullable=True))


def downgrade() -> None:
    """Back to the one before."""
    op.drop_column("items", "price")
'''
DESCRIPTION = "    description: Text | None = Field(default=None, max_length=1000)\n"
PRICE = "    price: int | None = Field(default=None, ge=0)\n"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


class Scratch:
    """Folders for what is temporary and what is kept, in which any leftover is seen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.temporary, self.home = folder / "temporary", folder / "home"
        self.temporary.mkdir()
        self.home.mkdir()

    @property
    def variables(self) -> dict[str, str]:
        """A person's, without an account of Google's."""
        cache = subprocess.check_output([find_uv(), "cache", "dir"], text=True).strip()
        places = {"TMPDIR": str(self.temporary), "HOME": str(self.home), "UV_CACHE_DIR": cache}
        return variables_of_a_person() | places

    def leftovers(self) -> list[Path]:
        """What there is in the folders."""
        return [*self.folder.glob("*/*")]

    def programs(self) -> list[str]:
        """The programs that run on something there."""
        listed = subprocess.run(
            ["ps", "-axww", "-o", "args="], capture_output=True, text=True, check=True
        )
        return [line for line in listed.stdout.splitlines() if str(self.temporary) in line]


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def command(service: Baked, *words: str) -> list[str]:
    """A command line, run from the template for the service."""
    return [*REHEARSE, "--service", str(service.folder), *words]


@pytest.mark.long
def test_a_release_that_would_work_is_said_to_and_nothing_is_left(
    baked: Bake, scratch: Scratch
) -> None:
    service = baked(service="rehearse-well")
    git = ["git", "-C", str(service.folder)]
    base = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True)
    subprocess.run([*git, "checkout", "-qb", "price"], check=True)
    edit(service.folder, {"src/models/item_model.py": (DESCRIPTION, DESCRIPTION + PRICE)})
    (service.folder / "db/versions/29990101_0003_add_a_price.py").write_text(ADDS)
    commit(service.folder, "Add a price")
    done = subprocess.run(
        command(service, "--json"),
        cwd=REPOSITORY,
        env=scratch.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"over {base[:12]}, where this branch left main" in done.stderr
    report = json.loads(done.stdout)
    assert report["works"] is True
    assert report["findings"] == []
    requests = report["requests"]
    assert requests["sent"] >= 1000
    assert (requests["lost"], requests["failed"]) == (0, 0)
    migration = report["migration"]
    assert (migration["before"], migration["after"]) == ("0002", "0003")
    assert migration["rewritten"] == []
    first, *steps = [list(step["split"].values()) for step in report["traffic"]]
    assert first == [100]
    assert [sorted(step) for step in steps] == [[10, 90], [50, 50], [100]]
    assert "GET /items/*: " in done.stderr
    assert "It would work." in done.stderr
    assert scratch.programs() == []
    assert scratch.leftovers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_interrupted_leaves_nothing(
    baked: Bake, scratch: Scratch, number: signal.Signals
) -> None:
    with running(command(baked()), REPOSITORY, scratch.variables) as process:
        until(process, "release what is deployed")
        assert scratch.programs()
        if number is signal.SIGINT:
            status, output = interrupt(process)
        else:
            process.send_signal(number)
            output, _ = process.communicate(timeout=120)
            status = process.returncode
    assert status == 130, output
    assert "Traceback" not in output
    assert scratch.programs() == []
    assert scratch.leftovers() == []


def test_one_that_is_killed_leaves_a_folder_that_the_next_one_removes(
    baked: Bake, scratch: Scratch
) -> None:
    with running(command(baked()), REPOSITORY, scratch.variables) as process:
        until(process, "release what is deployed")
        emulator = [line for line in scratch.programs() if "infra.emulator" in line]
        assert len(emulator) == 1
        process.kill()
        process.wait()
        while scratch.programs():
            os.sched_yield()
    (left,) = scratch.leftovers()
    with running(command(baked()), REPOSITORY, scratch.variables) as process:
        until(process, "start a throwaway cloud")
        assert not left.exists()
        interrupt(process)
    assert scratch.leftovers() == []


def until(process: subprocess.Popen[str], text: str) -> None:
    """Reads what a command prints up to a text."""
    assert process.stdout is not None
    said = ""
    while text not in said:
        character = process.stdout.read(1)
        assert character, f"it has ended:\n{said}"
        said += character


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "nowhere"), "there is no commit nowhere in the repository here"),
        (("--requests", "0"), "--requests must be 1 or more (got 0)"),
        (("--live", "--from", "HEAD"), "--live finds out what is deployed, and --from says it"),
        (("--live",), "gcloud auth application-default login"),
    ],
)
def test_what_can_not_be_rehearsed_is_said_before_anything_starts(
    baked: Bake, scratch: Scratch, words: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        command(baked(), *words),
        cwd=REPOSITORY,
        env=scratch.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert scratch.leftovers() == []
