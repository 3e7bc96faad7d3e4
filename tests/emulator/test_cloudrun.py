"""Services and revisions, through Cloud Run's own client."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import run_v2, secretmanager_v1
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from tests.emulator.accounts import create_account
from tests.emulator.running import (
    FAILED,
    LATEST,
    PROJECT,
    QUICK,
    SUCCEEDED,
    Run,
    alive,
    ask,
    local_cloud,
    scaled_to_zero,
    serving,
)
from tests.emulator.services import (
    failure,
    grant,
    result,
)
from tests.emulator.test_cloudsql import Sql

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")

HELLO = "us-docker.pkg.dev/cloudrun/container/hello"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with local_cloud(tmp_path_factory.mktemp("run")) as run:
        yield run


def sized(cpu: str, memory: str) -> dict[str, Any]:
    """A template's container of some size."""
    return {"container": {"resources": {"limits": {"cpu": cpu, "memory": memory}}}}


def test_a_service_is_made_and_serves(run: Run) -> None:
    service = run.create("plain")
    assert service == run.get("plain")
    assert service.generation == service.observed_generation == 1
    assert not service.reconciling
    assert service.terminal_condition.state == SUCCEEDED
    assert {one.type_ for one in service.conditions} == {"RoutesReady", "ConfigurationsReady"}
    assert service.latest_ready_revision == service.latest_created_revision
    assert service.urls == [service.uri]
    assert [(one.type_, one.percent) for one in service.traffic_statuses] == [(LATEST, 100)]
    template = service.template
    assert template.timeout.seconds == 300
    assert template.max_instance_request_concurrency == 80
    assert template.scaling.max_instance_count == 100
    container = template.containers[0]
    assert dict(container.resources.limits) == {"cpu": "1000m", "memory": "512Mi"}
    assert container.resources.cpu_idle
    assert container.startup_probe.tcp_socket.port == container.ports[0].container_port == 8080
    environment = ask(service.uri)["environment"]
    short = service.latest_ready_revision.rpartition("/")[2]
    assert environment["K_SERVICE"] == environment["K_CONFIGURATION"] == "plain"
    assert environment["K_REVISION"] == short
    assert environment["GREETING"] == "hello there"
    assert environment["LISTEN"] == "127.0.0.1"
    revision = run.revisions.get_revision(name=service.latest_ready_revision)
    assert revision.service == "plain"
    assert revision.containers[0].image == run.image


def test_only_what_the_image_sets_reaches_the_program(run: Run) -> None:
    service = run.create("alone", variables={"OWN": "mine", "GREETING": "other"})
    said = ask(service.uri)
    assert said["environment"]["OWN"] == "mine"
    assert said["environment"]["GREETING"] == "other"
    assert said["folder"].endswith("/app")
    assert "VIRTUAL_ENV" not in said["environment"]
    assert said["environment"]["PATH"].split(":")[0].endswith("/app/.venv/bin")


def test_the_placeholder_says_hello(run: Run) -> None:
    service = run.create("placeholder", container={"image": HELLO})
    answer = httpx.get(service.uri)
    assert answer.status_code == 200
    assert service.latest_ready_revision.rpartition("/")[2] in answer.text


def test_a_change_makes_a_revision_and_no_change_makes_none(run: Run) -> None:
    service = run.create("changes")
    first = serving(service.uri)
    same = result(run.update(service, template=service.template))
    assert same.latest_created_revision == service.latest_created_revision
    assert same.generation == 2
    labelled = result(run.update(service, labels={"a": "b"}))
    assert labelled.latest_created_revision == service.latest_created_revision
    template = run.template(variables={"NEW": "yes"})
    changed = result(run.update(service, template=template))
    assert changed.labels == {"a": "b"}
    assert changed.uri == service.uri
    assert serving(service.uri) != first
    names = [one.name for one in run.revisions.list_revisions(parent=service.name)]
    assert names == [changed.latest_ready_revision, service.latest_ready_revision]
    run.revisions.delete_revision(name=names[1])
    with pytest.raises(exceptions.BadRequest, match="latest"):
        run.revisions.delete_revision(name=names[0])


