"""`invoke rehearse`: the release of this tree over what is deployed, tried in a throwaway cloud."""

# ruff: noqa: PLC0415

import json as json_format
import os
import sys
from contextlib import ExitStack, nullcontext, redirect_stdout
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from infra.project import Project, ProjectError
from infra.report import say, spell
from infra.tasks.local_cloud import HOST_VARIABLE
from infra.tasks.opening import environment_name, open_cloud
from infra.tasks.options import ENV, FAILED, SERVICE, friendly, terminated_is_interrupted
from infra.tasks.rehearsing import rehearse as release_over
from infra.tasks.releasing import work_on
from infra.tasks.scene import own_folder, set_scene
from infra.tasks.scratch import putting_away, temporary_files_in, wait_for_interrupt

if TYPE_CHECKING:
    from infra.environment import Environment
    from infra.rehearsal.baseline import Deployed
    from infra.rehearsal.report import Report

REQUESTS = 1000
HELP = {
    "env": ENV,
    "service": SERVICE,
    "from": "The commit that is deployed. Default: what git knows of it, which is said.",
    "live": "Ask the environment's own cloud which commit is deployed and which secrets are set.",
    "requests": f"How many requests to send at least. Default: {REQUESTS}.",
    "set-secrets": "Secrets, with commas between, that are set though what is deployed has none.",
    "keep": "At a terminal, leave it running until Ctrl-C, to look at.",
    "json": "Write the report as JSON, and nothing else to standard output.",
}


@dataclass(frozen=True)
class Known:
    """What is taken to be true of the environment's own cloud."""

    deployed: "Deployed"
    set_secrets: frozenset[str]
    """Those that have a value, besides those that what is deployed declares."""


@task(help=HELP)
@friendly
def rehearse(  # noqa: PLR0913, PLR0917
    context: Context,
    env: str | None = None,
    service: str | None = None,
    from_: str | None = None,
    live: bool = False,
    requests: int = REQUESTS,
    set_secrets: str = "",
    keep: bool = False,
    json: bool = False,
) -> None:
    """Release this tree over what is deployed, in a throwaway cloud under load, with no account."""
    from infra.environment import load

    started = perf_counter()
    if requests < 1:
        raise ProjectError(f"--requests must be 1 or more (got {requests})")
    if live and from_:
        raise ProjectError("--live finds out what is deployed, and --from says it: one of both")
    project = Project.find(service)
    environment = load(project.folder, environment_name(context, env))
    given = frozenset(filter(None, (name.strip() for name in set_secrets.split(","))))
    known = (
        ask(context, project, environment, given)
        if live
        else suppose(project, environment, from_, given)
    )
    with (
        redirect_stdout(sys.stderr) if json else nullcontext(),
        terminated_is_interrupted(),
        putting_away() as put_away,
    ):
        report = show(context, project, environment, known, requests, put_away)
        say(f"\n{spell(perf_counter() - started)} in all")
        if keep:
            say(f"  Cloud: {HOST_VARIABLE}={os.environ[HOST_VARIABLE]}")
            wait_for_interrupt("Everything is still running: try it. Ctrl-C stops it.")
    if json:
        say(json_format.dumps(report.json(), indent=2, ensure_ascii=False))
    if not report.works:
        raise Exit(code=FAILED)


def show(  # noqa: PLR0913, PLR0917
    context: Context,
    project: Project,
    environment: "Environment",
    known: Known,
    requests: int,
    put_away: ExitStack,
) -> "Report":
    """The rehearsal, a line a step, and its report."""
    env = environment.name
    say(f"Rehearsing the release of {environment.service.name} to {env}")
    say(f"over {known.deployed}:\n")
    folder = put_away.enter_context(own_folder())
    put_away.enter_context(temporary_files_in(folder))
    scene = set_scene(context, project, env, known.deployed.commit, folder, put_away)
    report = release_over(scene, project, requests, known.set_secrets)
    say()
    for line in report.lines():
        say(line)
    return report


def suppose(
    project: Project, environment: "Environment", given: str | None, secrets: frozenset[str]
) -> Known:
    """What git and the options say: nobody is asked."""
    from infra.rehearsal.baseline import choose

    tag = environment.trigger.tag if environment.trigger else None
    return Known(choose(project.folder, given, tag), secrets)


def ask(
    context: Context, project: Project, environment: "Environment", secrets: frozenset[str]
) -> Known:
    """What the environment's own cloud says: which commit serves, and which secrets are set.

    Raises ProjectError for what can't be rehearsed over.
    """
    from infra.rehearsal.baseline import Deployed, resolve
    from infra.release.history import find
    from infra.resources.secrets import find_versions

    work = work_on(open_cloud(context, str(project.folder), environment.name))
    where = f"{environment.service.name} in project {environment.project}"
    serving = [each for each in find(work) if each.percent]
    release = max(serving, key=lambda each: each.percent, default=None)
    if release is None or not release.record.commit:
        what = "no release serves" if release is None else f"{release.revision} names no commit"
        raise ProjectError(f"{where}: {what}. Say which commit is deployed: --from COMMIT")
    why = f"which serves as {release.revision}"
    if release.record.dirty:
        why += ", released with changed files: those are not in git"
    commit = resolve(project.folder, release.record.commit)
    known = find_versions(work, environment.project, [*environment.secrets.values(), *secrets])
    return Known(Deployed(commit, why), secrets | known.keys())
