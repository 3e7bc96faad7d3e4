"""Custom roles: made, read, changed, and granted like Google's own."""

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

READS = ["secretmanager.secrets.list", "secretmanager.secrets.get"]


def create(emulator: Emulator, project: str, permissions: list[str]) -> dict[str, object]:
    role = {"title": "Reads secrets", "stage": "GA", "includedPermissions": permissions}
    answer = emulator.http().post(
        f"/iam/v1/projects/{project}/roles", json={"roleId": "secretReader", "role": role}
    )
    answer.raise_for_status()
    made: dict[str, object] = answer.json()
    return made


def bind(emulator: Emulator, project: str, role: str, email: str) -> int:
    policy = {"bindings": [{"role": role, "members": [f"serviceAccount:{email}"]}]}
    url = f"/cloudresourcemanager/v3/projects/{project}:setIamPolicy"
    return emulator.http().post(url, json={"policy": policy}).status_code


def test_a_role_is_made_read_listed_and_changed(emulator: Emulator, project: str) -> None:
    made = create(emulator, project, READS)
    name = f"projects/{project}/roles/secretReader"
    assert made["name"] == name
    http = emulator.http()
    assert http.get(f"/iam/v1/{name}").json() == made
    assert made["includedPermissions"] == sorted(READS)
    listed = http.get(f"/iam/v1/projects/{project}/roles").json()["roles"]
    assert [one["name"] for one in listed] == [name]
    assert "includedPermissions" not in listed[0]
    change = {"includedPermissions": READS[:1], "etag": made["etag"]}
    changed = http.patch(f"/iam/v1/{name}?updateMask=includedPermissions", json=change).json()
    assert changed["includedPermissions"] == READS[:1]
    assert changed["title"] == "Reads secrets"
    assert http.patch(f"/iam/v1/{name}", json=change).status_code == 409


def test_a_role_is_made_once_and_whole(emulator: Emulator, project: str) -> None:
    create(emulator, project, READS)
    http, url = emulator.http(), f"/iam/v1/projects/{project}/roles"
    assert http.post(url, json={"roleId": "secretReader", "role": {}}).status_code == 409
    assert http.post(url, json={"roleId": "a-b", "role": {}}).status_code == 400
    wrong = {"includedPermissions": ["secretmanager.*"]}
    assert http.post(url, json={"roleId": "wrong", "role": wrong}).status_code == 400
    assert http.get(f"{url}/wrong").status_code == 404


def test_who_has_a_role_may_what_is_in_it_and_no_more(emulator: Emulator, project: str) -> None:
    email = create_account(emulator, project, "reader")
    create(emulator, project, READS)
    assert bind(emulator, project, f"projects/{project}/roles/missing", email) == 400
    assert bind(emulator, project, f"projects/{project}/roles/secretReader", email) == 200
    client = secretmanager_v1.SecretManagerServiceClient(
        **emulator.arguments("secretmanager", email)
    )
    assert list(client.list_secrets(parent=f"projects/{project}")) == []
    secret: dict[str, object] = {"replication": {"automatic": {}}}
    request = {"parent": f"projects/{project}", "secret_id": "one", "secret": secret}
    with pytest.raises(exceptions.Forbidden):
        client.create_secret(request=request)
