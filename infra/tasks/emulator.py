"""`invoke emulator.start|stop|status|env`: the local cloud of this user; `emulator.fault|latency`
and `emulator.journal`: what it does wrong on demand, and what it was asked; `emulator.push`: what a
push to GitHub would start."""

import os
import shlex

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

from infra.report import complain, say, step
from infra.tasks import local_cloud, local_faults
from infra.tasks.local_cloud import ensure_running
from infra.tasks.local_push import push
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


@task(
    optional=["clear"],
    # Short ones would hide what -h is.
    auto_shortflags=False,
    help={
        "method": "Which calls, by the method's name: '*CreateSecret', 'storage*insert'.",
        "path": "Which calls, by their path.",
        "write": "Only calls that change something.",
        "nth": "Only the nth call that fits.",
        "first": "Only the first so many.",
        "probability": "How likely each of them is hit, more than 0 to 1.",
        "seed": "Of the dice, a whole number: the same seed hits the same calls.",
        "times": "How often at most.",
        "error": "Answers an error: HTTP's status, such as 503.",
        "name": "The error's name; the one that goes with the status by default.",
        "message": "The error's text.",
        "reason": "The error's reason, such as RATE_LIMIT_EXCEEDED.",
        "reset": "Cuts the connection.",
        "after": "After the call has been carried out: the answer is lost.",
        "delay": "Answers so many seconds later.",
        "operation": "Its operation fails (INTERNAL), hangs (hang) or takes seconds (30).",
        "late": "What it grants, creates or enables takes effect so many seconds later.",
        "race": "Somebody else changes the resource just before.",
        "hang": "Holds the call until the fault is cleared.",
        "clear": "Ends a fault by its number, or all.",
    },
)
@friendly
def fault(  # noqa: PLR0913, PLR0917
    context: Context,
    method: str = "",
    path: str = "",
    write: bool = False,
    nth: str = "",
    first: str = "",
    probability: str = "",
    seed: str = "",
    times: str = "",
    error: str = "",
    name: str = "",
    message: str = "",
    reason: str = "",
    reset: bool = False,
    after: bool = False,
    delay: str = "",
    operation: str = "",
    late: str = "",
    race: bool = False,
    hang: bool = False,
    clear: str | None = None,
) -> None:
    """Make calls of the local cloud fail, by rule. Without options, list the rules."""
    options = {
        one: value for one, value in locals().items() if one not in ("context", "clear") and value
    }
    if clear is not None:
        local_faults.remove("" if clear in (True, "") else clear)
    if options:
        local_faults.add(options)
    found = local_faults.faults()
    for one in found:
        say(local_faults.spell(one))
    if not found:
        say("No fault is in force")


@task(help={"milliseconds": "0 to 600000."})
@friendly
def latency(context: Context, milliseconds: str) -> None:
    """Make each call of the local cloud take so many milliseconds at least."""
    say(f"Each call takes at least {local_faults.latency(milliseconds):g} ms")


@task(
    help={
        "writes": "Only calls that were to change something.",
        "clear": "Forget what was called, after showing it.",
    }
)
@friendly
def journal(context: Context, writes: bool = False, clear: bool = False) -> None:
    """Show what the local cloud was asked: status, time, method, path, fault."""
    for line in local_faults.journal(writes=writes):
        say(line)
    if clear:
        local_faults.forget()


emulator = Collection("emulator", start, stop, status, env, push, fault, latency, journal)
