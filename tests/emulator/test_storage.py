"""Cloud Storage through google-cloud-storage, which verifies checksums itself."""

import base64
import hashlib
import os

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2.credentials import Credentials

from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator


def client_of(emulator: Emulator, project: str, account: str = "") -> storage.Client:
    return storage.Client(
        project=project,
        credentials=Credentials(f"emulated:{account}") if account else AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": f"http://{emulator.host}/storage"},
    )


@pytest.fixture
def client(emulator: Emulator, project: str) -> storage.Client:
    return client_of(emulator, project)


@pytest.fixture
def bucket(client: storage.Client, project: str) -> storage.Bucket:
    bucket = client.bucket(f"{project}-source")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.labels = {"service": "orders"}
    bucket.add_lifecycle_delete_rule(age=30)
    return client.create_bucket(bucket, location="europe-west1")


def test_the_life_of_a_bucket(client: storage.Client, bucket: storage.Bucket) -> None:
    found = client.get_bucket(bucket.name)
    assert found.location == "EUROPE-WEST1"
    assert found.location_type == "region"
    assert found.storage_class == "STANDARD"
    assert found.labels == {"service": "orders"}
    assert found.iam_configuration.uniform_bucket_level_access_enabled
    assert found.iam_configuration.public_access_prevention == "enforced"
    assert [rule["condition"] for rule in found.lifecycle_rules] == [{"age": 30}]
    found.labels = {"owner": "us"}
    found.patch()
    assert client.get_bucket(bucket.name).labels == {"owner": "us"}
    assert found.metageneration == 2
    with pytest.raises(exceptions.Conflict, match="already own it"):
        client.create_bucket(bucket.name)
    found.blob("x").upload_from_string("x")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        found.delete()
    found.delete(force=True)
    with pytest.raises(exceptions.NotFound):
        client.get_bucket(bucket.name)
    assert client.lookup_bucket(bucket.name) is None


def test_a_bucket_of_another_project_is_not_ours(
    emulator: Emulator, bucket: storage.Bucket, bare_project: str
) -> None:
    other = f"other-{bare_project[-10:]}"
    emulator.enable_all(other)
    with pytest.raises(exceptions.Conflict, match="not available"):
        client_of(emulator, other).create_bucket(bucket.name)


def test_buckets_are_listed_page_by_page(client: storage.Client, project: str) -> None:
    names = [client.create_bucket(f"{project}-{i}").name for i in range(5)]
    assert [one.name for one in client.list_buckets(page_size=2)] == names
    assert [one.name for one in client.list_buckets(prefix=f"{project}-3")] == names[3:4]


@pytest.mark.parametrize("size", [0, 11, 3_000_000])
def test_what_is_uploaded_is_downloaded(bucket: storage.Bucket, size: int) -> None:
    content = os.urandom(size) + b"\r\n--boundary" * (size % 2)
    blob = bucket.blob("a folder/ä:b.tgz")
    blob.metadata = {"release": "1"}
    blob.upload_from_string(content, content_type="application/gzip", checksum="md5")
    assert blob.md5_hash == base64.b64encode(hashlib.md5(content).digest()).decode()  # noqa: S324
    found = bucket.get_blob(blob.name)
    assert found is not None
    assert found.download_as_bytes(checksum="crc32c") == content
    assert found.size == len(content)
    assert found.content_type == "application/gzip"
    assert found.metadata == {"release": "1"}
    if size:
        assert found.download_as_bytes(start=2, end=5) == content[2:6]


def test_a_resumable_upload_comes_in_chunks(bucket: storage.Bucket) -> None:
    content = os.urandom(600_000)
    blob = bucket.blob("big", chunk_size=262_144)
    blob.upload_from_string(content, checksum="crc32c")
    assert bucket.blob("big").download_as_bytes() == content


