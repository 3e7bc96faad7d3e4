"""Cloud Storage through google-cloud-storage, which verifies checksums itself."""

import base64
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

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
    # The answer may have been lost: asked again, it is the same.
    again = http.put(session, headers={"content-range": "bytes */6"})
    assert (again.status_code, again.json()["generation"]) == (200, done.json()["generation"])
    assert http.put(session + "x", content=b"x").status_code == 404


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


def test_a_lease_is_taken_by_one_and_passed_on_by_its_holder(bucket: storage.Bucket) -> None:
    def take(generation: int) -> int | None:
        blob = bucket.blob("lease")
        try:
            blob.upload_from_string("{}", if_generation_match=generation, retry=None)
        except exceptions.PreconditionFailed:
            return None
        return int(blob.generation)

    with ThreadPoolExecutor(8) as pool:
        held = [one for one in pool.map(take, [0] * 16) if one]
    assert len(held) == 1
    with ThreadPoolExecutor(8) as pool:
        renewed = [one for one in pool.map(take, held * 16) if one]
    assert len(renewed) == 1
    assert renewed[0] > held[0]
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("lease").delete(if_generation_match=held[0])
    bucket.blob("lease").delete(if_generation_match=renewed[0])
    with pytest.raises(exceptions.NotFound):
        bucket.blob("lease").delete(if_generation_match=renewed[0])
    # Nobody who held it can overwrite what is there no more, or is another's.
    assert take(renewed[0]) is None
    anew = take(0)
    assert anew is not None
    assert anew > renewed[0]
    assert take(renewed[0]) is None


def test_what_an_upload_answers_is_what_is_read(bucket: storage.Bucket) -> None:
    blob = bucket.blob("lease")
    blob.upload_from_string("1", if_generation_match=0)
    found = bucket.get_blob("lease")
    assert found is not None
    for name in ("generation", "metageneration", "updated", "time_created", "etag", "md5_hash"):
        assert getattr(found, name) == getattr(blob, name), name
    assert found.updated == found.time_created
    assert abs(found.updated - datetime.now(UTC)) < timedelta(minutes=1)
    assert found.updated.microsecond % 1000 == 0
    before = found.updated, found.generation
    blob.metadata = {"holder": "me"}
    blob.patch(if_metageneration_match=1)
    assert blob.updated >= before[0]
    assert (blob.generation, blob.metageneration) == (before[1], 2)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=1)
    blob.upload_from_string("2", if_generation_match=blob.generation)
    assert blob.updated == blob.time_created > before[0]
    assert (blob.generation > before[1], blob.metageneration) == (True, 1)


def test_conditions_of_reading(emulator: Emulator, bucket: storage.Bucket) -> None:
    blob = bucket.blob("x")
    blob.upload_from_string("x")
    generation = blob.generation
    assert blob.download_as_bytes(if_generation_match=generation) == b"x"
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=generation + 1)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=generation)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_etag_not_match=blob.etag)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.reload(if_etag_match="other")
    assert bucket.blob("x", generation=generation).exists()
    assert not bucket.blob("x", generation=generation + 1).exists()
    answer = emulator.http().get(
        f"/storage/storage/v1/b/{bucket.name}/o/x", params={"ifGenerationMatch": "latest"}
    )
    assert answer.status_code == 400
    refused = emulator.http().delete(
        f"/storage/storage/v1/b/{bucket.name}/o/x", params={"ifGenerationMatch": "1"}
    )
    assert refused.status_code == 412
    assert refused.json()["error"]["errors"][0]["reason"] == "conditionNotMet"


def test_what_is_read_while_it_is_replaced_is_whole(bucket: storage.Bucket) -> None:
    contents = {letter * 50_000 for letter in (b"a", b"b")}
    bucket.blob("lease").upload_from_string(min(contents))

    def replace() -> None:
        for content in [*contents] * 15:
            bucket.blob("lease").upload_from_string(content)

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace)
        while not replacing.done():
            assert bucket.blob("lease").download_as_bytes(retry=None) in contents
        replacing.result()


def test_deleting_what_is_listed_skips_nothing(bucket: storage.Bucket) -> None:
    for i in range(7):
        bucket.blob(f"old/{i}").upload_from_string("x")
    for blob in bucket.list_blobs(prefix="old/", page_size=2):
        blob.delete()
    assert not [*bucket.list_blobs(prefix="old/")]


def test_prefixes_are_listed_page_by_page(bucket: storage.Bucket) -> None:
    for name in ("a", "b/1", "b/2", "b/3", "c", "d/1", "ä"):
        bucket.blob(name).upload_from_string("x")
    pages = bucket.list_blobs(delimiter="/", page_size=2).pages
    found = [([one.name for one in page], sorted(page.prefixes)) for page in pages]
    assert found == [(["a"], ["b/"]), (["c"], ["d/"]), (["ä"], [])]
    pages = bucket.list_blobs(start_offset="b/2", end_offset="d", page_size=1).pages
    assert [one.name for page in pages for one in page] == ["b/2", "b/3", "c"]


@pytest.mark.parametrize("name", [".", "..", "a\nb", "x" * 1025])
def test_names_storage_does_not_take(emulator: Emulator, bucket: storage.Bucket, name: str) -> None:
    path = f"/storage/upload/storage/v1/b/{bucket.name}/o"
    answer = emulator.http().post(path, params={"uploadType": "media", "name": name})
    assert answer.status_code == 400


def test_a_name_that_looks_like_a_path_stays_in_the_bucket(
    emulator: Emulator, bucket: storage.Bucket
) -> None:
    for name in ("../../escaped", "/etc/escaped", "a/../../escaped", "%2e%2e/escaped"):
        bucket.blob(name).upload_from_string("x")
        assert bucket.blob(name).download_as_bytes() == b"x"
    assert not [*emulator.folder.rglob("*escaped*")]


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
    role = "roles/storage.objectCreator"
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": role, "members": {f"serviceAccount:{email}"}})
    bucket.set_iam_policy(policy)
    reader.blob("y").upload_from_string("y")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.delete"):
        reader.blob("y").upload_from_string("again")
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
