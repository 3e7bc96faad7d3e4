"""`invoke audit`: what is known to be wrong with what the image is made of. For a CI, every day."""

import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError, environment, find_uv
from infra.report import complain, say
from infra.tasks.image import unpinned
from infra.tasks.options import FAILED, SERVICE, friendly

GROUP = "audit"
HELP = {
    "service": SERVICE,
    "dev": "The packages of development too, which are not in the image.",
}


@task(help=HELP)
@friendly
def audit(context: Context, service: str | None = None, dev: bool = False) -> None:
    """Check the locked packages for known vulnerabilities, and that images are named by digest.

    What follows `--` goes to pip-audit: invoke audit -- --ignore-vuln ID
    """
    project = Project.find(service)
    moving = unpinned(project.folder)
    for line in moving:
        complain(line)
    with TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        export(project, requirements, [] if dev else ["--no-dev"])
        # Nothing is installed to look at it: the lock names each package, and its hashes.
        status = project.run(
            *("--group", GROUP, "pip-audit", "--requirement", str(requirements)),
            *("--require-hashes", "--disable-pip", "--progress-spinner", "off"),
            *shlex.split(context.remainder),
        )
    if status or moving:
        raise Exit(code=FAILED)
    say("audit: ok")


def export(project: Project, target: Path, options: list[str]) -> None:
    """Writes what is locked, without what is no package of an index. Raises ProjectError."""
    command = [find_uv(), "export", "--directory", str(project.folder), "--frozen", "--quiet"]
    kinds = ["--format", "requirements.txt", "--no-emit-local", "--no-annotate", "--no-header"]
    done = subprocess.run(
        [*command, *kinds, *options, "--output-file", str(target)],
        env=environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise ProjectError(f"the lock can't be read: {done.stderr.strip()}")
