"""Cloud Storage's JSON API v1: who may do what with a bucket."""

import base64
from typing import Any

from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from infra.emulator import buckets, iam, messages
from infra.emulator.api import Api, Call
from infra.emulator.buckets import BUCKETS, find_bucket, uris
from infra.emulator.errors import GoogleError
from infra.emulator.world import Document

api = Api("storage", prefix="/storage", old_errors=True)


@api.route("GET", *uris("b/{bucket}/iam"), name="storage.buckets.getIamPolicy")
def get_iam_policy(call: Call) -> Document:
    """Who may do what with a bucket."""
    name = find_bucket(call, "storage.buckets.getIamPolicy")["body"]["name"]
    version = buckets.number(call.query, "optionsRequestedPolicyVersion") or 1
    return _policy(name, iam.get_policy(call.world, f"buckets/{name}", version))


@api.route("PUT", *uris("b/{bucket}/iam"), name="storage.buckets.setIamPolicy", body="*")
def set_iam_policy(call: Call) -> Document:
    """Replaces who may do what with a bucket; an old etag is a 412 here."""
    given = {key: call.request[key] for key in call.request if key not in ("kind", "resourceId")}
    with call.world.transaction():
        body = find_bucket(call, "storage.buckets.setIamPolicy")["body"]
        name = body["name"]
        policy = messages.parse(
            policy_pb2.Policy, messages.to_bytes(given), body_field="*", query=[], path={}
        )
        public = {"allUsers", "allAuthenticatedUsers"}
        if body["iamConfiguration"]["publicAccessPrevention"] == "enforced" and any(
            public & set(binding.members) for binding in policy.bindings
        ):
            raise GoogleError(
                412,
                "FAILED_PRECONDITION",
                "The member bindings allUsers and allAuthenticatedUsers are not allowed since"
                " public access prevention is enforced.",
                "conditionNotMet",
            )
        try:
            kept = iam.set_policy(call.world, f"buckets/{name}", policy, "storage")
        except GoogleError as error:
            if error.status == "ABORTED":
                raise buckets.condition_not_met("etag") from None
            raise
    return _policy(name, kept)


@api.route(
    "GET", *uris("b/{bucket}/iam/testPermissions"), name="storage.buckets.testIamPermissions"
)
def test_iam_permissions(call: Call) -> Document:
    """What the caller may do with a bucket."""
    name = call.params["bucket"]
    if call.world.get(BUCKETS, name) is None:
        raise buckets.no_bucket()
    held = [
        permission
        for permission in call.all("permissions")
        if iam.has_permission(call.world, call.caller, permission, f"buckets/{name}")
    ]
    return {"kind": "storage#testIamPermissionsResponse", "permissions": held}


def _policy(name: str, policy: policy_pb2.Policy) -> Document:
    shown: dict[str, Any] = messages.dump(policy)
    shown["etag"] = base64.b64encode(policy.etag).decode()
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{name}", **shown}
