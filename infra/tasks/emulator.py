"""`invoke emulator.start|stop|status|env`: the local cloud of this user."""

import os
import shlex

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from infra.report import complain, say, step
from infra.tasks import local_cloud
from infra.tasks.local_cloud import ensure_running
from infra.tasks.options import friendly

__all__ = ["emulator", "ensure_running"]

PROJECT = "local-cloud"


@task
@friendly
def start(context: Context) -> None:
    """Start the local cloud, unless it runs already. --env local does so by itself."""
    state = local_cloud.state_folder()
    found = local_cloud.find_running(state)
    if found is None:
        with step("start the local cloud"):
            found = local_cloud.start(state)
    say(f"The local cloud answers at http://{found.host}, process {found.pid}")
    say(f"Its state is in {state}")


@task
@friendly
def stop(context: Context) -> None:
    """Stop the local cloud and everything it runs. Its state stays for the next start."""
    state = local_cloud.state_folder()
    if local_cloud.stop(state):
        say(f"The local cloud is stopped; its state stays in {state}")
    else:
        say(f"No local cloud runs on {state}")


@task
@friendly
def status(context: Context) -> None:
    """Say whether the local cloud runs, and where."""
    state = local_cloud.state_folder()
    found = local_cloud.find_running(state)
    if found is None:
        say(f"No local cloud runs on {state}")
        return
    say(f"The local cloud answers at http://{found.host}, process {found.pid}")
    say(f"Its state is in {state}, its log in {state / 'emulator.log'}")


@task(help={"project": f"The project of gcloud's commands. Default: {PROJECT}."})
@friendly
def env(context: Context, project: str = PROJECT) -> None:
    """Print the exports that lead gcloud to the local cloud, for eval to read."""
    state = local_cloud.state_folder()
    if local_cloud.find_running(state) is None:
        complain("starting the local cloud ...")
    host = ensure_running(state)
    for name, value in local_cloud.exports(host, project).items():
        if os.name == "posix":
            say(f"export {name}={shlex.quote(value)}")
        else:
            say(f"$env:{name} = '{value}'")


emulator = Collection("emulator", start, stop, status, env)
