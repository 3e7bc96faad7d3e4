"""Service accounts as the rest of the emulator sees them (cloud.google.com/iam/docs)."""

from infra.emulator import errors
from infra.emulator.world import Document, World

KIND = "service_accounts"


def find(world: World, name: str) -> Document:
    """Returns the account that `projects/P/serviceAccounts/EMAIL-OR-ID` names, P or `-`; or 404."""
    project, _, key = name.removeprefix("projects/").partition("/serviceAccounts/")
    account = world.seen(KIND, key) if "@" in key else _by_id(world, key)
    if account is None or project not in ("-", account["projectId"]):
        raise errors.not_found(f"Unknown service account: {key}")
    return account


def exists(world: World, email: str) -> bool:
    """Returns whether there is an account that is not disabled."""
    account = world.seen(KIND, email)
    return account is not None and not account.get("disabled", False)


def _by_id(world: World, unique_id: str) -> Document | None:
    found = next((one for one in world.list(KIND) if one["uniqueId"] == unique_id), None)
    return world.seen(KIND, found["email"]) if found else None
