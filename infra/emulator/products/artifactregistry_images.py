"""Artifact Registry v1: the Docker images, packages, versions and tags of a repository. Only reads.

What is pushed the runtime's images know; here it gets Google's names.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from google.cloud import artifactregistry_v1 as ar

from infra.emulator import errors, pages
from infra.emulator.api import Api, Call
from infra.emulator.products.artifactregistry import find_repository, registry, registry_uri
from infra.emulator.runtime.images import Pushed

_PACKAGE = "google.cloud.artifactregistry_v1"
_SERVICE = "ArtifactRegistry"
_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

api = Api("artifactregistry", prefix="/artifactregistry")


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
    prefix = f"{registry_uri(repository)}/"
    return [
        _Image(repository, pushed.name.removeprefix(prefix), pushed)
        for pushed in registry(call).pushed(prefix)
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
