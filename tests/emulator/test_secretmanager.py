"""Secret Manager through its own client."""

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1
from google.cloud.secretmanager_v1 import SecretManagerServiceClient, SecretVersion

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator

PASSWORD = "password"


@pytest.fixture
def secrets(emulator: Emulator) -> SecretManagerServiceClient:
    return SecretManagerServiceClient(**emulator.arguments("secretmanager"))


def create(
    secrets: SecretManagerServiceClient, project: str, secret_id: str = PASSWORD
) -> secretmanager_v1.Secret:
    return secrets.create_secret(
        request={
            "parent": f"projects/{project}",
            "secret_id": secret_id,
            "secret": {"replication": {"automatic": {}}, "labels": {"service": "orders"}},
        }
    )


def add(secrets: SecretManagerServiceClient, parent: str, data: bytes) -> SecretVersion:
    return secrets.add_secret_version(
        request={
            "parent": parent,
            "payload": {"data": data},
        }
    )


def test_the_life_of_a_secret(secrets: SecretManagerServiceClient, project: str) -> None:
    made = create(secrets, project)
    number = made.name.split("/")[1]
    assert number.isdigit()
    assert secrets.get_secret(name=f"projects/{project}/secrets/password") == made
    assert secrets.get_secret(name=made.name) == made
    with pytest.raises(exceptions.Conflict, match="already exists"):
        create(secrets, project)
    changed = secrets.update_secret(
        request={
            "secret": {"name": made.name, "labels": {"a": "b"}, "annotations": {"owner": "us"}},
            "update_mask": {"paths": ["labels"]},
        }
    )
    assert dict(changed.labels) == {"a": "b"}
    assert not changed.annotations
    assert changed.etag != made.etag
    secrets.delete_secret(name=made.name)
    with pytest.raises(exceptions.NotFound):
        secrets.get_secret(name=made.name)


def test_an_old_etag_is_refused(secrets: SecretManagerServiceClient, project: str) -> None:
    made = create(secrets, project)
    mask = {"paths": ["labels"]}
    secrets.update_secret(
        request={
            "secret": {"name": made.name, "labels": {"a": "b"}},
            "update_mask": mask,
        }
    )
    stale = {"name": made.name, "labels": {"a": "c"}, "etag": made.etag}
    with pytest.raises(exceptions.BadRequest, match="etag"):
        secrets.update_secret(
            request={
                "secret": stale,
                "update_mask": mask,
            }
        )
    with pytest.raises(exceptions.BadRequest, match="etag"):
        secrets.delete_secret(request={"name": made.name, "etag": made.etag})


def test_versions_are_numbered_and_latest_is_the_last(
    secrets: SecretManagerServiceClient, project: str
) -> None:
    parent = create(secrets, project).name
    with pytest.raises(exceptions.NotFound, match="no versions"):
        secrets.access_secret_version(name=f"{parent}/versions/latest")
    first, second = (add(secrets, parent, data) for data in (b"one", b"two"))
    assert [one.name for one in (first, second)] == [f"{parent}/versions/{n}" for n in (1, 2)]
    latest = secrets.access_secret_version(name=f"{parent}/versions/latest")
    assert latest.name == second.name
    assert latest.payload.data == b"two"
    assert latest.payload.data_crc32c == google_crc32c.value(b"two")
    secrets.disable_secret_version(name=second.name)
    with pytest.raises(exceptions.BadRequest, match="DISABLED state"):
        secrets.access_secret_version(name=f"{parent}/versions/latest")
    secrets.enable_secret_version(name=second.name)
    gone = secrets.destroy_secret_version(name=second.name)
    assert gone.state == SecretVersion.State.DESTROYED
    assert gone.destroy_time
    with pytest.raises(exceptions.BadRequest, match="DESTROYED"):
        secrets.enable_secret_version(name=second.name)
    assert add(secrets, parent, b"three").name.endswith("/3")
    versions = list(secrets.list_secret_versions(request={"parent": parent, "page_size": 1}))
    assert [one.name.rpartition("/")[2] for one in versions] == ["3", "2", "1"]
    enabled = secrets.list_secret_versions(request={"parent": parent, "filter": "state:ENABLED"})
    assert [one.name.rpartition("/")[2] for one in enabled] == ["3", "1"]


def test_a_recreated_secret_has_nothing_of_the_old(
    secrets: SecretManagerServiceClient, project: str
) -> None:
    parent = create(secrets, project).name
    add(secrets, parent, b"old")
    secrets.delete_secret(name=parent)
    create(secrets, project)
    assert not list(secrets.list_secret_versions(parent=parent))
    assert add(secrets, parent, b"new").name.endswith("/1")


def test_wrong_payloads_and_names_are_refused(
    secrets: SecretManagerServiceClient, project: str
) -> None:
    parent = create(secrets, project).name
    with pytest.raises(exceptions.BadRequest, match="checksum"):
        secrets.add_secret_version(
            request={
                "parent": parent,
                "payload": {"data": b"x", "data_crc32c": 1},
            }
        )
    with pytest.raises(exceptions.BadRequest, match="65536"):
        add(secrets, parent, b"x" * 65537)
    with pytest.raises(exceptions.BadRequest, match="secret id"):
        create(secrets, project, "no.dot")
    with pytest.raises(exceptions.BadRequest, match="replication"):
        secrets.create_secret(
            request={
                "parent": f"projects/{project}",
                "secret_id": "x",
                "secret": {},
            }
        )
    with pytest.raises(exceptions.NotFound):
        add(secrets, f"projects/{project}/secrets/none", b"x")


def test_secrets_are_paged_and_filtered(secrets: SecretManagerServiceClient, project: str) -> None:
    names = {create(secrets, project, f"s{i}").name for i in range(5)}
    parent = f"projects/{project}"
    assert {
        one.name for one in secrets.list_secrets(request={"parent": parent, "page_size": 2})
    } == names
    wanted = {"parent": parent, "filter": "name:s3 AND labels.service=orders"}
    assert [one.name[-2:] for one in secrets.list_secrets(request=wanted)] == ["s3"]


def test_an_account_reads_a_secret_only_once_it_may(
    emulator: Emulator, secrets: SecretManagerServiceClient, project: str
) -> None:
    email = create_account(emulator, project, "orders-run")
    made = create(secrets, project)
    add(secrets, made.name, b"hush")
    reader = SecretManagerServiceClient(**emulator.arguments("secretmanager", email))
    version = f"{made.name}/versions/1"
    with pytest.raises(exceptions.Forbidden, match=r"secretmanager\.versions\.access"):
        reader.access_secret_version(name=version)
    policy = secrets.get_iam_policy(request={"resource": made.name})
    role = "roles/secretmanager.secretAccessor"
    policy.bindings.add(role=role, members=[f"serviceAccount:{email}"])
    secrets.set_iam_policy(request={"resource": made.name, "policy": policy})
    assert reader.access_secret_version(name=version).payload.data == b"hush"
    with pytest.raises(exceptions.Forbidden):
        reader.get_secret(name=made.name)
    with pytest.raises(exceptions.Conflict, match="concurrent"):
        secrets.set_iam_policy(request={"resource": made.name, "policy": policy})
