"""Artifact Registry: the repository of the service's images, and what is cleaned up in it."""

# ruff: noqa: PLC0415

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, override

from infra.cloud import Cloud
from infra.resources.asks import Ask, fields, flag, text, texts
from infra.resources.base import (
    Difference,
    Fields,
    Found,
    Live,
    Resource,
    Work,
    labels_declared,
    labels_live,
)
from infra.resources.iam import Scope, get_policy, replacing
from infra.rest import Json, Request
from infra.yaml_file import Value

if TYPE_CHECKING:
    from google.cloud import artifactregistry_v1

KEPT_VERSIONS = 20
KEPT_DAYS = 30
DAY = 24 * 60 * 60
PAGE = "1000"
KEEP = "keep-recent"
DELETE = "delete-old"


@dataclass(frozen=True)
class Repository(Resource):
    """A repository of images: old ones go, but for the last few."""

    kind: ClassVar[str] = "registry"
    tags: ClassVar[tuple[str, ...]] = ("registry",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("artifactregistry.repositories.get", "artifactregistry.repositories.list"),
        "create": ("artifactregistry.repositories.create",),
        "update": ("artifactregistry.repositories.get", "artifactregistry.repositories.update"),
        "delete": ("artifactregistry.repositories.delete",),
    }
    fixed: ClassVar[dict[str, str]] = {"format": "a repository's format can't change"}

    @property
    @override
    def name(self) -> str:
        return self.names.name

    @override
    def asks(self) -> Mapping[str, Ask]:
        path = f"v1/{self.names.location}/repositories"
        repositories = Request("artifactregistry", path, (("pageSize", PAGE),), "repositories")
        repository = Request("artifactregistry", f"v1/{self.names.repository}")
        match = ("name", self.names.repository)
        return {"repository": Ask("the repositories", repositories, repository, match)}

    @override
    def observe(self, found: Found) -> Live | None:
        repository = found.get("repository")
        if repository is None:
            return None
        labels = texts(repository, "labels")
        policies = fields(repository, "cleanupPolicies")
        return Live(
            {
                "format": text(repository, "format"),
                "cleanup_policy_dry_run": flag(repository, "cleanupPolicyDryRun"),
                "cleanup_policies": {key: describe(policies[key]) for key in sorted(policies)},
                **labels_live(labels),
            },
            labels=labels,
        )

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
    def create(self, work: Work) -> None:
        work.operate(
            "create",
            lambda: work.cloud.artifacts.create_repository(
                parent=self.names.location, repository_id=self.name, repository=self.shaped({})
            ),
        )

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

        found = work.ask(self.asks()["repository"])
        shaped = self.shaped(texts(found, "labels"))
        paths = {each.path.partition(".")[0] for each in differences}
        mask = field_mask_pb2.FieldMask(paths=sorted(paths))
        work.call(
            "update",
            lambda: work.cloud.artifacts.update_repository(repository=shaped, update_mask=mask),
        )

    def shaped(self, labels: dict[str, str]) -> "artifactregistry_v1.Repository":
        """The repository as we declare it."""
        from google.cloud import artifactregistry_v1
        from google.protobuf import duration_pb2  # type: ignore[import-untyped,unused-ignore]

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
        work.operate("delete", lambda: work.cloud.artifacts.delete_repository(name=name))


def describe(policy: Value) -> Value:
    """A cleanup policy in words; one that is not of our form, as it is."""
    recent, condition = fields(policy, "mostRecentVersions"), fields(policy, "condition")
    if text(policy, "action") == "KEEP" and recent.keys() == {"keepCount"}:
        return f"keep the last {recent['keepCount']}"
    of_age = condition.keys() == {"tagState", "olderThan"} and condition["tagState"] == "ANY"
    if text(policy, "action") == "DELETE" and of_age:
        return f"delete after {float(text(condition, 'olderThan').rstrip('s')) / DAY:g} days"
    return policy


@dataclass(frozen=True)
class RepositoryScope(Scope):
    """The repository's policy."""

    tags: ClassVar[tuple[str, ...]] = ("registry",)
    policy: ClassVar[str] = "artifactregistry.repositories"

    @override
    def request(self) -> Request:
        return get_policy("artifactregistry", "v1", self.resource)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        cloud.artifacts.set_iam_policy(replacing(self.resource, policy))
