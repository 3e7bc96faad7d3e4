"""Cloud Storage: the bucket the source is uploaded to."""

import base64
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, override

from google.api_core.iam import Policy  # type: ignore[import-untyped,unused-ignore]
from google.cloud.storage import Bucket as StorageBucket  # type: ignore[import-untyped]
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.type import expr_pb2  # type: ignore[import-untyped]

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

KEPT_DAYS = 30
BATCH = 100


@dataclass(frozen=True)
class Bucket(Resource):
    """A bucket: nothing in it is public, and nothing in it gets old."""

    kind: ClassVar[str] = "bucket"
    tags: ClassVar[tuple[str, ...]] = ("storage",)
    fixed: ClassVar[dict[str, str]] = {"location": "a bucket can't move"}

    @property
    @override
    def name(self) -> str:
        return self.names.bucket

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
    def read(self, work: Work) -> Live | None:
        client = work.cloud.storage
        bucket = work.read("the bucket", lambda: client.get_bucket(self.name, retry=None))
        return None if bucket is None else observe(bucket)

    @override
    def create(self, work: Work) -> None:
        client = work.cloud.storage
        bucket = self.shaped(client.bucket(self.name))
        region = self.names.region
        work.call("create", lambda: client.create_bucket(bucket, location=region, retry=None))

    @override
    def update(self, work: Work, differences: list[Difference]) -> None:
        client = work.cloud.storage
        bucket = work.read("the bucket", lambda: client.get_bucket(self.name, retry=None))
        if bucket is not None:
            seen = bucket.metageneration
            shaped = self.shaped(bucket)
            work.call("update", lambda: shaped.patch(if_metageneration_match=seen, retry=None))

    def shaped(self, bucket: StorageBucket) -> StorageBucket:
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


def observe(bucket: StorageBucket) -> Live:
    """A bucket's fields."""
    access = bucket.iam_configuration
    return Live(
        {
            "location": bucket.location,
            "uniform_access": access.uniform_bucket_level_access_enabled,
            "public_access_prevention": access.public_access_prevention,
            "lifecycle": [dict(rule) for rule in bucket.lifecycle_rules],
            **labels_live(bucket.labels),
        },
        labels=bucket.labels,
    )


@dataclass(frozen=True)
class BucketScope(Scope):
    """A bucket's policy; `resource` is the bucket's name."""

    tags: ClassVar[tuple[str, ...]] = ("storage",)

    @override
    def get(self, cloud: Cloud, request: iam_policy_pb2.GetIamPolicyRequest) -> policy_pb2.Policy:
        bucket = cloud.storage.bucket(self.resource)
        version = request.options.requested_policy_version
        answer = bucket.get_iam_policy(requested_policy_version=version, retry=None)
        policy = policy_pb2.Policy(
            version=answer.version or 1, etag=base64.b64decode(answer.etag or "")
        )
        for each in answer.bindings:
            condition = each.get("condition")
            policy.bindings.add(
                role=each["role"],
                members=sorted(each.get("members", ())),
                condition=expr_pb2.Expr(**condition) if condition else None,
            )
        return policy

    @override
    def set(self, cloud: Cloud, request: iam_policy_pb2.SetIamPolicyRequest) -> None:
        etag = base64.b64encode(request.policy.etag).decode()
        policy = Policy(etag, request.policy.version)  # type: ignore[no-untyped-call]
        policy.bindings = [binding(each) for each in request.policy.bindings]
        cloud.storage.bucket(self.resource).set_iam_policy(policy, retry=None)


def binding(given: policy_pb2.Binding) -> dict[str, object]:
    """A binding in the JSON API's words."""
    fields: dict[str, object] = {"role": given.role, "members": set(given.members)}
    if given.HasField("condition"):
        condition = given.condition
        fields["condition"] = {
            "title": condition.title,
            "description": condition.description,
            "expression": condition.expression,
        }
    return fields
