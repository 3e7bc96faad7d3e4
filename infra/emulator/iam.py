"""Who may do what: callers, policies with etags, and permissions (cloud.google.com/iam/docs).

A policy belongs to a resource by its name: `projects/p`, `projects/p/secrets/s`,
`projects/p/locations/r/services/s`, `buckets/b`. What is granted on a project holds for all in it.
"""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass

from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from infra.emulator import customroles, errors, messages, projects
from infra.emulator.world import World

OWNER = "user:owner@local"

_NO_POLICY = base64.b64decode("ACAB")
_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|deleted:\w+:.+\?uid=\d+|principal(Set)?://.+"
    r"|(user|serviceAccount|group):[^@\s:]+@[^@\s]+|domain:\S+|project(Owner|Editor|Viewer):\S+"
)
_ACCOUNT = re.compile(r"serviceAccount:[^@]+@(?P<project>.+)\.iam\.gserviceaccount\.com")
_MAX_VERSION = 3


@dataclass(frozen=True)
class Caller:
    """Who calls, as a policy's member: `user:owner@local` or `serviceAccount:EMAIL`."""

    member: str = OWNER

    @property
    def is_owner(self) -> bool:
        """The owner of every project may do everything."""
        return self.member == OWNER

    @property
    def email(self) -> str:
        """The address without the kind of member."""
        return self.member.partition(":")[2]


def account(email: str) -> Caller:
    """Returns the caller that a service account is."""
    return Caller(f"serviceAccount:{email}")


def get_policy(world: World, resource: str, version: int = _MAX_VERSION) -> policy_pb2.Policy:
    """Returns a resource's policy; below version 3 conditions are hidden in the roles' names."""
    body = world.get("policies", resource)
    if body is None:
        return policy_pb2.Policy(etag=_NO_POLICY, version=1 if version <= 1 else 0)
    policy: policy_pb2.Policy = messages.from_json(policy_pb2.Policy, body)
    conditional = [binding for binding in policy.bindings if binding.HasField("condition")]
    policy.version = 3 if conditional and version >= _MAX_VERSION else 1
    if version < _MAX_VERSION:
        for binding in conditional:
            digest = hashlib.sha256(binding.condition.SerializeToString()).hexdigest()[:20]
            binding.role += f"_withcond_{digest}"
            binding.ClearField("condition")
    return policy


def set_policy(
    world: World, resource: str, policy: policy_pb2.Policy, service: str = ""
) -> policy_pb2.Policy:
    """Replaces a resource's policy whole and returns it with a new etag.

    Raises 409 ABORTED when the policy carries an etag that is no longer the current one, and 400
    for members or roles that are none. `service` limits the roles to those that concern it.
    """
    with world.transaction():
        current = get_policy(world, resource)
        if policy.etag and policy.etag != current.etag:
            raise errors.aborted(
                "There were concurrent policy changes. Please retry the whole read-modify-write"
                " with exponential backoff. The request's ETag"
                f" '{_octal(policy.etag)}' did not match the current policy's ETag"
                f" '{_octal(current.etag)}'."
            )
        _check(world, policy, service)
        kept = policy_pb2.Policy(
            version=policy.version, etag=b"\x07" + secrets.token_bytes(7), bindings=_merged(policy)
        )
        kept.audit_configs.extend(policy.audit_configs)
        world.put("policies", resource, messages.dump(kept))
    return get_policy(world, resource)


def delete_policies(world: World, resource: str) -> None:
    """Forgets the policies of a resource and of all in it."""
    with world.transaction():
        world.delete("policies", resource)
        for name, _ in list(world.items("policies", f"{resource}/")):
            world.delete("policies", name)


