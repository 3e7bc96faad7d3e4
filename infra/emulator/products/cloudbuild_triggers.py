"""Cloud Build v1: triggers. Builds are in cloudbuild.py, the repositories that triggers watch in
cloudbuild_connections.py.
"""

import re
import uuid
from typing import Any

from google.cloud.devtools import cloudbuild_v1 as v1
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import accounts, errors, iam, messages, operations, pages, projects
from infra.emulator.api import Api, Call
from infra.emulator.build import remotes
from infra.emulator.build.triggered import Event, build_of
from infra.emulator.cloud import Cloud
from infra.emulator.products import cloudbuild
from infra.emulator.products.cloudbuild_connections import find_repository
from infra.emulator.world import World

TRIGGERS = "build_triggers"

_V1 = "google.cloud.devtools.cloudbuild_v1"
_BUILD = "CloudBuild"
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,62}[a-zA-Z0-9])?")
_TRIGGER_FIXED = {"resource_name", "id", "create_time"}

api = Api("cloudbuild", prefix="/cloudbuild")


@api.method(_V1, _BUILD, "CreateBuildTrigger")
def create_build_trigger(call: Call[v1.CreateBuildTriggerRequest]) -> v1.BuildTrigger:
    """A new trigger; the id is ours to give, the name its owner's."""
    parent = _parent(call.request.parent, call.request.project_id)
    call.require("cloudbuild.builds.create", parent)
    trigger = v1.BuildTrigger(messages.to_pb(call.request.trigger))
    trigger.id = str(uuid.uuid4())
    trigger.name = trigger.name or f"trigger-{trigger.id[:8]}"
    trigger.create_time = call.world.now()
    _check_trigger(call.world, parent, trigger)
    with call.world.transaction():
        if any(one.name == trigger.name for one in _triggers(call.world, parent)):
            raise errors.already_exists(f"trigger with name {trigger.name} already exists")
        return _put_trigger(call.world, parent, trigger)


@api.method(_V1, _BUILD, "GetBuildTrigger")
def get_build_trigger(call: Call[v1.GetBuildTriggerRequest]) -> v1.BuildTrigger:
    """One trigger, by id or name."""
    parent, key = _trigger_key(call.request.name, call.request.project_id, call.request.trigger_id)
    call.require("cloudbuild.builds.get", parent)
    return find_trigger(call.world, parent, key)


@api.method(_V1, _BUILD, "ListBuildTriggers")
def list_build_triggers(call: Call[v1.ListBuildTriggersRequest]) -> v1.ListBuildTriggersResponse:
    """The triggers of one region, or the global ones: neither shows the other's."""
    parent = _parent(call.request.parent, call.request.project_id)
    call.require("cloudbuild.builds.list", parent)
    some, token = pages.page(
        _triggers(call.world, parent), call.request.page_size, call.request.page_token
    )
    return v1.ListBuildTriggersResponse(triggers=some, next_page_token=token)


@api.method(_V1, _BUILD, "UpdateBuildTrigger")
def update_build_trigger(call: Call[v1.UpdateBuildTriggerRequest]) -> v1.BuildTrigger:
    """Changes a trigger: what the mask names, or all of it."""
    given = call.request.trigger
    name = given.resource_name if "trigger.resource_name" in call.params else ""
    parent, key = _trigger_key(name, call.request.project_id, call.request.trigger_id)
    call.require("cloudbuild.builds.update", parent)
    with call.world.transaction():
        trigger = find_trigger(call.world, parent, key)
        mask = messages.to_pb(call.request).update_mask
        if not mask.paths:
            mask.paths.append("*")
        pages.patch(messages.to_pb(trigger), messages.to_pb(given), mask, _TRIGGER_FIXED)
        _check_trigger(call.world, parent, trigger)
        others = (one for one in _triggers(call.world, parent) if one.id != trigger.id)
        if any(one.name == trigger.name for one in others):
            raise errors.already_exists(f"trigger with name {trigger.name} already exists")
        return _put_trigger(call.world, parent, trigger)


@api.method(_V1, _BUILD, "DeleteBuildTrigger")
def delete_build_trigger(call: Call[v1.DeleteBuildTriggerRequest]) -> None:
    """Deletes a trigger."""
    parent, key = _trigger_key(call.request.name, call.request.project_id, call.request.trigger_id)
    call.require("cloudbuild.builds.update", parent)
    with call.world.transaction():
        trigger = find_trigger(call.world, parent, key)
        call.world.delete(TRIGGERS, f"{parent}/triggers/{trigger.id}")


