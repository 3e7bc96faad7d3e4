"""How a task gets at its service, its environment and its cloud, from its options."""

# ruff: noqa: PLC0415

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoke.context import Context

from infra.project import Project
from infra.report import complain
from infra.tasks.local_cloud import HOST_VARIABLE, find_running, start, state_folder

if TYPE_CHECKING:
    from infra.cloud import Cloud
    from infra.environment import Environment

ENV_VARIABLE = "INVOKE_ENV"
LOCAL = "local"


@dataclass(frozen=True)
class Opened:
    """A service in one of its environments, and the cloud that environment is in."""

    project: Project
    environment: "Environment"
    cloud: "Cloud"


def environment_name(context: Context, env: str | None) -> str:
    """The environment a command is for: its option, else INVOKE_ENV, else `env:` of invoke.yaml,
    else local."""
    return env or os.environ.get(ENV_VARIABLE) or context.config.get("env") or LOCAL


def open_cloud(
    context: Context, service: str | None, env: str | None, *, connect: bool = True
) -> Opened:
    """The service, its environment and its cloud; the local one is started if need be.

    Without `connect` it is not checked that there is somebody to talk to.

    Raises ProjectError for what is wrong with any of them, before anything is touched, and
    LocalCloudError.
    """
    from infra.cloud import Cloud
    from infra.environment import load

    project = Project.find(service)
    environment = load(project.folder, environment_name(context, env))
    endpoint = None
    if environment.is_local and not os.environ.get(HOST_VARIABLE):
        endpoint = local_endpoint()
    cloud = Cloud(environment, endpoint)
    if connect:
        cloud.connect()
    return Opened(project, environment, cloud)


def local_endpoint() -> str:
    """The host and port of the local cloud, which is started unless it runs. Raises
    LocalCloudError."""
    state = state_folder()
    if found := find_running(state):
        return found.host
    # Not on standard output, which may be read by a program.
    complain("starting the local cloud ...")
    return start(state).host
