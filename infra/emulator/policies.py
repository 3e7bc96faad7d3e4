"""The three IAM methods that every service with policies has."""

from collections.abc import Callable
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, iam
from infra.emulator.api import Api, Call
from infra.emulator.world import World

type Check = Callable[[World, str], object]


def serve(api: Api, package: str, service: str, kind: str, check: Check) -> None:
    """Answers GetIamPolicy, SetIamPolicy and TestIamPermissions of a client library's service.

    `kind` is what its permissions start with (`run.services`); `check(world, resource)` raises 404
    where the resource is not there.
    """

    @api.method(package, service, "GetIamPolicy", permission=f"{kind}.getIamPolicy")
    def get_iam_policy(call: Call[iam_policy_pb2.GetIamPolicyRequest]) -> policy_pb2.Policy:
        return get(call, check)

    @api.method(package, service, "SetIamPolicy", permission=f"{kind}.setIamPolicy")
    def set_iam_policy(call: Call[iam_policy_pb2.SetIamPolicyRequest]) -> policy_pb2.Policy:
        # On a project any role can be granted, elsewhere what concerns the resource's service.
        service = kind.partition(".")[0]
        return put(call, check, "" if service == "resourcemanager" else service)

    @api.method(package, service, "TestIamPermissions")
    def test_iam_permissions(
        call: Call[iam_policy_pb2.TestIamPermissionsRequest],
    ) -> iam_policy_pb2.TestIamPermissionsResponse:
        return test(call, check)


def get(call: Call[iam_policy_pb2.GetIamPolicyRequest], check: Check) -> policy_pb2.Policy:
    """Returns the policy of the resource that a call names."""
    resource = call.request.resource
    check(call.world, resource)
    return iam.get_policy(call.world, resource, call.request.options.requested_policy_version)


def put(
    call: Call[iam_policy_pb2.SetIamPolicyRequest], check: Check, service: str = ""
) -> policy_pb2.Policy:
    """Replaces the policy of the resource that a call names."""
    resource = call.request.resource
    check(call.world, resource)
    if not call.request.HasField("policy"):
        raise errors.invalid("A policy must be given.", "policy")
    return iam.set_policy(call.world, resource, call.request.policy, service)


def test(
    call: Call[iam_policy_pb2.TestIamPermissionsRequest], check: Check
) -> iam_policy_pb2.TestIamPermissionsResponse:
    """Returns those of the permissions asked about that the caller has."""
    resource: Any = call.request.resource
    check(call.world, resource)
    wanted = call.request.permissions
    if any("*" in permission for permission in wanted):
        raise errors.invalid("Wildcards are not allowed in permissions.", "permissions")
    held = [one for one in wanted if iam.has_permission(call.world, call.caller, one, resource)]
    return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)