def test_a_named_revision_is_not_made_twice(run: Run) -> None:
    service = run.create("named", revision="named-one")
    assert service.latest_ready_revision.endswith("/named-one")
    again = run.template(revision="named-one", variables={"X": "1"})
    with pytest.raises(exceptions.Conflict, match="with different configuration already exists"):
        run.update(service, template=again)
    result(run.update(service, template=run.template(revision="named-one")))
    with pytest.raises(exceptions.BadRequest, match="must be prefixed"):
        run.update(service, template=run.template(revision="other-one"))


def test_a_mask_changes_only_what_it_names(run: Run) -> None:
    service = run.create("masked", variables={"KEPT": "yes"}, service={"labels": {"a": "b"}})
    body = run_v2.Service(name=service.name, description="new", labels={"c": "d"})
    changed = result(
        run.services.update_service(service=body, update_mask={"paths": ["description"]})
    )
    assert changed.description == "new"
    assert changed.labels == {"a": "b"}
    assert changed.template == service.template


def test_only_validating_changes_nothing(run: Run) -> None:
    body = {"template": run.template()}
    asked = {
        "parent": run.parent,
        "service_id": "imagined",
        "service": body,
        "validate_only": True,
    }
    assert result(run.services.create_service(request=asked)).template.timeout.seconds == 300
    with pytest.raises(exceptions.NotFound):
        run.get("imagined")


def test_a_missing_service_may_be_made_by_an_update(run: Run) -> None:
    body = run_v2.Service(name=f"{run.parent}/services/upserted", template=run.template())
    with pytest.raises(exceptions.NotFound):
        run.services.update_service(service=body)
    request = {"service": body, "allow_missing": True}
    made = result(run.services.update_service(request=request))
    assert serving(made.uri)
    with pytest.raises(exceptions.Conflict):
        run.begin("upserted")


def test_a_stale_etag_is_refused(run: Run) -> None:
    service = run.create("stale")
    result(run.update(service, description="new"))
    with pytest.raises(exceptions.Conflict, match="but current version is"):
        run.update(service, "description", description="newer", etag=service.etag)


def test_a_deleted_service_is_gone(run: Run) -> None:
    service = run.create("deleted")
    pid = ask(service.uri)["pid"]
    result(run.services.delete_service(name=service.name))
    with pytest.raises(exceptions.NotFound):
        run.get("deleted")
    assert not alive(pid)
    with pytest.raises(httpx.ConnectError):
        httpx.get(service.uri)
    assert run.create("deleted").generation == 1


def test_policies_of_a_service(run: Run) -> None:
    service = run.create("guarded")
    policy = policy_pb2.Policy()
    policy.bindings.add(role="roles/run.invoker", members=["allUsers"])
    run.services.set_iam_policy(request={"resource": service.name, "policy": policy})
    read = run.services.get_iam_policy(request={"resource": service.name})
    assert list(read.bindings) == list(policy.bindings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"container": {"image": ""}}, "image is required"),
        ({"variables": {"PORT": "1"}}, "reserved env names were provided: PORT"),
        ({"annotations": {"run.googleapis.com/x": "y"}}, "reserved for the system"),
        ({"service": {"traffic": [{"percent": 50}]}}, "add up to 100"),
        ({"service": {"traffic": [{"percent": 120}, {"percent": -20}]}}, "must be 0 to 100"),
        ({"service": {"traffic": [{"percent": 100, "tag": "Next"}]}}, "traffic tag 'Next'"),
        ({"service": {"traffic": [{"percent": 100, "tag": "n" * 42}]}}, "at most 46"),
        (
            {"service": {"traffic": [{"type_": LATEST, "revision": "wrong-1", "percent": 100}]}},
            "cannot name one",
        ),
        ({"timeout": {"seconds": 3601}}, "out of bounds"),
        ({"max_instance_request_concurrency": 1001}, "out of bounds"),
        ({"scaling": {"min_instance_count": 3, "max_instance_count": 2}}, "min_instance_count"),
        (sized("3", "512Mi"), "specified for cpu"),
        (sized("500m", "512Mi"), "cpu < 1 is not supported with concurrency > 1"),
        ({**sized("0.5", "2Gi"), "max_instance_request_concurrency": 1}, "between 128Mi and 1Gi"),
        (sized("1", "8Gi"), "For 1.0 CPU, memory must be between 128Mi and 4Gi inclusive"),
        (sized("4", "512Mi"), "between 2Gi and 16Gi"),
        (sized("1", "plenty"), "of the memory"),
        ({"service_account": "nobody@run-project.iam.gserviceaccount.com"}, "actAs"),
    ],
)
def test_a_wrong_service_is_refused(run: Run, changes: dict[str, Any], said: str) -> None:
    with pytest.raises((exceptions.BadRequest, exceptions.Forbidden), match=said):
        run.begin("wrong", **changes)
    with pytest.raises(exceptions.NotFound):
        run.get("wrong")


