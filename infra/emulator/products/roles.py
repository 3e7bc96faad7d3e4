"""IAM v1: custom roles of a project (cloud.google.com/iam/docs/creating-custom-roles).

Which permissions there are is not checked here, only their form.
"""

import base64
import re
import secrets

from google.cloud import iam_admin_v1 as ia

from infra.emulator import customroles, errors, messages, pages
from infra.emulator.api import Api, Call
from infra.emulator.world import World

_METHOD = "google.iam.admin.v1.IAM"
_ROLES = "/v1/{parent=projects/*}/roles"
_ROLE = "/v1/{name=projects/*/roles/*}"
_ID = re.compile(r"[a-zA-Z0-9_.]{3,64}")
_PERMISSION = re.compile(r"[a-z][a-zA-Z0-9]*(\.[a-zA-Z0-9]+){2,}")
_FIXED = {"name", "etag", "deleted"}

api = Api("iam", prefix="/iam", enabled=True)


@api.route(
    "POST",
    _ROLES,
    name=f"{_METHOD}.CreateRole",
    request=ia.CreateRoleRequest,
    body="*",
    permission="iam.roles.create",
)
def create_role(call: Call[ia.CreateRoleRequest]) -> ia.Role:
    """A new role."""
    request = call.request
    if not _ID.fullmatch(request.role_id):
        raise errors.invalid(f"The role_id {request.role_id} is not valid.", "role_id")
    name = f"{request.parent}/roles/{request.role_id}"
    role = ia.Role(messages.to_pb(request.role))
    role.name = name
    with call.world.transaction():
        if call.world.get(customroles.KIND, name) is not None:
            raise errors.already_exists(f"A role named {request.role_id} already exists.")
        return _put(call.world, role)


@api.route(
    "GET",
    _ROLE,
    name=f"{_METHOD}.GetRole",
    request=ia.GetRoleRequest,
    permission="iam.roles.get",
)
def get_role(call: Call[ia.GetRoleRequest]) -> ia.Role:
    """One role, with its permissions."""
    return _find(call.world, call.request.name)


@api.route(
    "GET",
    _ROLES,
    name=f"{_METHOD}.ListRoles",
    request=ia.ListRolesRequest,
    permission="iam.roles.list",
)
def list_roles(call: Call[ia.ListRolesRequest]) -> ia.ListRolesResponse:
    """A project's own roles, without their permissions."""
    bodies = call.world.list(customroles.KIND, f"{call.request.parent}/roles/")
    found = [messages.from_json(ia.Role, body) for body in bodies]
    for role in found:
        role.included_permissions = []
    some, token = pages.page(
        found, call.request.page_size, call.request.page_token, default=300, largest=1000
    )
    return ia.ListRolesResponse(roles=some, next_page_token=token)


@api.route(
    "PATCH",
    _ROLE,
    name=f"{_METHOD}.UpdateRole",
    request=ia.UpdateRoleRequest,
    body="role",
    permission="iam.roles.update",
)
def update_role(call: Call[ia.UpdateRoleRequest]) -> ia.Role:
    """Changes a role: what the mask names, or all that is given."""
    with call.world.transaction():
        role = _find(call.world, call.request.name)
        given = call.request.role
        if given.etag and given.etag != role.etag:
            raise errors.aborted("There were concurrent changes to the role. Please retry.")
        mask = messages.to_pb(call.request).update_mask
        pages.patch(messages.to_pb(role), messages.to_pb(given), mask, _FIXED)
        return _put(call.world, role)


def _find(world: World, name: str) -> ia.Role:
    body = world.get(customroles.KIND, name)
    if body is None:
        raise errors.not_found(f"The role named {name} was not found.")
    return messages.from_json(ia.Role, body)


def _put(world: World, role: ia.Role) -> ia.Role:
    for permission in role.included_permissions:
        if not _PERMISSION.fullmatch(permission):
            raise errors.invalid(
                f"Permission {permission} is not valid.", "role.included_permissions"
            )
    role.included_permissions = sorted(set(role.included_permissions))
    role.etag = base64.b64decode("BwY=") + secrets.token_bytes(6)
    world.put(customroles.KIND, role.name, messages.dump(role))
    return role
