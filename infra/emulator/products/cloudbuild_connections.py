"""Cloud Build v2: connections to Git hosts, and the repositories there. Nothing is asked of a host.

A connection is installed from the start; what Google would have a person click through can be asked
for with the annotation `emulator/installation-state`.
"""

import re
from typing import Any

from google.cloud.devtools import cloudbuild_v2 as v2
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, iam, messages, operations, pages, policies
from infra.emulator.api import Api, Call
from infra.emulator.world import World

CONNECTIONS = "build_connections"
REPOSITORIES = "build_repositories"
STATE_ANNOTATION = "emulator/installation-state"

_V2 = "google.cloud.devtools.cloudbuild_v2"
_MANAGER = "RepositoryManager"
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?")
_ID = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_CONNECTION_FIXED = {"name", "create_time", "update_time", "installation_state", "reconciling"}

api = Api("cloudbuild", prefix="/cloudbuild")
operations.serve(api, "v2", "projects/*/locations/*/operations/*")


@api.method(_V2, _MANAGER, "CreateConnection", permission="cloudbuild.connections.create")
def create_connection(call: Call[v2.CreateConnectionRequest]) -> operations_pb2.Operation:
    """A new connection to a Git host."""
    name = f"{call.request.parent}/connections/{call.request.connection_id}"
    if not _ID.fullmatch(call.request.connection_id):
        raise errors.invalid(
            f"Invalid connection id '{call.request.connection_id}'.", "connection_id"
        )
    connection = v2.Connection(messages.to_pb(call.request.connection))
    if messages.to_pb(connection).WhichOneof("connection_config") is None:
        raise errors.invalid("The connection's configuration is required.", "connection")
    if call.world.get(CONNECTIONS, name) is not None:
        raise _taken(name)

    def work() -> v2.Connection:
        with call.world.transaction():
            if call.world.get(CONNECTIONS, name) is not None:
                raise _taken(name)
            connection.name = name
            connection.create_time = call.world.now()
            return _put_connection(call.world, connection)

    return _start(call, "create", name, v2.Connection, work)


@api.method(_V2, _MANAGER, "GetConnection", permission="cloudbuild.connections.get")
def get_connection(call: Call[v2.GetConnectionRequest]) -> v2.Connection:
    """One connection."""
    return _connection(call.world, call.request.name)


@api.method(_V2, _MANAGER, "ListConnections", permission="cloudbuild.connections.list")
def list_connections(call: Call[v2.ListConnectionsRequest]) -> v2.ListConnectionsResponse:
    """A region's connections."""
    bodies = call.world.list(CONNECTIONS, f"{call.request.parent}/connections/")
    found = [messages.from_json(v2.Connection, body) for body in bodies]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return v2.ListConnectionsResponse(connections=some, next_page_token=token)


@api.method(_V2, _MANAGER, "UpdateConnection", permission="cloudbuild.connections.update")
def update_connection(call: Call[v2.UpdateConnectionRequest]) -> operations_pb2.Operation:
    """Changes a connection."""
    given = call.request.connection
    name = given.name
    _check_etag(call.request.etag or given.etag, _connection(call.world, name).etag)
    mask = messages.to_pb(call.request).update_mask

    def work() -> v2.Connection:
        with call.world.transaction():
            connection = _connection(call.world, name)
            fixed = _CONNECTION_FIXED | {"etag"}
            pages.patch(messages.to_pb(connection), messages.to_pb(given), mask, fixed)
            return _put_connection(call.world, connection)

    return _start(call, "update", name, v2.Connection, work)


@api.method(_V2, _MANAGER, "DeleteConnection", permission="cloudbuild.connections.delete")
def delete_connection(call: Call[v2.DeleteConnectionRequest]) -> operations_pb2.Operation:
    """Deletes a connection with its repositories."""
    name = call.request.name
    _check_etag(call.request.etag, _connection(call.world, name).etag)

    def work() -> None:
        with call.world.transaction():
            call.world.delete(CONNECTIONS, name)
            for body in call.world.list(REPOSITORIES, f"{name}/repositories/"):
                call.world.delete(REPOSITORIES, body["name"])
            iam.delete_policies(call.world, name)

    return _start(call, "delete", name, None, work)


@api.method(_V2, _MANAGER, "CreateRepository", permission="cloudbuild.repositories.create")
def create_repository(call: Call[v2.CreateRepositoryRequest]) -> operations_pb2.Operation:
    """Makes a repository of the Git host known."""
    given = v2.Repository(messages.to_pb(call.request.repository))
    return _create_repository(call, call.request.parent, call.request.repository_id, given)


