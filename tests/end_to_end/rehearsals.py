"""A service that is deployed in a rehearsal's cloud, and trees that are released over it."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from invoke.context import Context

from infra.project import Project
from infra.rehearsal.report import Report
from infra.tasks.deploy import deploy
from infra.tasks.rehearsing import rehearse
from infra.tasks.scene import Scene, call, must, set_scene
from tests.template.bakes import Baked

PRODUCTION = "environments/prd.yaml"
MANIFEST = "ci/cloud-run.yaml"
MAIN = "src/main.py"
MODEL = "src/models/item_model.py"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "*_cache", "__pycache__")
MIGRATION = '''"""{name}"""

from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """To this revision."""
    op.execute("""{sql}""")


def downgrade() -> None:
    """Back to the one before."""
'''


def commit(folder: Path, message: str) -> str:
    """Commits all files. Returns the commit."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", str(folder))
    for words in (("add", "-A"), ("commit", "-qm", message)):
        subprocess.run([*git, *words], check=True)
    return subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


def edit(folder: Path, edits: Mapping[str, tuple[str, str]]) -> None:
    """Replaces in each file a text that must be there; "" stands for its end."""
    for name, (old, new) in edits.items():
        text = (folder / name).read_text("utf-8")
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new) if old else text + new
        (folder / name).write_text(text, "utf-8")


def migrate(folder: Path, revision: str, before: str, sql: str) -> None:
    """Adds a migration that runs a statement, which no linter looks into."""
    hidden = f"DO $do$ BEGIN {sql} END $do$"
    text = MIGRATION.format(
        name=f"rehearse {revision}", revision=revision, before=before, sql=hidden
    )
    (folder / f"db/versions/29990101_{revision}_rehearsed.py").write_text(text, "utf-8")


@dataclass(frozen=True)
class Deployed:
    """What is deployed, and where trees are made to be released over it."""

    scene: Scene
    commit: str
    folder: Path
    trees: Path

    def tree(self, name: str, edits: Mapping[str, tuple[str, str]]) -> Path:
        """A tree like what is deployed, but for the edits."""
        folder = self.trees / name
        shutil.copytree(self.folder, folder, ignore=NOT_COPIED)
        edit(folder, edits)
        return folder

    def release(self, tree: Path, requests: int = 40, set_secrets: str = "") -> Report:
        """Rehearses its release."""
        given = frozenset(set_secrets.split()) if set_secrets else frozenset[str]()
        report = rehearse(self.scene, Project(tree), requests, given, seconds=5)
        print(*report.lines(), sep="\n")
        return report

    def restore(self) -> None:
        """Lets it be as if no other tree had been released; from its repository, as a person
        does."""
        env, folder = self.scene.deployed.name, str(self.folder)
        must(call(deploy, self.scene.context, env=env, service=folder))


@contextmanager
def deployed(service: Baked, scratch: Path) -> Iterator[Deployed]:
    """The service, deployed in a cloud that is gone afterwards."""
    with ExitStack() as put_away:
        head = commit(service.folder, "Deploy")
        scene = set_scene(
            Context(), Project(service.folder), "prd", head, scratch / "scene", put_away
        )
        yield Deployed(scene, head, service.folder, scratch)
