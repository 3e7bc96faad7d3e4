"""Long-running operations that fail, hang and are slow, and foreign writers that are faster."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.tasks.local_cloud import remove
from tests.emulator.emulators import Emulator
from tests.emulator.services import eventually

PROJECT = "operations-project"
REGION = f"projects/{PROJECT}/locations/europe-west1"
HELLO = "us-docker.pkg.dev/cloudrun/container/hello"
SERVICE = {"template": {"containers": [{"image": HELLO}]}}
JOB = {"template": {"template": {"containers": [{"image": HELLO}]}}}
INSTANCE = {
    "name": "db",
    "databaseVersion": "POSTGRES_17",
    "region": "europe-west1",
    "settings": {"tier": "db-f1-micro", "edition": "ENTERPRISE"},
}
SQL = f"/sqladmin/sql/v1beta4/projects/{PROJECT}"


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator behind which nothing runs."""
    emulator = Emulator(tmp_path_factory.mktemp("hollow") / "state").start("--hollow")
    emulator.enable_all(PROJECT)
    yield emulator
    emulator.stop()
    remove(emulator.folder)


@pytest.fixture
def http(hollow: Emulator) -> Iterator[httpx.Client]:
    with hollow.http() as client:
        yield client
        client.delete("/emulator/faults").raise_for_status()


def ended(http: httpx.Client, api: str, answer: httpx.Response) -> dict[str, Any]:
    """A google.longrunning operation once it is done."""
    body: dict[str, Any] = answer.raise_for_status().json()
    found: list[dict[str, Any]] = [body]

    def done() -> bool:
        found[0] = http.get(f"/{api}/{body['name']}").json()
        return bool(found[0].get("done"))

    eventually(done)
    return found[0]