@api.method(_V2, _MANAGER, "GetRepository", permission="cloudbuild.repositories.get")
def get_repository(call: Call[v2.GetRepositoryRequest]) -> v2.Repository:
    """One repository."""
    return find_repository(call.world, call.request.name)


@api.method(_V2, _MANAGER, "ListRepositories", permission="cloudbuild.repositories.list")
def list_repositories(call: Call[v2.ListRepositoriesRequest]) -> v2.ListRepositoriesResponse:
    """A connection's repositories."""
    _connection(call.world, call.request.parent)
    bodies = call.world.list(REPOSITORIES, f"{call.request.parent}/repositories/")
    found = [messages.from_json(v2.Repository, body) for body in bodies]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return v2.ListRepositoriesResponse(repositories=some, next_page_token=token)


@api.method(_V2, _MANAGER, "DeleteRepository", permission="cloudbuild.repositories.delete")
def delete_repository(call: Call[v2.DeleteRepositoryRequest]) -> operations_pb2.Operation:
    """Forgets a repository; at the Git host it stays."""
    name = call.request.name
    _check_etag(call.request.etag, find_repository(call.world, name).etag)

    def work() -> None:
        call.world.delete(REPOSITORIES, name)

    return _start(call, "delete", name, None, work)


def _connection(world: World, name: str) -> v2.Connection:
    body = world.get(CONNECTIONS, name)
    if body is None:
        raise _missing(name)
    return messages.from_json(v2.Connection, body)


policies.serve(api, _V2, _MANAGER, "cloudbuild.connections", _connection)


def find_repository(world: World, name: str) -> v2.Repository:
    """Returns a repository; 404 if there is none."""
    body = world.get(REPOSITORIES, name)
    if body is None:
        raise _missing(name)
    return messages.from_json(v2.Repository, body)


def uris(world: World) -> set[str]:
    """The addresses of all repositories that are connected."""
    return {str(body.get("remoteUri")) for body in world.list(REPOSITORIES)}


def _create_repository(
    call: Call[Any], parent: str, repository_id: str, given: v2.Repository
) -> operations_pb2.Operation:
    connection = _connection(call.world, parent)
    if connection.installation_state.stage != v2.InstallationState.Stage.COMPLETE:
        raise errors.precondition(f"The installation of the connection {parent} is not complete.")
    name = f"{parent}/repositories/{repository_id}"
    if not _NAME.fullmatch(repository_id):
        raise errors.invalid(f"Invalid repository id '{repository_id}'.", "repository_id")
    if not re.fullmatch(r"https://\S+\.git", given.remote_uri):
        raise errors.invalid(
            f"Invalid remote URI '{given.remote_uri}': it must be https://….git.",
            "repository.remote_uri",
        )
    if call.world.get(REPOSITORIES, name) is not None:
        raise _taken(name)

    def work() -> v2.Repository:
        with call.world.transaction():
            if call.world.get(REPOSITORIES, name) is not None:
                raise _taken(name)
            given.name = name
            given.create_time = given.update_time = call.world.now()
            given.etag = pages.etag()
            call.world.put(REPOSITORIES, name, messages.dump(given))
        return given

    return _start(call, "create", name, v2.Repository, work)


def _put_connection(world: World, connection: v2.Connection) -> v2.Connection:
    connection.update_time = world.now()
    connection.etag = pages.etag()
    stage = connection.annotations.get(STATE_ANNOTATION, "COMPLETE")
    stages: dict[str, v2.InstallationState.Stage] = dict(v2.InstallationState.Stage.__members__)
    if stage not in stages:
        raise errors.invalid(f"Unknown installation state '{stage}'.", "connection.annotations")
    state = v2.InstallationState(stage=stages[stage])
    if stage != "COMPLETE":
        state.message = "Please finish the installation at the given link."
        state.action_uri = f"https://console.cloud.google.com/cloud-build/{connection.name}"
    connection.installation_state = state
    world.put(CONNECTIONS, connection.name, messages.dump(connection))
    return connection


def _start(
    call: Call[Any], verb: str, name: str, kind: Any, work: operations.Work
) -> operations_pb2.Operation:
    metadata = v2.OperationMetadata(
        create_time=call.world.now(), target=name, verb=verb, api_version="v2"
    )
    parent = "/".join(name.split("/")[:4])
    return operations.start(call.world, f"{parent}/operations", metadata, kind, work)


def _check_etag(given: str, current: str) -> None:
    if given and given != current:
        raise errors.aborted("The etag does not match the current one: read it again.")


def _taken(name: str) -> errors.GoogleError:
    return errors.already_exists(f"Resource '{name}' already exists.")


def _missing(name: str) -> errors.GoogleError:
    return errors.not_found(f"Resource '{name}' was not found.")
