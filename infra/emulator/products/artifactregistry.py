"""Artifact Registry v1: repositories, and the Docker images that builds have put into them.

What is pushed the runtime's images know; here it gets Google's names.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from google.cloud import artifactregistry_v1 as ar
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, iam, messages, operations, pages, policies
from infra.emulator.api import Api, Call
from infra.emulator.machine import Machine
from infra.emulator.runtime.images import Images, Pushed
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
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

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
            given.registry_uri = _uri(name)
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
            _registry(call).delete(f"{_uri(name)}/")
            iam.delete_policies(call.world, name)

    return _start(call, name.partition("/repositories/")[0], None, work)


@api.method(_PACKAGE, _SERVICE, "ListDockerImages", permission="artifactregistry.dockerimages.list")
def list_docker_images(call: Call[ar.ListDockerImagesRequest]) -> ar.ListDockerImagesResponse:
    """The images of a repository."""
    found = [_docker_image(image) for image in _images(call, call.request.parent)]
    if call.request.order_by.startswith(("update_time", "upload_time", "updateTime", "uploadTime")):
        newest = call.request.order_by.endswith(" desc")
        found.sort(key=lambda image: image.upload_time, reverse=newest)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return ar.ListDockerImagesResponse(docker_images=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "GetDockerImage", permission="artifactregistry.dockerimages.get")
def get_docker_image(call: Call[ar.GetDockerImageRequest]) -> ar.DockerImage:
    """One image, `…/dockerImages/PACKAGE@DIGEST`."""
    repository, _, image = unquote(call.request.name).partition("/dockerImages/")
    return _one(
        (_docker_image(found) for found in _images(call, repository)),
        f"{repository}/dockerImages/{image}",
        call.request.name,
    )


@api.method(_PACKAGE, _SERVICE, "ListPackages", permission="artifactregistry.packages.list")
def list_packages(call: Call[ar.ListPackagesRequest]) -> ar.ListPackagesResponse:
    """The names under which a repository has images."""
    found = _packages(call, call.request.parent)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return ar.ListPackagesResponse(packages=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "GetPackage", permission="artifactregistry.packages.get")
def get_package(call: Call[ar.GetPackageRequest]) -> ar.Package:
    """One name."""
    name = call.request.name
    repository = name.partition("/packages/")[0]
    return _one(iter(_packages(call, repository)), name, name)


@api.method(_PACKAGE, _SERVICE, "ListVersions", permission="artifactregistry.versions.list")
def list_versions(call: Call[ar.ListVersionsRequest]) -> ar.ListVersionsResponse:
    """The digests under a name."""
    found = [_version(image) for image in _of_package(call, call.request.parent)]
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return ar.ListVersionsResponse(versions=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "GetVersion", permission="artifactregistry.versions.get")
def get_version(call: Call[ar.GetVersionRequest]) -> ar.Version:
    """One digest."""
    name = unquote(call.request.name)
    images = _of_package(call, call.request.name.partition("/versions/")[0])
    return _one((_version(image) for image in images), name, name)


@api.method(_PACKAGE, _SERVICE, "ListTags", permission="artifactregistry.tags.list")
def list_tags(call: Call[ar.ListTagsRequest]) -> ar.ListTagsResponse:
    """The tags under a name, and what each means."""
    found = _tags(call, call.request.parent)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return ar.ListTagsResponse(tags=some, next_page_token=token)


@api.method(_PACKAGE, _SERVICE, "GetTag", permission="artifactregistry.tags.get")
def get_tag(call: Call[ar.GetTagRequest]) -> ar.Tag:
    """What a tag means."""
    name = call.request.name
    return _one(iter(_tags(call, name.partition("/tags/")[0])), name, name)


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


def _uri(repository: str) -> str:
    _, project, _, location, _, repository_id = repository.split("/")
    return f"{location}-docker.pkg.dev/{project}/{repository_id}"


def _registry(call: Call[Any]) -> Images:
    return call.cloud.part(Machine).runtime.images


@dataclass(frozen=True)
class _Image:
    """A pushed image, by the names that Artifact Registry has for its parts."""

    repository: str
    package: str
    pushed: Pushed

    @property
    def package_name(self) -> str:
        return f"{self.repository}/packages/{quote(self.package, safe='')}"

    @property
    def docker_name(self) -> str:
        return f"{self.repository}/dockerImages/{self.package}@{self.pushed.image.digest}"

    @property
    def version_name(self) -> str:
        return f"{self.package_name}/versions/{self.pushed.image.digest}"


def _images(call: Call[Any], repository: str) -> list[_Image]:
    find_repository(call.world, repository)
    prefix = f"{_uri(repository)}/"
    return [
        _Image(repository, pushed.name.removeprefix(prefix), pushed)
        for pushed in _registry(call).pushed(prefix)
    ]


def _of_package(call: Call[Any], package: str) -> list[_Image]:
    repository, _, name = package.partition("/packages/")
    wanted = unquote(name)
    return [image for image in _images(call, repository) if image.package == wanted]


def _docker_image(image: _Image) -> ar.DockerImage:
    uploaded = image.pushed.uploaded
    return ar.DockerImage(
        name=image.docker_name,
        uri=f"{image.pushed.name}@{image.pushed.image.digest}",
        tags=sorted(image.pushed.tags),
        media_type=_MEDIA_TYPE,
        upload_time=uploaded,
        build_time=image.pushed.image.created,
        update_time=uploaded,
    )


def _packages(call: Call[Any], repository: str) -> list[ar.Package]:
    times: dict[tuple[str, str], list[str]] = {}
    for image in _images(call, repository):
        key = (image.package, image.package_name)
        times.setdefault(key, []).append(image.pushed.uploaded)
    return [
        ar.Package(
            name=name, display_name=package, create_time=min(uploaded), update_time=max(uploaded)
        )
        for (package, name), uploaded in sorted(times.items())
    ]


def _version(image: _Image) -> ar.Version:
    return ar.Version(
        name=image.version_name,
        create_time=image.pushed.uploaded,
        update_time=image.pushed.uploaded,
        metadata={"name": image.docker_name, "mediaType": _MEDIA_TYPE},
    )


def _tags(call: Call[Any], package: str) -> list[ar.Tag]:
    return [
        ar.Tag(name=f"{image.package_name}/tags/{tag}", version=image.version_name)
        for image in _of_package(call, package)
        for tag in sorted(image.pushed.tags)
    ]


def _one[T](found: Iterable[T], name: str, asked: str) -> T:
    for one in found:
        if name in (one.name, unquote(one.name)):  # type: ignore[attr-defined]
            return one
    raise errors.not_found(f'"{asked}" not found.')