def sql_ended(http: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    """An operation of Cloud SQL once it is done."""
    name = answer.raise_for_status().json()["name"]
    found: list[dict[str, Any]] = [{}]

    def done() -> bool:
        found[0] = http.get(f"{SQL}/operations/{name}").json()
        return bool(found[0]["status"] == "DONE")

    eventually(done)
    return found[0]


@pytest.mark.parametrize(
    ("collection", "key", "body"), [("services", "serviceId", SERVICE), ("jobs", "jobId", JOB)]
)
def test_a_service_or_job_whose_operation_fails_has_failed_and_can_be_made_right(
    hollow: Emulator, http: httpx.Client, collection: str, key: str, body: dict[str, Any]
) -> None:
    fault = hollow.fault(
        method=f"*{collection.title()}.Create*", kind="operation", name="INTERNAL", message="Sorry."
    )
    place = f"/run/v2/{REGION}/{collection}"
    done = ended(http, "run/v2", http.post(place, params={key: "failing"}, json=body))
    assert done["error"] == {"code": 13, "message": "Sorry."}
    assert hollow.used(fault) == 1
    found = http.get(f"{place}/failing").json()
    assert found["terminalCondition"]["state"] == "CONDITION_FAILED"
    assert found["terminalCondition"]["message"] == "Sorry."
    assert not found.get("reconciling")
    done = ended(http, "run/v2", http.patch(f"{place}/failing", json=body))
    assert done["response"]["terminalCondition"]["state"] == "CONDITION_SUCCEEDED"


def test_a_deletion_that_fails_leaves_what_was_there(hollow: Emulator, http: httpx.Client) -> None:
    place = f"/run/v2/{REGION}/services"
    ended(http, "run/v2", http.post(place, params={"serviceId": "staying"}, json=SERVICE))
    hollow.fault(method="*DeleteService", kind="operation", name="ABORTED", times=1)
    assert "error" in ended(http, "run/v2", http.delete(f"{place}/staying"))
    assert "deleteTime" not in http.get(f"{place}/staying").json()
    assert "error" not in ended(http, "run/v2", http.delete(f"{place}/staying"))
    assert http.get(f"{place}/staying").status_code == 404


def test_an_operation_hangs_until_its_rule_is_deleted(hollow: Emulator, http: httpx.Client) -> None:
    fault = hollow.fault(method="*CreateRepository", kind="operation", hang=True)
    place = f"/artifactregistry/v1/{REGION}/repositories"
    made = http.post(place, params={"repositoryId": "hung"}, json={"format": "DOCKER"})
    operation = f"/artifactregistry/v1/{made.raise_for_status().json()['name']}"
    assert "done" not in http.get(operation).json()
    assert http.get(f"{place}/hung").status_code == 404
    http.delete(f"/emulator/faults/{fault}").raise_for_status()
    eventually(lambda: http.get(operation).json().get("done"))
    assert http.get(f"{place}/hung").status_code == 200


def test_cloud_sqls_own_operations_fail_and_hang(hollow: Emulator, http: httpx.Client) -> None:
    made = sql_ended(http, http.post(f"{SQL}/instances", json=INSTANCE))
    assert "error" not in made
    databases = f"{SQL}/instances/db/databases"
    hollow.fault(method="*DatabasesService.Insert", kind="operation", name="INTERNAL", nth=1)
    failed = sql_ended(http, http.post(databases, json={"name": "orders"}))
    assert failed["error"]["errors"][0]["message"].startswith("This failure was asked for")
    assert [one["name"] for one in http.get(databases).json()["items"]] == ["postgres"]
    held = hollow.fault(method="*UsersService.Insert", kind="operation", hang=True)
    user = {"name": "app", "password": "secret"}
    hanging = http.post(f"{SQL}/instances/db/users", json=user)
    busy = http.post(databases, json={"name": "orders"})
    assert busy.status_code == 409
    assert busy.json()["error"]["errors"][0]["reason"] == "operationInProgress"
    http.delete(f"/emulator/faults/{held}").raise_for_status()
    assert "error" not in sql_ended(http, hanging)
    assert "error" not in sql_ended(http, http.post(databases, json={"name": "orders"}))
    hollow.fault(method="*InstancesService.Delete", kind="operation", name="INTERNAL", nth=1)
    assert "error" in sql_ended(http, http.delete(f"{SQL}/instances/db"))
    assert http.get(f"{SQL}/instances/db").json()["state"] == "RUNNABLE"


def test_a_fault_with_nothing_to_do_is_not_counted_as_used(
    hollow: Emulator, http: httpx.Client
) -> None:
    race = hollow.fault(method="*CreateSecret", kind="race")
    failing = hollow.fault(method="*CreateSecret", kind="operation", name="INTERNAL")
    http.delete("/emulator/journal")
    secrets = f"/secretmanager/v1/projects/{PROJECT}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    http.post(secrets, params={"secretId": "spared"}, json=body).raise_for_status()
    assert (hollow.used(race), hollow.used(failing)) == (0, 0)
    assert [one["fault"] for one in hollow.calls()] == [""]


def test_a_foreign_binding_makes_an_etag_stale(hollow: Emulator, http: httpx.Client) -> None:
    secrets = f"/secretmanager/v1/projects/{PROJECT}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    http.post(secrets, params={"secretId": "raced"}, json=body).raise_for_status()
    fault = hollow.fault(method="*SecretManagerService.SetIamPolicy", kind="race", nth=1)
    policy = http.get(f"{secrets}/raced:getIamPolicy").json()
    mine = {"role": "roles/secretmanager.secretAccessor", "members": ["user:me@example.com"]}

    def set_mine() -> httpx.Response:
        changed = {**policy, "bindings": [*policy.get("bindings", []), mine]}
        return http.post(f"{secrets}/raced:setIamPolicy", json={"policy": changed})

    stale = set_mine()
    assert (stale.status_code, stale.json()["error"]["status"]) == (409, "ABORTED")
    policy = http.get(f"{secrets}/raced:getIamPolicy").json()
    assert policy["bindings"][0]["members"] == ["user:somebody-else@example.com"]
    assert len(set_mine().raise_for_status().json()["bindings"]) == 2
    assert hollow.used(fault) == 1


@pytest.mark.parametrize(
    "resource", [f"projects/{PROJECT}", f"projects/{PROJECT}/serviceAccounts/a"]
)
def test_a_foreign_binding_can_be_given_back(
    hollow: Emulator, http: httpx.Client, resource: str
) -> None:
    api = "/cloudresourcemanager/v3/" if resource == f"projects/{PROJECT}" else "/iam/v1/"
    if api == "/iam/v1/":
        account = {"accountId": "raced-one"}
        http.post(f"/iam/v1/projects/{PROJECT}/serviceAccounts", json=account).raise_for_status()
        resource = f"{resource.removesuffix('/a')}/raced-one@{PROJECT}.iam.gserviceaccount.com"
    place = f"{api}{resource}"
    hollow.fault(method="*SetIamPolicy", kind="race", times=1)
    policy = http.post(f"{place}:getIamPolicy", json={}).json()
    stale = http.post(f"{place}:setIamPolicy", json={"policy": policy})
    assert stale.status_code == 409
    policy = http.post(f"{place}:getIamPolicy", json={}).json()
    again = http.post(f"{place}:setIamPolicy", json={"policy": policy})
    assert "user:somebody-else@example.com" in str(again.raise_for_status().json()["bindings"])


def test_foreign_changes_are_met_by_etag_version_and_metageneration(
    hollow: Emulator, http: httpx.Client
) -> None:
    hollow.fault(method="*", write=True, kind="race")
    secrets = f"/secretmanager/v1/projects/{PROJECT}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    secret = http.post(secrets, params={"secretId": "labelled"}, json=body).json()
    changed = {"etag": secret["etag"], "labels": {"mine": "1"}}
    stale = http.patch(f"{secrets}/labelled", params={"updateMask": "labels"}, json=changed)
    assert stale.status_code == 400
    assert "etag" in stale.json()["error"]["message"]
    assert http.get(f"{secrets}/labelled").json()["labels"] == {"somebody-else": "was-here"}

    buckets = "/storage/storage/v1/b"
    http.post(buckets, params={"project": PROJECT}, json={"name": "raced"}).raise_for_status()
    guarded = http.patch(f"{buckets}/raced", params={"ifMetagenerationMatch": 1}, json={})
    assert guarded.status_code == 412
    merged = http.patch(f"{buckets}/raced", json={"labels": {"mine": "1"}}).json()
    assert merged["labels"] == {"mine": "1", "somebody-else": "was-here"}

    sql_ended(http, http.post(f"{SQL}/instances", json={**INSTANCE, "name": "raced"}))
    asked = {"settings": {"settingsVersion": "1", "userLabels": {"mine": "1"}}}
    late = http.patch(f"{SQL}/instances/raced", json=asked)
    assert late.status_code == 412
    found = http.get(f"{SQL}/instances/raced").json()["settings"]
    assert found["userLabels"] == {"somebody-else": "was-here"}

    place = f"/run/v2/{REGION}/services"
    ended(http, "run/v2", http.post(place, params={"serviceId": "raced"}, json=SERVICE))
    service = http.get(f"{place}/raced").json()
    refused = http.patch(f"{place}/raced", json={**SERVICE, "etag": service["etag"]})
    assert (refused.status_code, refused.json()["error"]["status"]) == (409, "ABORTED")


def test_a_hollow_cloud_says_so_and_runs_nothing(hollow: Emulator, http: httpx.Client) -> None:
    assert http.get("/").json()["hollow"] is True
    ended(http, "run/v2", http.post(f"/run/v2/{REGION}/jobs", params={"jobId": "idle"}, json=JOB))
    answer = http.post(f"/run/v2/{REGION}/jobs/idle:run", json={})
    assert answer.status_code == 501
    assert "hollow" in answer.json()["error"]["message"]


def test_a_hollow_revision_still_needs_its_secrets(hollow: Emulator, http: httpx.Client) -> None:
    secrets = f"/secretmanager/v1/projects/{PROJECT}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    http.post(secrets, params={"secretId": "needed"}, json=body).raise_for_status()
    version = {"payload": {"data": "aHVzaA=="}}
    http.post(f"{secrets}/needed:addVersion", json=version).raise_for_status()
    accounts = f"/iam/v1/projects/{PROJECT}/serviceAccounts"
    http.post(accounts, json={"accountId": "needy-one"}).raise_for_status()
    account = f"needy-one@{PROJECT}.iam.gserviceaccount.com"
    variable = {"name": "PASSWORD", "valueSource": {"secretKeyRef": {"secret": "needed"}}}
    template = {"serviceAccount": account, "containers": [{"image": HELLO, "env": [variable]}]}
    place = f"/run/v2/{REGION}/services"
    made = http.post(place, params={"serviceId": "needy"}, json={"template": template})
    assert "Permission denied on secret" in ended(http, "run/v2", made)["error"]["message"]
    binding = {
        "role": "roles/secretmanager.secretAccessor",
        "members": [f"serviceAccount:{account}"],
    }
    policy = {"policy": {"bindings": [binding]}}
    http.post(f"{secrets}/needed:setIamPolicy", json=policy).raise_for_status()
    done = ended(http, "run/v2", http.patch(f"{place}/needy", json={"template": template}))
    assert done["response"]["uri"].endswith(".hollow.invalid")


def test_a_hollow_cloud_stays_one(own_emulator: Emulator) -> None:
    own_emulator.start("--hollow").stop()
    with pytest.raises(AssertionError, match=r"is a hollow one.*--hollow"):
        own_emulator.start()
