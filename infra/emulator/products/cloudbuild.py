"""Cloud Build v1: builds. What runs them is in build/; triggers are in cloudbuild_triggers.py."""

import uuid
from datetime import timedelta

from google.cloud.devtools import cloudbuild_v1 as cb
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, messages, operations, pages, projects
from infra.emulator.api import Api, Call
from infra.emulator.build import documents, source
from infra.emulator.build.builds import Builds
from infra.emulator.build.substitutions import substitute
from infra.emulator.cloud import Cloud
from infra.emulator.iam import Caller
from infra.emulator.machine import Machine
from infra.emulator.run.defaults import check_account
from infra.emulator.world import World

PACKAGE = "google.cloud.devtools.cloudbuild_v1"
BUILD = "CloudBuild"
_LOGGING = cb.BuildOptions.LoggingMode
_STATUS = cb.Build.Status
# Builds that the emulator would have to fetch from elsewhere, or do more than build.
_NOT_DONE = ("repo_source", "git_source", "storage_source_manifest", "connected_repository")
_ENDING = 15.0

api = Api("cloudbuild", prefix="/cloudbuild")
api.part(Machine)
api.part(Builds)
api.client(PACKAGE, BUILD)
operations.serve(api, "v1", "operations/**", "projects/*/locations/*/operations/*")


@api.method(PACKAGE, BUILD, "CreateBuild")
def create_build(call: Call[cb.CreateBuildRequest]) -> operations_pb2.Operation:
    """A build, begun at once. The operation is done when the build is over."""
    parent = _parent(call.request.parent, call.request.project_id)
    call.require("cloudbuild.builds.create", parent)
    build = cb.Build(messages.to_pb(call.request.build))
    for kind in _NOT_DONE:
        if kind in build.source:
            raise errors.unimplemented(f"builds of a {kind}")
    is_global = bool(call.request.project_id and not call.request.parent)
    return _operate(call.cloud, call.caller, parent, build, is_global=is_global)


def begin(cloud: Cloud, parent: str, build: cb.Build) -> cb.Build:
    """Begins a build that a trigger starts, of a source of its own. Returns it, with its id."""
    _operate(cloud, Caller(), parent, build)
    return build


def _operate(
    cloud: Cloud, caller: Caller, parent: str, build: cb.Build, *, is_global: bool = False
) -> operations_pb2.Operation:
    world = cloud.world
    project = projects.find(world, parent.split("/")[1])
    location = parent.split("/")[3]
    build.id = str(uuid.uuid4())
    build.name = f"projects/{project.number}/locations/{location}/builds/{build.id}"
    build.project_id = project.id
    build.create_time = world.now()
    build.status = _STATUS(_STATUS.QUEUED)
    build.timeout = build.timeout or timedelta(minutes=60)
    build.queue_ttl = build.queue_ttl or timedelta(hours=1)
    _check(build)
    default = documents.default_account(world, project.id)
    email = (build.service_account or default).rpartition("/")[2]
    values = {
        "PROJECT_ID": project.id,
        "PROJECT_NUMBER": project.number,
        "BUILD_ID": build.id,
        "LOCATION": location,
        "SERVICE_ACCOUNT_EMAIL": email,
    }
    substitute(build, values)
    if build.service_account:
        check_account(world, caller, build.service_account.rpartition("/")[2], project.id)
    else:
        build.service_account = default
    _resolve_source(world, build)
    base = "https://console.cloud.google.com/cloud-build/builds"
    build.log_url = f"{base};region={location}/{build.id}?project={project.number}"
    documents.put(world, build)
    whole = f"{parent}/operations/{build.id}"
    name = f"operations/build/{project.id}/{build.id}" if is_global else whole
    part = cloud.part(Builds)
    return operations.start(
        world,
        "",
        cb.BuildOperationMetadata(build=build),
        cb.Build,
        lambda: part.carry_out(build, name),
        name=name,
        spoil=lambda error: part.spoil(build, error),
    )


