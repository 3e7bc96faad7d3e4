"""How builds are kept in the world, and whom they run as."""

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import errors, iam, messages, projects
from infra.emulator.world import World

BUILDS = "builds"
LEGACY = "@cloudbuild.gserviceaccount.com"
STOPPED = "The emulator was stopped while the build was running."
_STATUS = cb.Build.Status
SUCCESS, FAILURE = _STATUS.SUCCESS, _STATUS.FAILURE
TIMEOUT, CANCELLED = _STATUS.TIMEOUT, _STATUS.CANCELLED
OVER = (SUCCESS, FAILURE, TIMEOUT, CANCELLED, _STATUS.INTERNAL_ERROR, _STATUS.EXPIRED)


def account_of(build: cb.Build) -> iam.Caller:
    """Whom a build runs as."""
    return iam.account(build.service_account.rpartition("/")[2])


def default_account(world: World, project: str) -> str:
    """Cloud Build's own account of a project, which may do what a build needs."""
    return f"projects/{project}/serviceAccounts/{projects.find(world, project).number}{LEGACY}"


def put(world: World, build: cb.Build) -> None:
    """Keeps a build."""
    world.put(BUILDS, key(build.name, build.project_id), messages.dump(build))


def key(name: str, project: str) -> str:
    """The name of a build's document: with the project's id."""
    return f"projects/{project}/{name.split('/', 2)[2]}"


def get(world: World, name: str) -> cb.Build:
    """A build, or 404."""
    body = world.get(BUILDS, name)
    if body is None:
        raise errors.not_found(f"Requested entity was not found: {name}")
    return messages.from_json(cb.Build, body)