# Revisions that fail.


def fails(run: Run, name: str, said: str, **template: Any) -> run_v2.Service:
    """A service that serves; then a change of it that must fail, and leave things as they are."""
    service = run.create(name)
    first = serving(service.uri)
    error = failure(run.update(service, template=run.template(**template)))
    assert error is not None
    assert said in str(error)
    now = run.get(name)
    assert now.latest_ready_revision == service.latest_ready_revision
    assert now.latest_created_revision != service.latest_created_revision
    assert now.traffic_statuses == service.traffic_statuses
    assert now.terminal_condition.state == FAILED
    assert said in now.terminal_condition.message
    assert now.observed_generation == now.generation
    assert not now.reconciling
    assert serving(service.uri) == first
    created = run.revisions.get_revision(name=now.latest_created_revision)
    assert created.conditions[0].state == FAILED
    return now


def test_a_program_that_ends_is_no_revision(run: Run) -> None:
    said = "failed to start and listen on the port defined provided by the PORT=8080"
    service = fails(run, "ends", said, variables={"BEHAVIOUR": "exit", "STATUS": "9"})
    short = service.latest_created_revision.rpartition("/")[2]
    lines = run.logs(f'resource.labels.revision_name="{short}"')
    assert "starting" in [one.get("textPayload") for one in lines]


def test_a_probe_that_fails_is_no_revision(run: Run, tmp_path: Path) -> None:
    (tmp_path / "unhealthy").touch()
    service = fails(
        run,
        "unhealthy",
        "failed the configured startup probe checks",
        container={"startup_probe": QUICK},
        variables={"UNHEALTHY": str(tmp_path / "unhealthy")},
    )
    short = service.latest_created_revision.rpartition("/")[2]
    lines = run.logs(f'resource.labels.revision_name="{short}" AND severity>=ERROR')
    assert "STARTUP HTTP probe failed 2 times" in lines[0]["textPayload"]


def test_a_program_that_never_listens_is_no_revision(run: Run) -> None:
    probe = {"tcp_socket": {}, "period_seconds": 1, "failure_threshold": 1, "timeout_seconds": 1}
    fails(
        run,
        "deaf",
        "within the allocated timeout",
        container={"startup_probe": probe},
        variables={"BEHAVIOUR": "deaf"},
    )


def test_an_image_that_is_not_there_is_no_revision(run: Run) -> None:
    image = run.image.partition("@")[0] + ":nope"
    fails(run, "imageless", f"Image '{image}' not found.", container={"image": image})


def test_a_start_that_takes_long_holds_up_nothing(run: Run) -> None:
    began = time.monotonic()
    # The default probe would wait for four minutes.
    slow = run.begin("patient", variables={"BEHAVIOUR": "deaf"})
    fixed = result(run.update(run.get("patient"), template=run.template()))
    assert serving(fixed.uri)
    assert not slow.done()
    result(run.services.delete_service(name=fixed.name))
    assert failure(slow) is not None
    assert time.monotonic() - began < 30


def test_a_service_that_never_worked_has_no_address(run: Run) -> None:
    error = failure(run.begin("stillborn", variables={"BEHAVIOUR": "exit"}))
    assert "is not ready and cannot serve traffic" in str(error)
    service = run.get("stillborn")
    assert service.latest_ready_revision == ""
    assert service.uri == ""
    result(run.update(service, template=run.template()))
    assert serving(run.get("stillborn").uri)


