"""Cloud Storage: the bucket the source is uploaded to."""

# ruff: noqa: PLC0415

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, override

from infra.cloud import Cloud
from infra.resources.asks import Ask, at, fields, flag, listed, text, texts
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
from infra.resources.iam import Scope, members
from infra.rest import Json, Request

if TYPE_CHECKING:
    from google.cloud.storage import Bucket as StorageBucket  # type: ignore[import-untyped]

KEPT_DAYS = 30
BATCH = 100
PAGE = "1000"


@dataclass(frozen=True)
class Bucket(Resource):
    """A bucket: nothing in it is public, and nothing in it gets old."""

    kind: ClassVar[str] = "bucket"
    tags: ClassVar[tuple[str, ...]] = ("storage",)
    permissions: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "read": ("storage.buckets.get", "storage.buckets.list"),
        "create": ("storage.buckets.create",),
        "update": (
            "storage.buckets.get",
            "storage.buckets.getIamPolicy",
            "storage.buckets.setIamPolicy",
            "storage.buckets.update",
        ),
        "delete": ("storage.buckets.delete", "storage.objects.delete", "storage.objects.list"),
    }
    fixed: ClassVar[dict[str, str]] = {"location": "a bucket can't move"}

    @property
    @override
    def name(self) -> str:
        return self.names.bucket

    @override
    def asks(self) -> Mapping[str, Ask]:
        query = (("project", self.names.project), ("maxResults", PAGE))
        buckets = Request("storage", "storage/v1/b", query, "items")
        bucket = Request("storage", f"storage/v1/b/{self.name}")
        return {"bucket": Ask("the buckets", buckets, bucket, ("name", self.name))}

    @override
    def observe(self, found: Found) -> Live | None:
        bucket = found.get("bucket")
        if bucket is None:
            return None
        labels = texts(bucket, "labels")
        access = fields(bucket, "iamConfiguration")
        return Live(
            {
                "location": text(bucket, "location"),
                "uniform_access": flag(access, "uniformBucketLevelAccess", "enabled"),
                "public_access_prevention": text(access, "publicAccessPrevention"),
                "lifecycle": [*listed(bucket, "lifecycle", "rule")],
                **labels_live(labels),
            },
            labels=labels,
        )

    @override
    def declared(self, live: Live | None) -> Fields:
        return {
            "location": self.names.region.upper(),
            "uniform_access": True,
            "public_access_prevention": "enforced",
            "lifecycle": [{"action": {"type": "Delete"}, "condition": {"age": KEPT_DAYS}}],
            **labels_declared(self.names),
        }

    @override
    def create(self, work: Work) -> None:
        client, names = work.cloud.storage, self.names
        bucket = self.shaped(client.bucket(self.name))
        create = partial(client.create_bucket, bucket, project=names.project, retry=None)
        work.call("create", partial(create, location=names.region))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        client = work.cloud.storage
        bucket = work.read("the bucket", lambda: client.get_bucket(self.name, retry=None))
        if bucket is not None:
            seen = bucket.metageneration
            shaped = self.shaped(bucket)
            work.call("update", lambda: shaped.patch(if_metageneration_match=seen, retry=None))

    def shaped(self, bucket: "StorageBucket") -> "StorageBucket":
        """The bucket with what we declare."""
        bucket.iam_configuration.uniform_bucket_level_access_enabled = True
        bucket.iam_configuration.public_access_prevention = "enforced"
        bucket.lifecycle_rules = self.declared(None)["lifecycle"]
        bucket.labels = {**bucket.labels, **self.names.labels}
        return bucket

    @override
    def delete(self, work: Work) -> None:
        bucket = work.cloud.storage.bucket(self.name)
        blobs = work.call("list its objects", lambda: list(bucket.list_blobs(retry=None)))
        for start in range(0, len(blobs), BATCH):
            batch = blobs[start : start + BATCH]
            work.call("empty", partial(bucket.delete_blobs, batch, on_error=ignore))
        work.call("delete", lambda: bucket.delete(retry=None))


def ignore(blob: object) -> None:
    """An object that is gone already."""


@dataclass(frozen=True)
class BucketScope(Scope):
    """A bucket's policy; `resource` is the bucket's name."""

    tags: ClassVar[tuple[str, ...]] = ("storage",)
    policy: ClassVar[str] = "storage.buckets"

    @override
    def request(self) -> Request:
        query = (("optionsRequestedPolicyVersion", "3"),)
        return Request("storage", f"storage/v1/b/{self.resource}/iam", query)

    @override
    def set(self, cloud: Cloud, policy: Json) -> None:
        from google.api_core.iam import Policy  # type: ignore[import-untyped,unused-ignore]

        version = at(policy, "version")
        replacing = Policy(text(policy, "etag"), version)  # type: ignore[no-untyped-call]
        replacing.bindings = [
            {**binding, "members": {str(each) for each in members(binding)}}
            for binding in listed(policy, "bindings")
        ]
        cloud.storage.bucket(self.resource).set_iam_policy(replacing, retry=None)
