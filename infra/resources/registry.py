"""Artifact Registry: the repository of the service's images, and what is cleaned up in it."""

from dataclasses import dataclass
from typing import ClassVar, override

from google.cloud import artifactregistry_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.protobuf import (  # type: ignore[import-untyped,unused-ignore]
    duration_pb2,
    field_mask_pb2,
)

from infra.cloud import Cloud
from infra.resources.base import (
    Difference,
    Fields,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.iam import Scope

KEPT_VERSIONS = 20
KEPT_DAYS = 30
DAY = 24 * 60 * 60
KEEP = "keep-recent"
DELETE = "delete-old"


@dataclass(frozen=True)
class Repository(Resource):
    """A repository of images: old ones go, but for the last few."""

    kind: ClassVar[str] = "registry"
    tags: ClassVar[tuple[str, ...]] = ("registry",)
    fixed: ClassVar[dict[str, str]] = {"format": "a repository's format can't change"}

    @property
    @override
    def name(self) -> str:
        return self.names.name

    @override
    def declared(self, live: Live | None) -> Fields:
        return {
            "format": "DOCKER",
            "cleanup_policy_dry_run": False,
            "cleanup_policies": {
                DELETE: f"delete after {KEPT_DAYS} days",
                KEEP: f"keep the last {KEPT_VERSIONS}",
            },
            **labels_declared(self.names),
        }

    @override
    def read(self, work: Work) -> Live | None:
        name = self.names.repository
        found = work.read("the repository", lambda: work.cloud.artifacts.get_repository(name=name))
        return None if found is None else observe(found)

    @override
    def create(self, work: Work) -> None:
        creating = work.call(
            "create",
            lambda: work.cloud.artifacts.create_repository(
                parent=self.names.location, repository_id=self.name, repository=self.shaped({})
            ),
        )
        work.wait("creating", creating)

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        name = self.names.repository
        found = work.read("the repository", lambda: work.cloud.artifacts.get_repository(name=name))
        shaped = self.shaped(dict(found.labels) if found else {})
        paths = {each.path.partition(".")[0] for each in differences}
        mask = field_mask_pb2.FieldMask(paths=sorted(paths))
        work.call(
            "update",
            lambda: work.cloud.artifacts.update_repository(repository=shaped, update_mask=mask),
        )

    def shaped(self, labels: dict[str, str]) -> artifactregistry_v1.Repository:
        """The repository as we declare it."""
        policy = artifactregistry_v1.CleanupPolicy
        keep = policy(
            id=KEEP,
            action=policy.Action.KEEP,
            most_recent_versions=artifactregistry_v1.CleanupPolicyMostRecentVersions(
                keep_count=KEPT_VERSIONS
            ),
        )
        delete = policy(
            id=DELETE,
            action=policy.Action.DELETE,
            condition=artifactregistry_v1.CleanupPolicyCondition(
                tag_state=artifactregistry_v1.CleanupPolicyCondition.TagState.ANY,
                older_than=duration_pb2.Duration(seconds=KEPT_DAYS * DAY),
            ),
        )
        return artifactregistry_v1.Repository(
            name=self.names.repository,
            format_=artifactregistry_v1.Repository.Format.DOCKER,
            description=f"Images of {self.name}",
            labels={**labels, **self.names.labels},
            cleanup_policies={KEEP: keep, DELETE: delete},
            cleanup_policy_dry_run=False,
        )

    @override
    def delete(self, work: Work) -> None:
        name = self.names.repository
        deleting = work.call("delete", lambda: work.cloud.artifacts.delete_repository(name=name))
        work.wait("deleting", deleting)


def observe(found: artifactregistry_v1.Repository) -> Live:
    """A repository's fields."""
    return Live(
        {
            "format": found.format_.name,
            "cleanup_policy_dry_run": found.cleanup_policy_dry_run,
            "cleanup_policies": {
                key: describe(found.cleanup_policies[key]) for key in sorted(found.cleanup_policies)
            },
            **labels_live(found.labels),
        },
        labels=dict(found.labels),
    )


def describe(policy: artifactregistry_v1.CleanupPolicy) -> str:
    """A cleanup policy in words; one that is not of our form, in full."""
    recent, condition = policy.most_recent_versions, policy.condition
    if policy.action.name == "KEEP" and recent and not recent.package_name_prefixes:
        return f"keep the last {recent.keep_count}"
    plain = not (condition.tag_prefixes or condition.package_name_prefixes or condition.newer_than)
    if policy.action.name == "DELETE" and plain and condition.tag_state.name == "ANY":
        seconds = condition.older_than.total_seconds()
        return f"delete after {seconds / DAY:g} days"
    return str(policy)


@dataclass(frozen=True)
class RepositoryScope(Scope):
    """The repository's policy."""

    tags: ClassVar[tuple[str, ...]] = ("registry",)

    @override
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        return cloud.artifacts.get_iam_policy(request)

    @override
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        cloud.artifacts.set_iam_policy(request)
