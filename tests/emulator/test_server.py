"""The emulator as a program: its start, its end, its state, what it says of itself."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from google.cloud import secretmanager_v1, storage

from infra.emulator import errors, operations, products
from infra.emulator.__main__ import listen
from infra.emulator.api import Router, coverage
from infra.emulator.server import writes
from infra.emulator.world import Conflict, World
from tests.emulator.emulators import Emulator
from tests.emulator.test_storage import client_of

PROJECT = "local-project"


def fill(emulator: Emulator) -> tuple[secretmanager_v1.SecretManagerServiceClient, storage.Bucket]:
    emulator.enable_all(PROJECT)
    secrets = secretmanager_v1.SecretManagerServiceClient(**emulator.arguments("secretmanager"))
    secret = secrets.create_secret(
        request={
            "parent": f"projects/{PROJECT}",
            "secret_id": "password",
            "secret": {"replication": {"automatic": {}}},
        }
    )
    secrets.add_secret_version(
        request={
            "parent": secret.name,
            "payload": {"data": b"hush"},
        }
    )
    bucket = client_of(emulator, PROJECT).create_bucket("local-project-source")
    bucket.blob("x").upload_from_string("content")
    return secrets, bucket


def check(emulator: Emulator) -> None:
    secrets = secretmanager_v1.SecretManagerServiceClient(**emulator.arguments("secretmanager"))
    name = f"projects/{PROJECT}/secrets/password/versions/latest"
    assert secrets.access_secret_version(name=name).payload.data == b"hush"
    blob = client_of(emulator, PROJECT).bucket("local-project-source").blob("x")
    assert blob.download_as_bytes() == b"content"


def test_sigterm_ends_it_with_status_0_and_leaves_only_state(own_emulator: Emulator) -> None:
    own_emulator.start()
    fill(own_emulator)
    assert own_emulator.stop() == 0
    left = {path.name for path in own_emulator.folder.iterdir()}
    assert "emulator.json" not in left
    assert {name for name in left if name.endswith(("-wal", "-shm", ".part"))} == set()
    own_emulator.start()
    check(own_emulator)


def test_what_was_answered_survives_a_kill(own_emulator: Emulator) -> None:
    own_emulator.start()
    fill(own_emulator)
    own_emulator.kill()
    assert (own_emulator.folder / "emulator.json").exists()
    own_emulator.start()
    check(own_emulator)


def test_a_second_one_on_the_same_folder_refuses(own_emulator: Emulator) -> None:
    own_emulator.start()
    command = [sys.executable, "-m", "infra.emulator", "--state", str(own_emulator.folder)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "another emulator is using" in second.stderr
    assert own_emulator.http().get("/").json()["pid"] == own_emulator.process.pid  # type: ignore[union-attr]


def test_a_port_that_is_taken_is_named(own_emulator: Emulator, emulator: Emulator) -> None:
    port = emulator.host.partition(":")[2]
    command = [sys.executable, "-m", "infra.emulator", "--state", str(own_emulator.folder)]
    second = subprocess.run(
        [*command, "--port", port], capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr


def test_it_says_who_it_is(emulator: Emulator) -> None:
    said = emulator.http().get("/").json()
    assert said["name"] == "cookiecutter-cloudrun emulator"
    assert said["apis"]["/secretmanager"] == "secretmanager.googleapis.com"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/nowhere", 404, "/secretmanager"),
        ("/secretmanager/v1/projects/a-project/nonsense", 404, "GET /v1/projects"),
        ("/run/v2/projects/a-project/locations/x/workerPools", 501, "WorkerPools.ListWorkerPools"),
        ("/secretmanager/v1/projects/UPPER/secrets", 400, "UPPER"),
    ],
)
def test_what_is_not_there_is_named(
    emulator: Emulator, path: str, status: int, message: str
) -> None:
    answer = emulator.http().get(path)
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]


def test_every_call_is_journalled_without_its_body(emulator: Emulator, project: str) -> None:
    secrets = secretmanager_v1.SecretManagerServiceClient(**emulator.arguments("secretmanager"))
    emulator.forget()
    parent = f"projects/{project}"
    secret: dict[str, object] = {"replication": {"automatic": {}}}
    secrets.create_secret(
        request={
            "parent": parent,
            "secret_id": "s",
            "secret": secret,
        }
    )
    list(secrets.list_secrets(parent=parent))
    secrets.get_iam_policy(request={"resource": f"{parent}/secrets/s"})
    calls = emulator.calls()
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    assert [(one["method"], one["status"], one["write"]) for one in calls] == [
        (f"{service}.CreateSecret", 200, True),
        (f"{service}.ListSecrets", 200, False),
        (f"{service}.GetIamPolicy", 200, False),
    ]
    assert calls[0]["caller"] == "user:owner@local"
    assert calls[0]["milliseconds"] > 0
    assert "automatic" not in str(calls)


def test_reading_by_post_is_no_write(emulator: Emulator, bare_project: str) -> None:
    emulator.forget()
    path = f"/cloudresourcemanager/v1/projects/{bare_project}:getIamPolicy"
    emulator.http().post(path).raise_for_status()
    emulator.http().post("/logging/v2/entries:list", json={})
    assert [one["write"] for one in emulator.calls()] == [False, False]


def test_the_journal_goes_on_from_where_it_was_read(emulator: Emulator, bare_project: str) -> None:
    emulator.forget()
    http, place = emulator.http(), f"/iam/v1/projects/{bare_project}/serviceAccounts"
    http.get(place).raise_for_status()
    last = http.get("/emulator/journal").json()["last"]
    http.post(place, json={"accountId": "an-account"}).raise_for_status()
    http.get(place).raise_for_status()
    since = {"since": last}
    calls = http.get("/emulator/journal", params=since).json()["calls"]
    assert [one["http"] for one in calls] == ["POST", "GET"]
    writes = http.get("/emulator/journal", params={**since, "writes": "true"}).json()["calls"]
    assert [one["method"] for one in writes] == ["google.iam.admin.v1.IAM.CreateServiceAccount"]
    counts = http.get("/emulator/journal/count", params=since).json()
    assert counts == {"calls": 2, "writes": 1, "last": 3}
    assert http.get("/emulator/journal", params={"since": "then"}).status_code == 400


def test_only_what_can_change_something_is_a_write() -> None:
    read_by_post = {
        method.rpartition(".")[2]
        for api in Router(products.apis()).apis.values()
        for route in api.routes
        for method in [route.method]
        if route.handler and route.verb == "POST" and not writes(route.verb, method)
    }
    assert read_by_post == {
        "GenerateAccessToken",
        "GetIamPolicy",
        "ListLogEntries",
        "TestIamPermissions",
        "WaitOperation",
    }
    assert not any(writes("GET", method) for _, method, _ in coverage())
    assert all(writes(verb, "storage.objects.insert") for verb in ("POST", "PUT", "PATCH"))


def test_nothing_is_under_the_emulators_own_name_but_what_it_names(emulator: Emulator) -> None:
    answer = emulator.http().get("/emulator/nothing")
    assert answer.status_code == 404
    assert "GET /emulator/journal" in answer.json()["error"]["message"]


@pytest.mark.parametrize("given", ["-1", "nan", "1e9"])
def test_a_latency_that_is_none_is_usage(tmp_path: Path, given: str) -> None:
    command = [sys.executable, "-m", "infra.emulator", "--state", str(tmp_path / "state")]
    done = subprocess.run(
        [*command, f"--latency={given}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--latency" in done.stderr
    assert not (tmp_path / "state").exists()


def test_coverage_tells_what_is_implemented() -> None:
    found = {(product, method): done for product, method, done in coverage()}
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    assert found["secretmanager", f"{service}.AccessSecretVersion"]
    assert not found["secretmanager", f"{service}.RotateSecret"]
    assert {product for product, _ in found} >= {"storage", "iam", "logging", "artifactregistry"}


def test_a_world_keeps_all_of_a_transaction_or_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.put("kind", "a", {"n": 1})
    with pytest.raises(RuntimeError), world.transaction():
        world.put("kind", "a", {"n": 2})
        with world.transaction():
            world.put("kind", "b", {"n": 3})
        raise RuntimeError
    assert world.list("kind") == [{"n": 1}]
    assert world.revision("kind", "a") == 1
    with pytest.raises(Conflict):
        world.put("kind", "a", {}, expect=0)
    assert world.put("kind", "a", {"n": 4}, expect=1) == 2
    for i in range(1001):
        world.put("many", f"{i:04}", {"n": i})
    assert [body["n"] for body in world.list("many")] == list(range(1001))
    newest = [body["n"] for _, body in world.items("many", newest_first=True)]
    assert newest == list(reversed(range(1001)))
    assert world.delete("kind", "a")
    assert world.get("kind", "a") is None
    world.close()


def test_an_operation_that_was_cut_off_ends_with_an_error(tmp_path: Path) -> None:
    world = World(tmp_path)
    going = operations.start(world, "operations", None, None, lambda: None, seconds=60)
    failed = operations.start(world, "operations", None, None, fail)
    assert operations.wait(world, failed.name, 5).error.code == 6
    world.close()
    world = World(tmp_path)
    assert [one.name for one in operations.interrupt(world)] == [going.name]
    ended = operations.get(world, going.name)
    assert ended.done
    assert "was stopped while" in ended.error.message
    assert operations.get(world, failed.name).error.message == "taken"
    world.close()


def fail() -> None:
    raise errors.already_exists("taken")


def test_what_is_answered_is_sent_at_once() -> None:
    with (
        listen(0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
