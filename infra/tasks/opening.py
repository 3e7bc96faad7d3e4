"""How a task gets at its service, its environment and its cloud, from its options."""

# ruff: noqa: PLC0415

import os
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.context import Context

from infra.project import Project, ProjectError
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


def open_clouds(context: Context, service: str | None, env: str | None) -> list[Opened]:
    """The services that a pattern of folders means, such as services/*, and their clouds: those of
    the same caller share their clients.

    Raises what `open_cloud` does, for all services together.
    """
    if service is None or not is_pattern(service):
        return [open_cloud(context, service, env)]
    from infra.cloud import Cloud
    from infra.environment import load

    projects = matching(service)
    name = environment_name(context, env)
    environments, faults = [], []
    for project in projects:
        try:
            environments.append(load(project.folder, name))
        except ProjectError as error:
            shown = os.path.relpath(project.folder)
            faults += [f"{shown}/{line}" for line in str(error).splitlines()]
    if faults:
        raise ProjectError("\n".join(faults))
    check_unique(environments)
    is_ours = environments[0].is_local and not os.environ.get(HOST_VARIABLE)
    clouds: list[Cloud] = []
    for environment in environments:
        known = (each for each in clouds if is_same_caller(each.environment, environment))
        first = next(known, None)
        if first is None:
            clouds.append(Cloud(environment, local_endpoint() if is_ours else None))
            clouds[-1].connect()
        else:
            clouds.append(first.of(environment))
    return [Opened(*each) for each in zip(projects, environments, clouds, strict=True)]


def is_pattern(service: str) -> bool:
    """Whether it stands for several folders."""
    return not Path(service).is_dir() and any(each in service for each in "*?[")


def matching(pattern: str) -> list[Project]:
    """The services whose folders match. Raises ProjectError when there is none."""
    found = [Path(each).absolute() for each in sorted(glob(pattern))]
    projects = [Project(each) for each in found if (each / "environments").is_dir()]
    if not projects:
        raise ProjectError(f"--service {pattern}: no folder that matches has an environments/")
    return projects


def check_unique(environments: "list[Environment]") -> None:
    """Raises ProjectError when two services would be the same."""
    seen = set[tuple[str, str]]()
    for each in environments:
        key = each.project, each.service.name
        if key in seen:
            raise ProjectError(
                f"two folders have a service {each.service.name} in project {each.project}: give "
                "one of them another service.name"
            )
        seen.add(key)


def is_same_caller(one: "Environment", other: "Environment") -> bool:
    """Whether both are reached as the same account."""
    return one.impersonate == other.impersonate


def local_endpoint() -> str:
    """The host and port of the local cloud, which is started unless it runs. Raises
    LocalCloudError."""
    state = state_folder()
    if found := find_running(state):
        return found.host
    # Not on standard output, which may be read by a program.
    complain("starting the local cloud ...")
    return start(state).host
