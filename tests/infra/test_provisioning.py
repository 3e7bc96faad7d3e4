"""Provisioning against the emulator: Google's own clients, over HTTP, on a cloud of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.api_core.exceptions import NotFound
from google.cloud import artifactregistry_v1
from google.iam.v1 import iam_policy_pb2, options_pb2, policy_pb2  # type: ignore[import-untyped]
from google.protobuf import field_mask_pb2  # type: ignore[import-untyped,unused-ignore]

from infra.apply import refuse
from infra.clock import SYSTEM, Clock
from infra.cloud import Cloud
from infra.converge import Lock, check, converge, remove
from infra.environment import Environment
from infra.events import Event, Finished, Status
from infra.outcome import Outcome
from infra.plan import Session, plan, to_remove
from infra.reporter import change
from infra.resources.secrets import APPLIED
from infra.stack import stack
from infra.tasks.local_cloud import scratch_cloud
from tests.infra.test_manifest import write

OTHER = policy_pb2.Binding(role="roles/viewer", members=["user:ann@acme.com"])
SAME_ROLE = policy_pb2.Binding(role="roles/cloudsql.client", members=["user:bob@acme.com"])

type Call = dict[str, Any]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator on a scratch folder."""
    with scratch_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running.host


class Journal:
    """What an emulator was asked, by whichever client."""

    def __init__(self, host: str) -> None:
        self.url = f"http://{host}/emulator/journal"

    def clear(self) -> None:
        """Forgets what was asked."""
        httpx.delete(self.url, trust_env=False).raise_for_status()

    @property
    def calls(self) -> list[Call]:
        """What was asked since."""
        calls: list[Call] = httpx.get(self.url, trust_env=False).json()["calls"]
        return calls

    @property
    def writes(self) -> list[str]:
        """The calls that were meant to change something."""
        return [f"{each['http']} {each['path']}" for each in self.calls if each["write"]]


@pytest.fixture
def journal(host: str) -> Journal:
    """What the emulator is asked from here on."""
    journal = Journal(host)
    journal.clear()
    return journal


@dataclass
class Ours:
    """A service in a project of its own."""

    cloud: Cloud
    folder: Path
    events: list[Event] = field(default_factory=list)
    clock: Clock = SYSTEM

    @classmethod
    def make(cls, host: str, folder: Path, project: str, **fields: object) -> "Ours":
        """A service with its manifest, of which nothing is there yet."""
        given = {"name": "stg", "project": project, "region": "europe-west1"}
        service = {"name": "orders"}
        environment = Environment.model_validate({**given, "service": service, **fields})
        return cls(Cloud(environment, host), folder)

    def provision(
        self, *, adopt: bool = False, until: int = 1000, lock_timeout: float = 0
    ) -> Outcome:
        """Converges; interrupted after so many resources."""
        left = [until]

        def emit(event: Event) -> None:
            self.events.append(event)
            if isinstance(event, Finished):
                left[0] -= 1
                if left[0] <= 0:
                    session.stop.set()

        session = Session(self.cloud, emit, adopt, clock=self.clock)
        resources = stack(self.cloud.environment, self.folder)
        return converge(resources, session, Lock("invoke provision", lock_timeout))

    def check(self) -> Outcome:
        """Says what would change."""
        session = Session(self.cloud, self.events.append, clock=self.clock)
        return check(stack(self.cloud.environment, self.folder), session)

    def destroy(self, *, keep_data: bool = False) -> Outcome:
        """Removes."""
        session = Session(self.cloud, self.events.append, clock=self.clock)
        decide = partial(to_remove, keep_data=keep_data)
        planned = plan(stack(self.cloud.environment, self.folder), session, decide)
        if planned.refused or planned.failures:
            return refuse(planned, session)
        return remove(planned, session, Lock("invoke destroy"), decide)

    def told(self) -> str:
        """All that was said."""
        lines = [f"{each}" for each in self.events]
        finished = [each for each in self.events if isinstance(each, Finished)]
        return "\n".join(lines + [change(one) for each in finished for one in each.fields])

    def policy(self) -> policy_pb2.Policy:
        """The project's policy."""
        options = options_pb2.GetPolicyOptions(requested_policy_version=3)
        return self.cloud.projects.get_iam_policy(
            iam_policy_pb2.GetIamPolicyRequest(resource=self.project, options=options)
        )

    @property
    def project(self) -> str:
        """The project's full name."""
        return f"projects/{self.cloud.names.project}"


type Make = Callable[..., Ours]


@pytest.fixture
def make(host: str, tmp_path: Path) -> Make:
    """Makes a service; all of a test's share a folder."""
    folder = write(tmp_path)
    return lambda project, **fields: Ours.make(host, folder, project, **fields)


def is_well(outcome: Outcome) -> bool:
    """Whether every resource is as declared."""
    return set(outcome.statuses.values()) <= {Status.OK, Status.CHANGED}


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
