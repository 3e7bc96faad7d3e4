"""IAM v1: service accounts and who may use them. (Its client library is gRPC only.)"""

import base64
import re
import secrets

from google.cloud import iam_admin_v1 as ia
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]

from infra.emulator import accounts, errors, iam, messages, pages, policies, projects
from infra.emulator.api import Api, Call
from infra.emulator.world import Document, World

_METHOD = "google.iam.admin.v1.IAM"
_ONE = "/v1/{name=projects/*/serviceAccounts/*}"
_RESOURCE = "/v1/{resource=projects/*/serviceAccounts/*}"
_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_FIXED = {"name", "project_id", "unique_id", "email", "etag", "oauth2_client_id", "disabled"}

api = Api("iam", prefix="/iam", enabled=True)


@api.route(
    "GET",
    "/v1/{name=projects/*}/serviceAccounts",
    name=f"{_METHOD}.ListServiceAccounts",
    request=ia.ListServiceAccountsRequest,
    permission="iam.serviceAccounts.list",
)
def list_service_accounts(
    call: Call[ia.ListServiceAccountsRequest],
) -> ia.ListServiceAccountsResponse:
    """A project's accounts."""
    project = call.request.name.removeprefix("projects/")
    found = [_account(one) for one in call.world.list(accounts.KIND) if one["projectId"] == project]
    some, token = pages.page(
        found, call.request.page_size, call.request.page_token, default=20, largest=100
    )
    return ia.ListServiceAccountsResponse(accounts=some, next_page_token=token)


@api.route("GET", _ONE, name=f"{_METHOD}.GetServiceAccount", request=ia.GetServiceAccountRequest)
def get_service_account(call: Call[ia.GetServiceAccountRequest]) -> ia.ServiceAccount:
    """One account, by email or unique id."""
    return _account(_find(call, call.request.name, "get"))


@api.route(
    "POST",
    "/v1/{name=projects/*}/serviceAccounts",
    name=f"{_METHOD}.CreateServiceAccount",
    request=ia.CreateServiceAccountRequest,
    body="*",
    permission="iam.serviceAccounts.create",
)
def create_service_account(call: Call[ia.CreateServiceAccountRequest]) -> ia.ServiceAccount:
    """A new identity, even where one of the same name has been deleted."""
    if not _ID.fullmatch(call.request.account_id):
        raise errors.invalid(
            f"Service account id '{call.request.account_id}' must be 6 to 30 characters long and"
            " match [a-z]([-a-z0-9]*[a-z0-9]).",
            "account_id",
        )
    project = projects.find(call.world, call.request.name.removeprefix("projects/"))
    email = f"{call.request.account_id}@{project.id}.iam.gserviceaccount.com"
    unique_id = "1" + "".join(secrets.choice("0123456789") for _ in range(20))
    given = call.request.service_account
    account = ia.ServiceAccount(
        name=f"{project.name}/serviceAccounts/{email}",
        project_id=project.id,
        unique_id=unique_id,
        email=email,
        display_name=given.display_name,
        description=given.description,
        oauth2_client_id=unique_id,
    )
    with call.world.transaction():
        if call.world.get(accounts.KIND, email) is not None:
            raise errors.already_exists(
                f"Service account {call.request.account_id} already exists within project"
                f" {project.name}."
            )
        return _put(call.world, account)


@api.route(
    "PATCH",
    "/v1/{service_account.name=projects/*/serviceAccounts/*}",
    name=f"{_METHOD}.PatchServiceAccount",
    request=ia.PatchServiceAccountRequest,
    body="*",
)
def patch_service_account(call: Call[ia.PatchServiceAccountRequest]) -> ia.ServiceAccount:
    """Changes the display name or the description; the mask is required."""
    mask = messages.to_pb(call.request).update_mask
    if not mask.paths:
        raise errors.invalid("The update mask must not be empty.", "update_mask")
    given = messages.to_pb(call.request.service_account)
    with call.world.transaction():
        account = _account(_find(call, call.request.service_account.name, "update"))
        _check_etag(account, call.request.service_account.etag)
        pages.patch(messages.to_pb(account), given, mask, _FIXED)
        return _put(call.world, account)


@api.route(
    "PUT",
    _ONE,
    name=f"{_METHOD}.UpdateServiceAccount",
    request=ia.ServiceAccount,
    body="*",
)
def update_service_account(call: Call[ia.ServiceAccount]) -> ia.ServiceAccount:
    """Changes the display name and the description."""
    with call.world.transaction():
        account = _account(_find(call, call.request.name, "update"))
        _check_etag(account, call.request.etag)
        account.display_name = call.request.display_name
        account.description = call.request.description
        return _put(call.world, account)


@api.route(
    "DELETE", _ONE, name=f"{_METHOD}.DeleteServiceAccount", request=ia.DeleteServiceAccountRequest
)
def delete_service_account(call: Call[ia.DeleteServiceAccountRequest]) -> None:
    """Deletes an account. Policies keep its grants under a name nobody has any more."""
    with call.world.transaction():
        account = _find(call, call.request.name, "delete")
        call.world.delete(accounts.KIND, account["email"])
        iam.delete_policies(call.world, account["name"])
        iam.forget_account(call.world, account["email"], account["uniqueId"])


