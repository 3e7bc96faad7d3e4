"""Accounts that may do exactly what they are given."""

from collections.abc import Iterable

from infra.cloud import Cloud
from infra.resources.iam import send
from infra.rest import Json
from infra.yaml_file import Value

ROLE_ID = "limited"


def set_policy(owner: Cloud, url: str, role: str, members: Iterable[str]) -> None:
    """Makes the policy of something one role of these members."""
    binding: Json = {"role": role, "members": [*members]}
    bindings: list[Value] = [binding]
    send(owner, "POST", f"{url}:setIamPolicy", {"policy": {"bindings": bindings}})


def set_role(owner: Cloud, permissions: Iterable[str], *, again: bool = False) -> str:
    """Makes, or changes, a role of the project with these permissions. Returns its name."""
    included: list[Value] = [*sorted(permissions)]
    role: Json = {"title": "Limited", "stage": "GA", "includedPermissions": included}
    name = f"projects/{owner.names.project}/roles/{ROLE_ID}"
    url = f"{owner.url('iam')}/v1/{name}"
    if again:
        send(owner, "PATCH", url, role)
    else:
        send(owner, "POST", url.rpartition("/")[0], {"roleId": ROLE_ID, "role": role})
    return name


def make_account(owner: Cloud, account: str, permissions: Iterable[str]) -> str:
    """Makes an account with these permissions in its project. Returns its email."""
    project = owner.names.project
    body: Json = {"accountId": account}
    send(owner, "POST", f"{owner.url('iam')}/v1/projects/{project}/serviceAccounts", body)
    email = f"{account}@{project}.iam.gserviceaccount.com"
    url = f"{owner.url('cloudresourcemanager')}/v3/projects/{project}"
    set_policy(owner, url, set_role(owner, permissions), [f"serviceAccount:{email}"])
    return email