@api.method(PACKAGE, BUILD, "GetBuild")
def get_build(call: Call[cb.GetBuildRequest]) -> cb.Build:
    """One build."""
    return _build(call, "get")


@api.method(PACKAGE, BUILD, "ListBuilds")
def list_builds(call: Call[cb.ListBuildsRequest]) -> cb.ListBuildsResponse:
    """A region's builds, the newest first; the global ones for a project alone."""
    parent = _parent(call.request.parent, call.request.project_id)
    call.require("cloudbuild.builds.list", parent)
    if call.request.filter:
        raise errors.unimplemented("the filter of CloudBuild.ListBuilds")
    bodies = call.world.list(documents.BUILDS, f"{parent}/builds/")
    found = [messages.from_json(cb.Build, body) for body in bodies]
    found.sort(key=lambda one: one.create_time, reverse=True)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return cb.ListBuildsResponse(builds=some, next_page_token=token)


@api.method(PACKAGE, BUILD, "CancelBuild")
def cancel_build(call: Call[cb.CancelBuildRequest]) -> cb.Build:
    """Ends a build; what it has pushed stays."""
    build = _build(call, "update")
    if build.status in documents.OVER:
        raise errors.precondition(f"Build {build.id} is not in a cancellable state.")
    call.cloud.part(Builds).cancel(build)
    left = _ENDING
    while build.status not in documents.OVER and left > 0 and call.world.pause(0.05):
        left -= 0.05
        build = _build(call, "update")
    return build


def _parent(parent: str, project: str) -> str:
    return parent or f"projects/{project}/locations/global"


def _build(call: Call[cb.GetBuildRequest] | Call[cb.CancelBuildRequest], verb: str) -> cb.Build:
    request = call.request
    name = request.name or f"{_parent('', request.project_id)}/builds/{request.id}"
    call.require(f"cloudbuild.builds.{verb}", name)
    return documents.get(call.world, name)


def _check(build: cb.Build) -> None:
    """Refuses what Google would, and what is not done here."""
    if not build.steps:
        raise errors.invalid("invalid build: at least one build step is required", "build.steps")
    ids = [step.id for step in build.steps if step.id]
    if len(set(ids)) < len(ids):
        raise errors.invalid("invalid build: a step's id is given twice", "build.steps")
    for number, step in enumerate(build.steps):
        if not step.name:
            raise errors.invalid(f"invalid build step {number}: the name is required")
        if step.script and (step.args or step.entrypoint):
            raise errors.invalid(f"invalid build step {number}: script excludes args, entrypoint")
        unknown = [one for one in step.wait_for if one != "-" and one not in ids]
        if unknown:
            raise errors.invalid(f"invalid build: step {number} waits for unknown {unknown[0]!r}")
        if step.volumes:
            raise errors.unimplemented("volumes of build steps")
    if build.artifacts:
        raise errors.unimplemented("artifacts of builds")
    if build.logs_bucket:
        raise errors.unimplemented("build logs in a bucket; use CLOUD_LOGGING_ONLY")
    alone = (_LOGGING.CLOUD_LOGGING_ONLY, _LOGGING.NONE)
    if build.service_account and build.options.logging not in alone:
        raise errors.invalid(
            "if 'build.service_account' is specified, the build must either (a) specify "
            "'build.logs_bucket', (b) use the REGIONAL_USER_OWNED_BUCKET "
            "build.options.default_logs_bucket_behavior option, or (c) use either "
            "CLOUD_LOGGING_ONLY / NONE logging options"
        )


def _resolve_source(world: World, build: cb.Build) -> None:
    if "connected_repository" in build.source:
        resolved = build.source.connected_repository
        build.source_provenance.resolved_connected_repository = resolved
    if "storage_source" not in build.source:
        return
    account = documents.account_of(build)
    if account.email.endswith(documents.LEGACY):
        # Google grants it what it needs.
        account = type(account)()
    build.source_provenance.resolved_storage_source = source.resolve(
        world, build.source.storage_source, account
    )
