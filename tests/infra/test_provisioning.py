"""Provisioning against the emulator: Google's own clients, over HTTP, on a cloud of its own."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from google.api_core.exceptions import NotFound
from google.cloud import artifactregistry_v1
from google.iam.v1 import iam_policy_pb2, policy_pb2  # type: ignore[import-untyped]
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.events import Status
from infra.resources.secrets import APPLIED
from tests.infra.ours import Journal, Make, Ours, is_well

OTHER = policy_pb2.Binding(role="roles/viewer", members=["user:ann@acme.com"])
SAME_ROLE = policy_pb2.Binding(role="roles/cloudsql.client", members=["user:bob@acme.com"])


def test_the_second_run_makes_no_write(make: Make, journal: Journal) -> None:
    ours = make("second-run")
    first = ours.provision()
    assert is_well(first), ours.told()
    assert first.count(Status.CHANGED)
    journal.clear()
    second = ours.provision()
    assert second.count(Status.OK) == len(second.statuses), ours.told()
    assert journal.writes == []


@pytest.mark.parametrize("until", [1, 4, 8, 12])
def test_an_interrupted_run_is_finished_by_the_next(make: Make, until: int) -> None:
    ours = make(f"interrupted-{until}")
    assert ours.provision(until=until).interrupted
    assert is_well(ours.provision()), ours.told()
    assert not ours.provision().count(Status.CHANGED)


def begin(ours: Ours, host: str) -> subprocess.Popen[str]:
    """The command itself, in a process of its own."""
    environments = ours.folder / "environments"
    environments.mkdir()
    text = f"project: {ours.cloud.names.project}\nregion: europe-west1\nservice:\n  name: orders\n"
    (environments / "stg.yaml").write_text(text)
    (ours.folder / "pyproject.toml").touch()
    (ours.folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    return subprocess.Popen(
        [sys.executable, "-m", "invoke", "provision", "--env", "stg"],
        cwd=ours.folder,
        env={**os.environ, "CLOUD_EMULATOR_HOST": host},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_run_is_finished_by_the_next(make: Make, host: str) -> None:
    ours = make("killed-run")
    process = begin(ours, host)
    assert process.stdout
    with process.stdout as lines:
        assert any(line.startswith("  changed") for line in lines), "nothing was begun"
        process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_well(ours.provision()), ours.told()
    assert not ours.provision().count(Status.CHANGED)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_waits_for_what_is_in_flight_and_recaps(make: Make, host: str) -> None:
    ours = make("ctrl-c")
    process = begin(ours, host)
    assert process.stdout
    with process.stdout as lines:
        assert any(line.startswith("  changed") for line in lines), "nothing was begun"
        process.send_signal(signal.SIGINT)
        rest = lines.read()
    assert process.wait() == 130
    assert "orders-stg : ok=" in rest
    assert is_well(ours.provision()), ours.told()


def test_what_is_somebody_elses_is_refused_before_any_write(make: Make, journal: Journal) -> None:
    theirs = make("foreign-bucket")
    assert is_well(theirs.provision())
    bucket = theirs.cloud.storage.get_bucket(theirs.cloud.names.bucket)
    bucket.labels = {"team": "data"}
    bucket.patch()
    journal.clear()
    refused = theirs.provision()
    assert refused.count(Status.FAILED) == 1
    assert "--adopt" in theirs.told()
    assert journal.writes == []
    assert is_well(theirs.provision(adopt=True))
    labels = theirs.cloud.storage.get_bucket(theirs.cloud.names.bucket).labels
    assert labels["team"] == "data"
    assert labels["service"] == "orders"


def test_the_bindings_of_others_stay(make: Make) -> None:
    ours = make("other-bindings")
    policy = ours.policy()
    policy.bindings.extend([OTHER, SAME_ROLE])
    request = iam_policy_pb2.SetIamPolicyRequest(resource=ours.project, policy=policy)
    ours.cloud.projects.set_iam_policy(request)
    assert is_well(ours.provision()), ours.told()
    members = {each.role: set(each.members) for each in ours.policy().bindings}
    assert members["roles/viewer"] == {"user:ann@acme.com"}
    assert "user:bob@acme.com" in members["roles/cloudsql.client"]
    assert len(members["roles/cloudsql.client"]) == 3


def test_two_services_at_once_in_a_project_keep_each_others_grants(make: Make) -> None:
    names = ["orders", "payments", "stock"]
    services = [make("shared-project", service={"name": name}) for name in names]
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(Ours.provision, services))
    assert all(map(is_well, outcomes)), "\n".join(each.told() for each in services)
    members = {each.role: list(each.members) for each in services[0].policy().bindings}
    assert len(members["roles/cloudsql.client"]) == 6
    assert not any(each.provision().count(Status.CHANGED) for each in services)


def test_drift_is_told_and_repaired(make: Make) -> None:
    ours = make("drifting")
    assert is_well(ours.provision())
    name = ours.cloud.names.repository
    repository = artifactregistry_v1.Repository(name=name, cleanup_policy_dry_run=True)
    mask = field_mask_pb2.FieldMask(paths=["cleanup_policy_dry_run"])
    ours.cloud.artifacts.update_repository(repository=repository, update_mask=mask)
    ours.events.clear()
    assert ours.provision().count(Status.CHANGED) == 1
    assert "~ cleanup_policy_dry_run: true → false" in ours.told()
    assert not ours.cloud.artifacts.get_repository(name=name).cleanup_policy_dry_run


def test_the_password_is_told_to_nobody(make: Make) -> None:
    ours = make("secret-password")
    assert is_well(ours.provision())
    secret = ours.cloud.names.secret(ours.cloud.names.password_secret)
    version = ours.cloud.secrets.access_secret_version(name=f"{secret}/versions/1")
    assert len(version.payload.data) > 30
    assert version.payload.data.decode() not in ours.told()
    assert ours.cloud.secrets.get_secret(name=secret).annotations[APPLIED] == "1"


def test_a_protected_database_keeps_everything(make: Make, journal: Journal) -> None:
    ours = make("protected")
    assert is_well(ours.provision())
    journal.clear()
    assert ours.destroy().count(Status.FAILED) == 1
    assert "deletion_protection: false" in ours.told()
    assert journal.writes == []


def test_what_is_destroyed_is_gone_and_once_only(make: Make, journal: Journal) -> None:
    ours = make("destroyed", database={"deletion_protection": False})
    assert is_well(ours.provision())
    assert is_well(ours.destroy()), ours.told()
    with pytest.raises(NotFound):
        ours.cloud.run_services.get_service(name=ours.cloud.names.service)
    assert not [each for each in ours.policy().bindings if "orders" in str(each.members)]
    journal.clear()
    assert not ours.destroy().count(Status.CHANGED)
    assert journal.writes == []


def test_a_connection_that_waits_for_consent_is_no_failure(make: Make) -> None:
    trigger = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}
    ours = make("with-trigger", trigger=trigger)
    outcome = ours.provision()
    assert not outcome.count(Status.FAILED), ours.told()
    assert outcome.statuses["connection github"] in {Status.WAITING, Status.CHANGED}
    if outcome.statuses["connection github"] is Status.WAITING:
        assert "open https://" in ours.told()
        assert outcome.statuses["trigger orders"] is Status.BLOCKED
    again = ours.provision()
    assert not again.count(Status.FAILED), ours.told()
    assert not again.count(Status.CHANGED)
