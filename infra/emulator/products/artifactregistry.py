"""Artifact Registry v1: repositories. What is in them is in artifactregistry_images.py."""

import re
from collections.abc import Callable
from typing import Any

from google.cloud import artifactregistry_v1 as ar
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, iam, messages, operations, pages, policies
from infra.emulator.api import Api, Call
from infra.emulator.machine import Machine
from infra.emulator.runtime.images import Images
from infra.emulator.world import Document, World

KIND = "repositories"

_PACKAGE = "google.cloud.artifactregistry_v1"
_SERVICE = "ArtifactRegistry"
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FIXED = {
    "name",
    "format_",
    "create_time",
    "update_time",
    "kms_key_name",
    "mode",
    "size_bytes",
    "satisfies_pzs",
    "satisfies_pzi",
    "registry_uri",
}

api = Api("artifactregistry", prefix="/artifactregistry")
operations.serve(api, "v1", "projects/*/locations/*/operations/*")


@api.method(
    _PACKAGE, _SERVICE, "CreateRepository", permission="artifactregistry.repositories.create"
)
def create_repository(call: Call[ar.CreateRepositoryRequest]) -> operations_pb2.Operation:
    """A new repository, for Docker images."""
    request = call.request
    if not _ID.fullmatch(request.repository_id):
        raise errors.invalid(f"Invalid repository id '{request.repository_id}'.", "repository_id")
    given = ar.Repository(messages.to_pb(request.repository))
    if given.format_ == ar.Repository.Format.FORMAT_UNSPECIFIED:
        raise errors.invalid("The format of the repository is required.", "repository.format")
    if given.format_ != ar.Repository.Format.DOCKER:
        raise errors.unimplemented(f"repositories of the format {given.format_.name}")
    name = f"{request.parent}/repositories/{request.repository_id}"
    _check(given)
    if call.world.get(KIND, name) is not None:
        raise _taken(name)

    def work() -> ar.Repository:
        with call.world.transaction():
            if call.world.get(KIND, name) is not None:
                raise _taken(name)
            given.name = name
            given.create_time = given.update_time = call.world.now()
            if not given.mode:
                messages.to_pb(given).mode = ar.Repository.Mode.STANDARD_REPOSITORY
            given.registry_uri = registry_uri(name)
            call.world.put(KIND, name, messages.dump(given))
        return given

    return _start(call, request.parent, ar.Repository, work)


@api.method(_PACKAGE, _SERVICE, "GetRepository", permission="artifactregistry.repositories.get")
def get_repository(call: Call[ar.GetRepositoryRequest]) -> ar.Repository:
    """One repository."""
    return _repository(call.world, call.request.name)


@api.method(_PACKAGE, _SERVICE, "ListRepositories", permission="artifactregistry.repositories.list")
def list_repositories(call: Call[ar.ListRepositoriesRequest]) -> ar.ListRepositoriesResponse:
    """A location's repositories, or with the location `-` all of a project's."""
    parent, _, location = call.request.parent.rpartition("/")
    prefix = f"{parent}/" if location == "-" else f"{call.request.parent}/repositories/"
    found = [messages.from_json(ar.Repository, body) for body in call.world.list(KIND, prefix)]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return ar.ListRepositoriesResponse(repositories=some, next_page_token=token)


@api.method(
    _PACKAGE, _SERVICE, "UpdateRepository", permission="artifactregistry.repositories.update"
)
def update_repository(call: Call[ar.UpdateRepositoryRequest]) -> ar.Repository:
    """Changes labels, description, cleanup policies and their dry run."""
    given = call.request.repository
    with call.world.transaction():
        repository = _repository(call.world, given.name)
        mask = messages.to_pb(call.request).update_mask
        pages.patch(messages.to_pb(repository), messages.to_pb(given), mask, _FIXED)
        _check(repository)
        repository.update_time = call.world.now()
        call.world.put(KIND, given.name, messages.dump(repository))
    return repository


@api.method(
    _PACKAGE, _SERVICE, "DeleteRepository", permission="artifactregistry.repositories.delete"
)
def delete_repository(call: Call[ar.DeleteRepositoryRequest]) -> operations_pb2.Operation:
    """Deletes a repository with its images."""
    name = call.request.name
    _repository(call.world, name)

    def work() -> None:
        with call.world.transaction():
            _repository(call.world, name)
            call.world.delete(KIND, name)
            registry(call).delete(f"{registry_uri(name)}/")
            iam.delete_policies(call.world, name)

    return _start(call, name.partition("/repositories/")[0], None, work)


def find_repository(world: World, name: str) -> Document:
    """Returns a repository's document; 404 if there is none."""
    body = world.get(KIND, name)
    if body is None:
        raise errors.not_found(f'Repository "{name}" not found or permission denied.')
    return body


policies.serve(api, _PACKAGE, _SERVICE, "artifactregistry.repositories", find_repository)


def _repository(world: World, name: str) -> ar.Repository:
    return messages.from_json(ar.Repository, find_repository(world, name))


def _check(repository: ar.Repository) -> None:
    pages.check_labels(repository.labels.items(), "repository.labels")
    for key, policy in repository.cleanup_policies.items():
        field = f"repository.cleanup_policies[{key}]"
        policy.id = policy.id or key
        if policy.id != key:
            raise errors.invalid("A cleanup policy's id must be its key.", f"{field}.id")
        if not policy.action:
            raise errors.invalid("A cleanup policy needs an action.", f"{field}.action")
        if messages.to_pb(policy).WhichOneof("condition_type") is None:
            raise errors.invalid("A cleanup policy needs a condition.", field)


def _taken(name: str) -> errors.GoogleError:
    return errors.already_exists(f'the repository already exists: "{name}"')


def _start(
    call: Call[Any], parent: str, kind: Any, work: Callable[[], object]
) -> operations_pb2.Operation:
    prefix = f"{parent}/operations"
    return operations.start(call.world, prefix, ar.OperationMetadata(), kind, work)


def registry_uri(repository: str) -> str:
    """What the names of a repository's images begin with."""
    _, project, _, location, _, repository_id = repository.split("/")
    return f"{location}-docker.pkg.dev/{project}/{repository_id}"


def registry(call: Call[Any]) -> Images:
    """What builds have pushed."""
    return call.cloud.part(Machine).runtime.images