# Secrets, databases, accounts.


def test_a_secret_needs_its_grant(run: Run) -> None:
    secrets = secretmanager_v1.SecretManagerServiceClient(**run.emulator.arguments("secretmanager"))
    account = create_account(run.emulator, PROJECT, "needs-secret")
    request = {
        "parent": f"projects/{PROJECT}",
        "secret_id": "token",
        "secret": {"replication": {"automatic": {}}},
    }
    secret = secrets.create_secret(request=request)
    secrets.add_secret_version(request={"parent": secret.name, "payload": {"data": b"first"}})
    variable = run_v2.EnvVar(
        name="TOKEN", value_source={"secret_key_ref": {"secret": "token", "version": "1"}}
    )
    template: dict[str, Any] = {
        "container": {"env": [variable]},
        "service_account": account,
    }
    said = f"/secrets/token/versions/1 for Revision service account {account}"
    fails(run, "secretive", said, **template)
    grant(run.emulator, PROJECT, "roles/secretmanager.secretAccessor", f"serviceAccount:{account}")
    service = result(run.update(run.get("secretive"), template=run.template(**template)))
    assert ask(service.uri)["environment"]["TOKEN"] == "first"
    # It is pinned: what comes later is another revision's.
    secrets.add_secret_version(request={"parent": secret.name, "payload": {"data": b"second"}})
    scaled_to_zero(run, service)
    assert ask(service.uri)["environment"]["TOKEN"] == "first"
    missing = run_v2.EnvVar(
        name="TOKEN", value_source={"secret_key_ref": {"secret": "token", "version": "7"}}
    )
    again = run.template(container={"env": [missing]}, service_account=account)
    assert "was not found" in str(failure(run.update(service, template=again)))


def test_a_database_needs_its_grant(run: Run) -> None:
    account = create_account(run.emulator, PROJECT, "needs-database")
    assert not Sql(run.emulator, PROJECT).done(Sql(run.emulator, PROJECT).insert()).error.errors
    connection = f"{PROJECT}:europe-west1:db"
    template: dict[str, Any] = {
        "variables": {"DATABASE_SOCKET": f"/cloudsql/{connection}"},
        "service_account": account,
        "volumes": [{"name": "cloudsql", "cloud_sql_instance": {"instances": [connection]}}],
    }
    service = fails(run, "database", "Possibly missing permission cloudsql", **template)
    short = service.latest_created_revision.rpartition("/")[2]
    lines = run.logs(f'resource.labels.revision_name="{short}"')
    assert any("no such socket folder" in one.get("textPayload", "") for one in lines)
    grant(run.emulator, PROJECT, "roles/cloudsql.client", f"serviceAccount:{account}")
    service = result(run.update(service, template=run.template(**template)))
    assert (Path(ask(service.uri)["environment"]["DATABASE_SOCKET"]) / ".s.PGSQL.5432").exists()


def test_a_service_acts_as_its_account(run: Run) -> None:
    account = create_account(run.emulator, PROJECT, "identified")
    service = run.create("identified", service_account=account)
    host = ask(service.uri)["environment"]["GCE_METADATA_HOST"]
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    token = httpx.get(f"http://{host}{path}", headers={"Metadata-Flavor": "Google"}).json()
    assert token["access_token"] == f"emulated:{account}"
    assert httpx.get(f"http://{host}{path}").status_code == 403


def test_an_account_needs_its_roles(run: Run) -> None:
    account = create_account(run.emulator, PROJECT, "deployer")
    theirs = Run(run.emulator, PROJECT, run.image, account)
    with pytest.raises(exceptions.Forbidden, match=r"run\.services\.create"):
        theirs.begin("theirs")
    grant(run.emulator, PROJECT, "roles/run.developer", f"serviceAccount:{account}")
    with pytest.raises(exceptions.Forbidden, match="actAs"):
        theirs.begin("theirs")
    grant(run.emulator, PROJECT, "roles/iam.serviceAccountUser", f"serviceAccount:{account}")
    assert serving(theirs.create("theirs").uri)
