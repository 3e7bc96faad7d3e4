"""Custom roles as policies see them: what was made by a project, besides Google's own roles.

Made and changed in products/roles.py.
"""

from infra.emulator import roles
from infra.emulator.world import World

KIND = "custom_roles"


def grants(world: World, role: str, permission: str) -> bool:
    """Returns whether a role, Google's or a project's, has a permission."""
    if role.startswith("roles/"):
        return roles.grants(role, permission)
    body = world.get(KIND, role)
    return body is not None and permission in body.get("includedPermissions", ())


def is_known(world: World, role: str) -> bool:
    """Returns whether there is such a role."""
    return role in roles.ROLES or world.get(KIND, role) is not None


def concerns(world: World, role: str, service: str) -> bool:
    """Returns whether a role has any permission of a service (`secretmanager`, say)."""
    if role.startswith("roles/"):
        return roles.concerns(role, service)
    permissions = (world.get(KIND, role) or {}).get("includedPermissions", ())
    return any(each.startswith(f"{service}.") for each in permissions)
