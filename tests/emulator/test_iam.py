"""IAM's service accounts over REST, and acting as one."""

from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import iam_credentials_v1, resourcemanager_v3

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator


@pytest.fixture
def iam(emulator: Emulator) -> httpx.Client:
    client = emulator.http()
    client.base_url = client.base_url.join("/iam/v1/")
    return client


def status_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["status"]


def test_the_life_of_an_account(iam: httpx.Client, bare_project: str) -> None:
    accounts = f"projects/{bare_project}/serviceAccounts"
    body: dict[str, Any] = {"accountId": "orders-run", "serviceAccount": {"displayName": "Run"}}
    made = iam.post(accounts, json=body).json()
    email = f"orders-run@{bare_project}.iam.gserviceaccount.com"
    assert made["email"] == email
    assert made["name"] == f"{accounts}/{email}"
    assert len(made["uniqueId"]) == 21
    assert status_of(iam.post(accounts, json=body)) == (409, "ALREADY_EXISTS")
    for name in (made["name"], f"projects/-/serviceAccounts/{made['uniqueId']}"):
        assert iam.get(name).json() == made
    changes = {"serviceAccount": {"displayName": "Runs"}, "updateMask": "display_name"}
    changed = iam.patch(made["name"], json=changes).json()
    assert changed["displayName"] == "Runs"
    assert changed["etag"] != made["etag"]
    stale = {**changes, "serviceAccount": {"displayName": "x", "etag": made["etag"]}}
    assert status_of(iam.patch(made["name"], json=stale)) == (409, "ABORTED")
    assert iam.delete(made["name"]).json() == {}
    assert status_of(iam.get(made["name"])) == (404, "NOT_FOUND")
    assert iam.post(accounts, json=body).json()["uniqueId"] != made["uniqueId"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"accountId": "short"}, "account_id"),
        ({"accountId": "Orders-Run"}, "account_id"),
        ({"accountId": "orders-run", "colour": "red"}, "colour"),
        ({"accountId": "orders-run", "serviceAccount": {"colour": 1}}, "serviceAccount.colour"),
        ({"accountId": 7}, "accountId"),
    ],
)
def test_a_wrong_field_is_named(
    iam: httpx.Client, bare_project: str, body: dict[str, Any], field: str
) -> None:
    answer = iam.post(f"projects/{bare_project}/serviceAccounts", json=body)
    assert status_of(answer) == (400, "INVALID_ARGUMENT")
    violations = answer.json()["error"]["details"][0]["fieldViolations"]
    assert violations[0]["field"] == field


def test_bad_json_is_refused(iam: httpx.Client, bare_project: str) -> None:
    answer = iam.post(f"projects/{bare_project}/serviceAccounts", content="{")
    assert status_of(answer) == (400, "INVALID_ARGUMENT")


def test_the_list_is_paged(iam: httpx.Client, emulator: Emulator, bare_project: str) -> None:
    emails = [create_account(emulator, bare_project, f"account-{i}") for i in range(5)]
    accounts = f"projects/{bare_project}/serviceAccounts"
    found, token = [], ""
    while True:
        page = iam.get(accounts, params={"pageSize": "2", "pageToken": token}).json()
        found += [one["email"] for one in page["accounts"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == emails


def test_a_deleted_account_loses_its_grants_for_good(
    iam: httpx.Client, emulator: Emulator, bare_project: str
) -> None:
    email = create_account(emulator, bare_project, "orders-run")
    member = f"serviceAccount:{email}"
    projects = resourcemanager_v3.ProjectsClient(**emulator.arguments("cloudresourcemanager"))
    resource = f"projects/{bare_project}"
    policy = projects.get_iam_policy(resource=resource)
    policy.bindings.add(role="roles/cloudsql.client", members=[member])
    projects.set_iam_policy(request={"resource": resource, "policy": policy})
    iam.delete(f"projects/-/serviceAccounts/{email}").raise_for_status()
    create_account(emulator, bare_project, "orders-run")
    members = projects.get_iam_policy(resource=resource).bindings[0].members
    assert [one.partition("?")[0] for one in members] == [f"deleted:{member}"]


def test_an_account_has_a_policy(iam: httpx.Client, emulator: Emulator, bare_project: str) -> None:
    email = create_account(emulator, bare_project, "orders-run")
    user = create_account(emulator, bare_project, "deployer")
    name = f"projects/{bare_project}/serviceAccounts/{email}"
    policy = iam.post(f"{name}:getIamPolicy").json()
    binding = {"role": "roles/iam.serviceAccountUser", "members": [f"serviceAccount:{user}"]}
    answer = iam.post(f"{name}:setIamPolicy", json={"policy": {**policy, "bindings": [binding]}})
    assert answer.json()["bindings"] == [binding]
    again = iam.post(f"{name}:setIamPolicy", json={"policy": {**policy, "bindings": []}})
    assert status_of(again) == (409, "ABORTED")
    wrong = {"role": "roles/run.invoker", "members": [f"serviceAccount:{user}"]}
    answer = iam.post(f"{name}:setIamPolicy", json={"policy": {"bindings": [wrong]}})
    assert "not supported for this resource" in answer.json()["error"]["message"]
    permissions = ["iam.serviceAccounts.actAs", "iam.serviceAccounts.delete"]
    as_user = emulator.http(user).post(
        f"/iam/v1/{name}:testIamPermissions", json={"permissions": permissions}
    )
    assert as_user.json() == {"permissions": permissions[:1]}


def test_a_token_makes_a_caller_the_account(emulator: Emulator, bare_project: str) -> None:
    email = create_account(emulator, bare_project, "orders-run")
    arguments = emulator.arguments("iamcredentials")
    credentials = iam_credentials_v1.IAMCredentialsClient(**arguments)
    name = f"projects/-/serviceAccounts/{email}"
    scope = ["https://www.googleapis.com/auth/cloud-platform"]
    token = credentials.generate_access_token(name=name, scope=scope)
    assert token.access_token == f"emulated:{email}"
    # google.auth reads no fractions of a second.
    assert token.expire_time.microsecond == 0
    path = f"/iam/v1/projects/{bare_project}/serviceAccounts"
    assert status_of(emulator.http(email).get(path)) == (403, "PERMISSION_DENIED")
    as_itself = iam_credentials_v1.IAMCredentialsClient(
        **emulator.arguments("iamcredentials", email)
    )
    with pytest.raises(exceptions.Forbidden, match="getAccessToken"):
        as_itself.generate_access_token(name=name, scope=scope)
    with pytest.raises(exceptions.BadRequest, match="3600"):
        credentials.generate_access_token(name=name, scope=scope, lifetime={"seconds": 3601})
    with pytest.raises(exceptions.NotFound):
        credentials.generate_access_token(name=f"{name}x", scope=scope)
    emulator.http().post(f"/iam/v1/{name}:disable").raise_for_status()
    assert status_of(emulator.http(email).get(path)) == (401, "UNAUTHENTICATED")