def test_an_upload_session_says_how_far_it_came(emulator: Emulator, bucket: storage.Bucket) -> None:
    http = emulator.http()
    path = f"/storage/upload/storage/v1/b/{bucket.name}/o"
    begun = http.post(path, params={"uploadType": "resumable", "name": "x"})
    session = begun.headers["location"]
    half = http.put(session, content=b"abc", headers={"content-range": "bytes 0-2/6"})
    assert (half.status_code, half.headers["range"]) == (308, "bytes=0-2")
    asked = http.put(session, headers={"content-range": "bytes */6"})
    assert (asked.status_code, asked.headers["range"]) == (308, "bytes=0-2")
    done = http.put(session, content=b"def", headers={"content-range": "bytes 3-5/6"})
    assert done.json()["size"] == "6"
    assert bucket.blob("x").download_as_bytes() == b"abcdef"
    assert http.put(session, content=b"x").status_code == 404


def test_preconditions_hold_or_are_412(bucket: storage.Bucket) -> None:
    blob = bucket.blob("once")
    blob.upload_from_string("1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("once").upload_from_string("2", if_generation_match=0)
    first = blob.generation
    blob.upload_from_string("2", if_generation_match=first)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=first)
    assert blob.download_as_bytes() == b"2"


def test_objects_are_listed_by_prefix_and_delimiter(bucket: storage.Bucket) -> None:
    for name in ("a", "source/1.tgz", "source/2.tgz", "source/old/3.tgz"):
        bucket.blob(name).upload_from_string(name)
    assert [one.name for one in bucket.list_blobs(prefix="source/", page_size=1)] == [
        "source/1.tgz",
        "source/2.tgz",
        "source/old/3.tgz",
    ]
    found = bucket.list_blobs(delimiter="/")
    assert [one.name for one in found] == ["a"]
    assert found.prefixes == {"source/"}


def test_metadata_is_patched_and_an_object_deleted(bucket: storage.Bucket) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string("x")
    blob.metadata = {"a": "b"}
    blob.patch()
    found = bucket.get_blob("x")
    assert found is not None
    assert (found.metadata, found.metageneration) == ({"a": "b"}, 2)
    blob.delete()
    assert bucket.get_blob("x") is None
    with pytest.raises(exceptions.NotFound, match="No such object"):
        blob.delete()


def test_a_wrong_checksum_makes_no_object(emulator: Emulator, bucket: storage.Bucket) -> None:
    body = (
        b'--z\r\nContent-Type: application/json\r\n\r\n{"name":"x","md5Hash":"AAAA"}\r\n'
        b"--z\r\nContent-Type: text/plain\r\n\r\nhello\r\n--z--"
    )
    answer = emulator.http().post(
        f"/storage/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart",
        content=body,
        headers={"content-type": "multipart/related; boundary=z"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "invalid"
    assert bucket.get_blob("x") is None


def test_a_policy_decides_who_reads(
    emulator: Emulator, bucket: storage.Bucket, project: str
) -> None:
    email = create_account(emulator, project, "orders-build")
    bucket.blob("x").upload_from_string("x")
    reader = client_of(emulator, project, email).bucket(bucket.name)
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.get"):
        reader.blob("x").download_as_bytes()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    assert "roles/storage.legacyBucketOwner" in [one["role"] for one in policy.bindings]
    role = "roles/storage.objectViewer"
    policy.bindings.append({"role": role, "members": {f"serviceAccount:{email}"}})
    bucket.set_iam_policy(policy)
    assert reader.blob("x").download_as_bytes() == b"x"
    with pytest.raises(exceptions.Forbidden):
        reader.blob("y").upload_from_string("y")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(policy)
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_public_access_is_prevented(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention"):
        bucket.set_iam_policy(policy)


def test_wrong_buckets_are_refused(emulator: Emulator, project: str, bare_project: str) -> None:
    http = emulator.http()
    path = f"/storage/storage/v1/b?project={project}"
    assert http.post(path, json={"name": "A_Bucket!"}).status_code == 400
    answer = http.post(path, json={"name": f"{project}-x", "colour": "red"})
    assert "colour" in answer.json()["error"]["message"]
    answer = http.get("/storage/storage/v1/b?project=disabled-storage")
    assert answer.json()["error"]["errors"][0]["reason"] == "accessNotConfigured"