@api.route(
    "POST",
    f"{_ONE}:enable",
    name=f"{_METHOD}.EnableServiceAccount",
    request=ia.EnableServiceAccountRequest,
    body="*",
)
def enable_service_account(call: Call[ia.EnableServiceAccountRequest]) -> None:
    """Lets an account be used again."""
    _able(call, call.request.name, "enable")


@api.route(
    "POST",
    f"{_ONE}:disable",
    name=f"{_METHOD}.DisableServiceAccount",
    request=ia.DisableServiceAccountRequest,
    body="*",
)
def disable_service_account(call: Call[ia.DisableServiceAccountRequest]) -> None:
    """Keeps an account from being used."""
    _able(call, call.request.name, "disable")


@api.route(
    "POST",
    f"{_RESOURCE}:getIamPolicy",
    name=f"{_METHOD}.GetIamPolicy",
    request=iam_policy_pb2.GetIamPolicyRequest,
    body="*",
)
def get_iam_policy(call: Call[iam_policy_pb2.GetIamPolicyRequest]) -> policy_pb2.Policy:
    """Who may use an account."""
    call.request.resource = _find(call, call.request.resource, "getIamPolicy")["name"]
    return policies.get(call, accounts.find)


@api.route(
    "POST",
    f"{_RESOURCE}:setIamPolicy",
    name=f"{_METHOD}.SetIamPolicy",
    request=iam_policy_pb2.SetIamPolicyRequest,
    body="*",
)
def set_iam_policy(call: Call[iam_policy_pb2.SetIamPolicyRequest]) -> policy_pb2.Policy:
    """Replaces who may use an account."""
    call.request.resource = _find(call, call.request.resource, "setIamPolicy")["name"]
    return policies.put(call, accounts.find, "iam")


@api.route(
    "POST",
    f"{_RESOURCE}:testIamPermissions",
    name=f"{_METHOD}.TestIamPermissions",
    request=iam_policy_pb2.TestIamPermissionsRequest,
    body="*",
)
def test_iam_permissions(
    call: Call[iam_policy_pb2.TestIamPermissionsRequest],
) -> iam_policy_pb2.TestIamPermissionsResponse:
    """What the caller may do with an account."""
    call.request.resource = accounts.find(call.world, call.request.resource)["name"]
    return policies.test(call, accounts.find)


for _verb, _uri, _name in (
    ("POST", f"{_ONE}:undelete", "UndeleteServiceAccount"),
    ("GET", f"{_ONE}/keys", "ListServiceAccountKeys"),
    ("POST", f"{_ONE}/keys", "CreateServiceAccountKey"),
    ("POST", f"{_ONE}/keys:upload", "UploadServiceAccountKey"),
    ("GET", "/v1/{name=projects/*/serviceAccounts/*/keys/*}", "GetServiceAccountKey"),
    ("DELETE", "/v1/{name=projects/*/serviceAccounts/*/keys/*}", "DeleteServiceAccountKey"),
    ("GET", "/v1/roles", "ListRoles"),
    ("GET", "/v1/{name=roles/*}", "GetRole"),
    ("GET", "/v1/{parent=projects/*}/roles", "ListRoles"),
    ("POST", "/v1/{parent=projects/*}/roles", "CreateRole"),
    ("GET", "/v1/{name=projects/*/roles/*}", "GetRole"),
    ("PATCH", "/v1/{name=projects/*/roles/*}", "UpdateRole"),
    ("DELETE", "/v1/{name=projects/*/roles/*}", "DeleteRole"),
    ("POST", "/v1/permissions:queryTestablePermissions", "QueryTestablePermissions"),
):
    api.known(_verb, _uri, f"{_METHOD}.{_name}")


def _find[R](call: Call[R], name: str, verb: str) -> Document:
    account = accounts.find(call.world, name)
    call.require(f"iam.serviceAccounts.{verb}", account["name"])
    return account


def _able[R](call: Call[R], name: str, verb: str) -> None:
    with call.world.transaction():
        account = _account(_find(call, name, verb))
        account.disabled = verb == "disable"
        _put(call.world, account)


def _account(body: Document) -> ia.ServiceAccount:
    return messages.from_json(ia.ServiceAccount, body)


def _check_etag(account: ia.ServiceAccount, etag: bytes) -> None:
    if etag and etag != account.etag:
        raise errors.aborted(
            "There were concurrent changes to the service account. Please retry the whole"
            " read-modify-write with exponential backoff."
        )


def _put(world: World, account: ia.ServiceAccount) -> ia.ServiceAccount:
    account.etag = base64.b64decode("MDEwMjE5MjA=") + secrets.token_bytes(4)
    world.put(accounts.KIND, account.email, messages.dump(account))
    return account