def forget_account(world: World, email: str, unique_id: str) -> None:
    """Marks a deleted service account in every policy; one made anew does not get its grants."""
    member, gone = f"serviceAccount:{email}", f"deleted:serviceAccount:{email}?uid={unique_id}"
    with world.transaction():
        for resource, body in list(world.items("policies")):
            bindings = body.get("bindings", [])
            if any(member in binding.get("members", ()) for binding in bindings):
                for binding in bindings:
                    members = binding.get("members", [])
                    binding["members"] = [gone if one == member else one for one in members]
                body["etag"] = base64.b64encode(b"\x07" + secrets.token_bytes(7)).decode()
                world.put("policies", resource, body)


def has_permission(world: World, caller: Caller, permission: str, resource: str) -> bool:
    """Returns whether a caller has a permission on a resource or on what the resource is in.

    A grant that is late is not seen yet.

    Bindings with a condition grant nothing here: the emulator evaluates none.
    """
    if caller.is_owner:
        return True
    members = {caller.member, "allUsers", "allAuthenticatedUsers"}
    return any(
        customroles.grants(world, binding["role"], permission)
        for name in _lineage(world, resource)
        for binding in (world.seen("policies", name) or {}).get("bindings", ())
        if "condition" not in binding and not members.isdisjoint(binding.get("members", ()))
    )


def require(world: World, caller: Caller, permission: str, resource: str) -> None:
    """Raises 403 PERMISSION_DENIED where `has_permission` is False."""
    if not has_permission(world, caller, permission, resource):
        raise errors.denied(permission, resource)


def _lineage(world: World, resource: str) -> list[str]:
    """A resource and what it is in, innermost first."""
    if resource.startswith("buckets/"):
        bucket = world.get("buckets", resource.split("/")[1]) or {}
        bucket_name = "/".join(resource.split("/")[:2])
        return [bucket_name, f"projects/{bucket['project']}"] if bucket else [bucket_name]
    parts = resource.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts), 1, -1)]


def _check(world: World, policy: policy_pb2.Policy, service: str) -> None:
    for binding in policy.bindings:
        if binding.HasField("condition") and policy.version != _MAX_VERSION:
            raise errors.invalid(
                "Specified policy version must be 3 for a policy with conditional role bindings.",
                "policy.version",
            )
        known = customroles.is_known(world, binding.role) and (
            not service or customroles.concerns(world, binding.role, service)
        )
        if not known:
            raise errors.invalid(
                f"Role {binding.role} is not supported for this resource.", "policy.bindings.role"
            )
        for member in binding.members:
            _check_member(world, member)


def _check_member(world: World, member: str) -> None:
    if not _MEMBER.fullmatch(member):
        raise errors.invalid(f"Invalid member: '{member}'.", "policy.bindings.members")
    local = _ACCOUNT.fullmatch(member)
    if local is None or world.get("projects", local["project"]) is None:
        return
    email = member.partition(":")[2]
    if world.seen("service_accounts", email) is None:
        raise errors.invalid(f"Service account {email} does not exist.", "policy.bindings.members")


def _merged(policy: policy_pb2.Policy) -> list[policy_pb2.Binding]:
    """One binding per role and condition, members sorted, as Google hands policies back."""
    found: dict[tuple[str, bytes], policy_pb2.Binding] = {}
    for binding in policy.bindings:
        key = (binding.role, binding.condition.SerializeToString())
        one = found.setdefault(key, policy_pb2.Binding(role=binding.role))
        if binding.HasField("condition"):
            one.condition.CopyFrom(binding.condition)
        members = sorted({*one.members, *binding.members})
        del one.members[:]
        one.members.extend(members)
    return [found[key] for key in sorted(found) if found[key].members]


def _octal(etag: bytes) -> str:
    return "".join(f"\\{byte:03o}" for byte in etag)


def project_of(resource: str) -> str:
    """Returns the id of the project in a resource's name, or an empty string."""
    parts = resource.split("/")
    return parts[1] if len(parts) > 1 and parts[0] == "projects" else ""


def agent(world: World, project_id: str, domain: str) -> str:
    """Returns the email of a service agent: `service-NUMBER@DOMAIN.iam.gserviceaccount.com`."""
    number = projects.find(world, project_id).number
    return f"service-{number}@{domain}.iam.gserviceaccount.com"