@api.method(_V1, _BUILD, "RunBuildTrigger")
def run_build_trigger(call: Call[v1.RunBuildTriggerRequest]) -> operations_pb2.Operation:
    """Starts a trigger's build of a branch, a tag or a commit, as it is in the folder that stands
    for the repository."""
    parent, key = _trigger_key(call.request.name, call.request.project_id, call.request.trigger_id)
    call.require("cloudbuild.builds.create", parent)
    trigger = find_trigger(call.world, parent, key)
    if trigger.disabled:
        raise errors.precondition(f"trigger {trigger.name} is disabled")
    named = trigger.repository_event_config.repository
    if not named:
        raise errors.unimplemented("running triggers without a repository of a connection")
    source = call.request.source
    ref = f"refs/heads/{source.branch_name}" if source.branch_name else ""
    ref = ref or (f"refs/tags/{source.tag_name}" if source.tag_name else source.commit_sha)
    if not ref:
        raise errors.invalid("A branch, a tag or a commit has to be given.", "source")
    folder = remotes.find(call.world, find_repository(call.world, named).remote_uri)
    event = Event(remotes.commit_of(folder, ref), source.branch_name, source.tag_name)
    build = begin(call.cloud, parent, trigger, event)
    return operations.get(call.world, f"{parent}/operations/{build.id}")


def begin(cloud: Cloud, parent: str, trigger: v1.BuildTrigger, event: Event) -> v1.Build:
    """Starts a trigger's build. Whoever runs a trigger need not be able to act as its account."""
    repository = find_repository(cloud.world, trigger.repository_event_config.repository)
    build = build_of(cloud.world, trigger, repository.name, repository.remote_uri, event)
    return cloudbuild.begin(cloud, parent, build)


def all_of(world: World) -> list[tuple[str, v1.BuildTrigger]]:
    """Every trigger, each with its parent."""
    return [
        (key.partition("/triggers/")[0], messages.from_json(v1.BuildTrigger, body))
        for key, body in list(world.items(TRIGGERS))
    ]


def find_trigger(world: World, parent: str, key: str) -> v1.BuildTrigger:
    """Returns the trigger of an id or a name in `projects/P/locations/R`; 404 if there is none."""
    for trigger in _triggers(world, parent):
        if key in (trigger.id, trigger.name):
            return trigger
    raise errors.not_found(f"Requested entity was not found: {parent}/triggers/{key}.")


def _parent(parent: str, project_id: str) -> str:
    return parent or f"projects/{project_id}/locations/global"


def _trigger_key(name: str, project_id: str, trigger_id: str) -> tuple[str, str]:
    if not name:
        return _parent("", project_id), trigger_id
    parent, _, key = name.partition("/triggers/")
    return parent, key


def _triggers(world: World, parent: str) -> list[v1.BuildTrigger]:
    bodies = world.list(TRIGGERS, f"{parent}/triggers/")
    return [messages.from_json(v1.BuildTrigger, body) for body in bodies]


def _put_trigger(world: World, parent: str, trigger: v1.BuildTrigger) -> v1.BuildTrigger:
    key = f"{parent}/triggers/{trigger.id}"
    number = projects.find(world, iam.project_of(parent)).number
    trigger.resource_name = f"projects/{number}/{key.split('/', 2)[2]}"
    world.put(TRIGGERS, key, messages.dump(trigger))
    return trigger


def _check_trigger(world: World, parent: str, trigger: v1.BuildTrigger) -> None:
    if not _NAME.fullmatch(trigger.name):
        raise errors.invalid(f"Invalid trigger name '{trigger.name}'.", "trigger.name")
    pb: Any = messages.to_pb(trigger)
    if pb.WhichOneof("build_template") is None:
        raise errors.invalid("A trigger needs a build or a file that says it.", "trigger.filename")
    sources = ("trigger_template", "github", "pubsub_config", "webhook_config")
    events = [name for name in (*sources, "repository_event_config") if pb.HasField(name)]
    if not events and not pb.HasField("source_to_build"):
        raise errors.invalid("A trigger needs a source or an event.", "trigger")
    if repository := trigger.repository_event_config.repository:
        if parent.endswith("/locations/global"):
            raise errors.invalid(
                "Repositories of the second generation need a regional trigger.",
                "trigger.repository_event_config",
            )
        find_repository(world, repository)
    for key in trigger.substitutions:
        if not re.fullmatch(r"_[A-Z0-9_]+", key):
            raise errors.invalid(f"Invalid substitution '{key}'.", "trigger.substitutions")
    if trigger.service_account:
        accounts.find(world, trigger.service_account)
