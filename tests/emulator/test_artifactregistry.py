"""Artifact Registry through its own client."""

import pytest
from google.api_core import exceptions
from google.cloud import artifactregistry_v1 as ar

from infra.emulator.runtime.dockerfile import Config
from infra.emulator.runtime.images import Images, Reference, make_image
from infra.emulator.world import World
from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator, finish

POLICIES = {
    "old": {"action": "DELETE", "condition": {"older_than": {"seconds": 86400 * 30}}},
    "new": {"action": "KEEP", "most_recent_versions": {"keep_count": 10}},
}


@pytest.fixture
def registry(emulator: Emulator) -> ar.ArtifactRegistryClient:
    return ar.ArtifactRegistryClient(**emulator.arguments("artifactregistry"))


def create(
    registry: ar.ArtifactRegistryClient, project: str, name: str = "orders"
) -> ar.Repository:
    repository = {"format_": "DOCKER", "labels": {"a": "b"}, "cleanup_policies": POLICIES}
    operation = registry.create_repository(
        request={
            "parent": f"projects/{project}/locations/europe-west1",
            "repository_id": name,
            "repository": repository,
        }
    )
    made: ar.Repository = finish(operation)
    return made


def test_the_life_of_a_repository(registry: ar.ArtifactRegistryClient, project: str) -> None:
    made = create(registry, project)
    assert made.name == f"projects/{project}/locations/europe-west1/repositories/orders"
    assert made.mode == ar.Repository.Mode.STANDARD_REPOSITORY
    assert made.registry_uri == f"europe-west1-docker.pkg.dev/{project}/orders"
    assert made.cleanup_policies["new"].id == "new"
    assert registry.get_repository(name=made.name) == made
    with pytest.raises(exceptions.Conflict, match="already exists"):
        create(registry, project)
    changed = registry.update_repository(
        request={
            "repository": {"name": made.name, "cleanup_policy_dry_run": True, "labels": {"x": "y"}},
            "update_mask": {"paths": ["cleanup_policy_dry_run"]},
        }
    )
    assert changed.cleanup_policy_dry_run
    assert dict(changed.labels) == {"a": "b"}
    finish(registry.delete_repository(name=made.name))
    with pytest.raises(exceptions.NotFound):
        registry.get_repository(name=made.name)
    with pytest.raises(exceptions.NotFound):
        registry.delete_repository(name=made.name)


@pytest.mark.parametrize(
    ("repository", "name", "message"),
    [
        ({}, "orders", "format"),
        ({"format_": "DOCKER"}, "Orders", "repository id"),
        ({"format_": "DOCKER", "labels": {"A": "b"}}, "orders", "label"),
        ({"format_": "DOCKER", "cleanup_policies": {"x": {}}}, "orders", "action"),
    ],
)
def test_a_wrong_repository_is_refused(
    registry: ar.ArtifactRegistryClient,
    project: str,
    repository: dict[str, object],
    name: str,
    message: str,
) -> None:
    with pytest.raises(exceptions.BadRequest, match=message):
        registry.create_repository(
            request={
                "parent": f"projects/{project}/locations/europe-west1",
                "repository_id": name,
                "repository": repository,
            }
        )


def test_a_mask_of_unknown_fields_is_refused(
    registry: ar.ArtifactRegistryClient, project: str
) -> None:
    name = create(registry, project).name
    for path in ("colour", "name"):
        with pytest.raises(exceptions.BadRequest, match=path):
            registry.update_repository(
                request={
                    "repository": {"name": name},
                    "update_mask": {"paths": [path]},
                }
            )


def test_repositories_are_paged(registry: ar.ArtifactRegistryClient, project: str) -> None:
    names = [create(registry, project, f"r{i}").name for i in range(3)]
    for location in ("europe-west1", "-"):
        request = {"parent": f"projects/{project}/locations/{location}", "page_size": 2}
        assert [one.name for one in registry.list_repositories(request)] == names


def test_images_have_tags_and_versions(
    emulator: Emulator, registry: ar.ArtifactRegistryClient, project: str
) -> None:
    repository = create(registry, project).name
    uri = f"europe-west1-docker.pkg.dev/{project}/orders/orders"
    world = World(emulator.folder)
    images = Images(emulator.folder / "images", world)
    image = make_image("layer", Config())
    images.push(Reference.parse(f"{uri}:v1"), image)
    images.push(Reference.parse(f"{uri}:latest"), image)
    world.close()
    found = list(registry.list_docker_images(parent=repository))
    assert [(one.uri, list(one.tags)) for one in found] == [
        (f"{uri}@{image.digest}", ["latest", "v1"])
    ]
    assert registry.get_docker_image(name=found[0].name) == found[0]
    packages = list(registry.list_packages(parent=repository))
    assert [one.name for one in packages] == [f"{repository}/packages/orders"]
    tags = list(registry.list_tags(parent=packages[0].name))
    assert [one.name.rpartition("/")[2] for one in tags] == ["latest", "v1"]
    versions = list(registry.list_versions(parent=packages[0].name))
    assert [one.name for one in versions] == [tags[0].version]
    assert registry.get_version(name=tags[0].version).name == tags[0].version
    assert registry.get_tag(name=tags[0].name) == tags[0]
    with pytest.raises(exceptions.NotFound):
        registry.get_tag(name=f"{packages[0].name}/tags/none")


def test_a_repository_has_a_policy(
    emulator: Emulator, registry: ar.ArtifactRegistryClient, project: str
) -> None:
    name = create(registry, project).name
    email = create_account(emulator, project, "orders-build")
    builder = ar.ArtifactRegistryClient(**emulator.arguments("artifactregistry", email))
    with pytest.raises(exceptions.Forbidden):
        builder.get_repository(name=name)
    policy = registry.get_iam_policy(request={"resource": name})
    policy.bindings.add(role="roles/artifactregistry.writer", members=[f"serviceAccount:{email}"])
    registry.set_iam_policy(request={"resource": name, "policy": policy})
    assert builder.get_repository(name=name).name == name
    with pytest.raises(exceptions.Forbidden):
        builder.delete_repository(name=name)
    with pytest.raises(exceptions.Conflict):
        registry.set_iam_policy(request={"resource": name, "policy": policy})


def test_a_disabled_api_answers_403(registry: ar.ArtifactRegistryClient, bare_project: str) -> None:
    with pytest.raises(exceptions.Forbidden, match="SERVICE_DISABLED"):
        create(registry, bare_project)
