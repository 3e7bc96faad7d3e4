"""`invoke demo`: from nothing to a served request, in a local cloud that goes at the end.

A service is generated and brought up with the very commands its developers use; what they print is
theirs. Everything is in a scratch folder.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task, task

from infra.project import Project, environment
from infra.report import logs_in_brief, say, spell, step
from infra.tasks.deploy import deploy
from infra.tasks.local_cloud import HOST_VARIABLE, scratch_cloud
from infra.tasks.opening import LOCAL, open_cloud
from infra.tasks.options import friendly, terminated_is_interrupted
from infra.tasks.provision import provision
from infra.tasks.scratch import (
    putting_away,
    scratch,
    temporary_files_in,
    variable,
    wait_for_interrupt,
)

TEMPLATE = Path(__file__).parents[2]
SERVICE = "orders"
PREFIX = "cookiecutter-cloudrun-"
ITEM = {"name": "Nasi goreng", "description": "with a fried egg"}


@dataclass
class Times:
    """How long each part took, in seconds."""

    spent: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Takes the time of a part."""
        started = perf_counter()
        yield
        self.spent[part] = perf_counter() - started

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self.spent.values())


@task
@friendly
def demo(context: Context) -> None:
    """Generate a service, put it on a local cloud of its own, and talk to it over HTTP."""
    say(f"From nothing to a served request, with a service called {SERVICE}:\n")
    with terminated_is_interrupted(), putting_away() as put_away:
        show(context, put_away)
    say("Everything is stopped, and nothing is left behind.")


def show(context: Context, put_away: ExitStack) -> None:
    """The demonstration, up to Ctrl-C at a terminal."""
    # Loaded when it is needed: every command would wait for it.
    import httpx  # noqa: PLC0415

    times = Times()
    folder = put_away.enter_context(scratch(PREFIX))
    put_away.enter_context(temporary_files_in(folder))
    with times.of("generate"), step("generate the service"):
        project = generate(folder)
    with times.of("local cloud"), step("start a local cloud"):
        cloud = put_away.enter_context(scratch_cloud(folder / "cloud"))
    put_away.enter_context(variable(HOST_VARIABLE, cloud.host))
    with times.of("provision"):
        call(provision, context, project)
    with times.of("deploy"), logs_in_brief():
        call(deploy, context, project)
    say()
    url = address(context, project)
    with times.of("requests"):
        with step("create an item over HTTP"):
            answer = httpx.post(f"{url}/items/", json=ITEM, timeout=60).raise_for_status()
            item = answer.json()["data"]
        with step("read it back"):
            answer = httpx.get(f"{url}/items/{item['id']}", timeout=60).raise_for_status()
            if answer.json()["data"] != item or item | ITEM != item:
                raise Exit(f"error: created {item}, read {answer.text}", code=1)
    say(f"\n  GET {url}/items/{item['id']}\n  {answer.text}\n")
    parts = ", ".join(f"{part} {spell(seconds)}" for part, seconds in times.spent.items())
    say(f"  {spell(times.total)} in all: {parts}")
    say(f"  Service: {url}")
    say(f"  Swagger: {url}/docs")
    say(f"  Cloud:   http://{cloud.host}\n")
    wait_for_interrupt("It is running: try it. Ctrl-C stops everything.")


def call(command: Task[Callable[..., None]], context: Context, project: Project) -> None:
    """Runs one of the service's commands, shown as it would be typed."""
    say(f"\n$ invoke {command.name} --env {LOCAL}")
    command(context, env=LOCAL, service=str(project.folder))


def address(context: Context, project: Project) -> str:
    """Where the service is, as Cloud Run says."""
    cloud = open_cloud(context, str(project.folder), LOCAL).cloud
    url: str = cloud.run_services.get_service(name=cloud.names.service).uri
    return url


def generate(folder: Path) -> Project:
    """The service as `cookiecutter --no-input` makes it."""
    command = [sys.executable, "-m", "cookiecutter", str(TEMPLATE)]
    # Not the user's: neither their defaults, nor the answers that cookiecutter keeps for them.
    config = folder / "cookiecutter.json"
    keeps = {"replay_dir": str(folder / "replay"), "cookiecutters_dir": str(folder / "templates")}
    config.write_text(json.dumps(keeps), "utf-8")
    options = ["--no-input", "--config-file", str(config), "--output-dir", str(folder)]
    check(
        subprocess.run(
            [*command, *options, f"service={SERVICE}"],
            env=environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
    )
    return Project(folder / SERVICE)


def check(done: subprocess.CompletedProcess[str]) -> None:
    """Ends the command with what a failed program printed."""
    if done.returncode:
        output = f"{done.stdout}\n{done.stderr}".strip()
        raise Exit(f"error: this failed: {' '.join(done.args)}\n{output}", code=1)
