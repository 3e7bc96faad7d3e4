"""Convergence through what Google does to those who provision: late, lost, busy, in between."""

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import pytest
import requests

from infra import lease
from infra.emulated_clock import EmulatedClock
from infra.events import Finished, Status, Waited
from tests.emulator.emulators import Emulator
from tests.infra.ours import Ours, is_well
from tests.infra.services import TRIGGER, write
from tests.infra.worlds import begin, fault, hollow_cloud, snapshot

REGION = "europe-west1"
IMAGE = "us-docker.pkg.dev/cloudrun/container/hello:latest"
SOMEBODY = "user:somebody-else@example.com"
SECONDS = 120
type Make = Callable[..., Ours]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator on a scratch folder."""
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def make(emulator: Emulator, tmp_path: Path) -> Make:
    """Makes a service in a project of its own."""
    folder = write(tmp_path)
    return lambda project, **fields: Ours.make(emulator.host, folder, project, **fields)


@pytest.fixture
def still(emulator: Emulator) -> Iterator[EmulatedClock]:
    """The emulator's clock, which only goes on when somebody sleeps."""
    clock = EmulatedClock(emulator.host)
    clock.freeze()
    yield clock
    clock.run()


def waited(ours: Ours) -> list[Waited]:
    """What was said to be waited for."""
    return [each for each in ours.events if isinstance(each, Waited)]


def ended(ours: Ours, key: str) -> Finished:
    """How it ended with a resource."""
    finished = [each for each in ours.events if isinstance(each, Finished)]
    return next(each for each in reversed(finished) if f"{each.kind} {each.name}" == key)


def change(ours: Ours, method: str, path: str, body: dict[str, object]) -> None:
    """A change of somebody else's."""
    answer = requests.request(
        method, f"http://{ours.cloud.endpoint}/{path}", data=json.dumps(body), timeout=60
    )
    answer.raise_for_status()


def deploy(ours: Ours) -> None:
    """Gives the service an image that is not the placeholder, as CI does."""
    name = f"run/v2/{ours.cloud.names.service}"
    live = requests.get(f"http://{ours.cloud.endpoint}/{name}", timeout=60).json()
    live["template"]["containers"][0]["image"] = IMAGE
    live["template"].pop("revision", None)
    change(ours, "PATCH", name, live)
    state = ""
    while state not in {"CONDITION_FAILED", "CONDITION_SUCCEEDED"}:
        sleep(0.02)
        live = requests.get(f"http://{ours.cloud.endpoint}/{name}", timeout=60).json()
        state = "" if live.get("reconciling") else live["terminalCondition"]["state"]


def with_a_new_secret(make: Make, project: str) -> Ours:
    """A service that runs an image, and is about to be given a secret that it can't read yet."""
    before = make(project)
    assert is_well(before.provision()), before.told()
    deploy(before)
    secrets = f"secretmanager/v1/projects/{project}/secrets"
    secret = {"replication": {"automatic": {}}, "labels": before.cloud.names.labels}
    change(before, "POST", f"{secrets}?secretId=api-key", secret)
    change(before, "POST", f"{secrets}/api-key:addVersion", {"payload": {"data": "a2V5"}})
    return make(project, secrets={"API_KEY": "api-key"})


def test_a_grant_that_takes_six_minutes_is_waited_for_and_told(
    emulator: Emulator, make: Make, still: EmulatedClock
) -> None:
    still.run()
    ours = with_a_new_secret(make, "late-grant")
    still.freeze()
    ours.clock = still
    with fault(emulator, kind="late", method="*SetIamPolicy", seconds=360) as late:
        assert is_well(ours.provision()), ours.told()
        assert emulator.used(late)
    told = [each for each in waited(ours) if each.what == "secretAccessor on api-key"]
    assert told[-1].deadline == 420
    assert told[-1].seconds > 60
    assert not ours.provision().count(Status.CHANGED), ours.told()


def test_apis_that_come_late_are_waited_for(
    emulator: Emulator, make: Make, still: EmulatedClock
) -> None:
    ours = make("late-apis")
    ours.clock = still
    with fault(emulator, kind="late", method="*BatchEnableServices", seconds=200):
        assert is_well(ours.provision()), ours.told()
    assert any("the API" in each.what for each in waited(ours))


def test_a_grant_that_never_comes_ends_with_a_typed_error(
    emulator: Emulator, make: Make, still: EmulatedClock
) -> None:
    still.run()
    ours = with_a_new_secret(make, "never-granted")
    still.freeze()
    ours.clock = still
    with fault(emulator, kind="late", method="*SetIamPolicy", seconds=90_000):
        outcome = ours.provision()
    assert outcome.statuses["service orders"] is Status.FAILED
    assert "Permission denied on secret" in ended(ours, "service orders").text
    assert "It can take Google longer" in ended(ours, "service orders").text


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("*SqlInstancesService.Insert", "sql instance orders"),
        ("*Services.CreateService", "service orders"),
        ("*ArtifactRegistry.CreateRepository", "registry orders"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_an_operation_whose_answer_was_lost_is_found_and_waited_for(  # noqa: PLR0913, PLR0917
    emulator: Emulator, make: Make, still: EmulatedClock, method: str, key: str, after: bool
) -> None:
    kind = key.partition(" ")[0]
    ours = make(f"lost-{kind}-{'after' if after else 'before'}")
    ours.clock = still
    with (
        fault(emulator, kind="operation", method=method, seconds=300),
        fault(emulator, kind="reset", method=method, nth=1, after=after) as lost,
    ):
        outcome = ours.provision()
        assert emulator.used(lost) == 1
    assert is_well(outcome), ours.told()
    assert outcome.statuses[key] is Status.CHANGED
    assert not ours.provision().count(Status.CHANGED), ours.told()


def test_an_instance_that_is_being_created_is_waited_for_by_the_next_run(
    emulator: Emulator, make: Make, still: EmulatedClock
) -> None:
    ours = make("being-created")
    first = ours.provision(until=1)
    assert first.interrupted
    path = f"sqladmin/sql/v1beta4/projects/{ours.cloud.names.project}/instances"
    labels = ours.cloud.names.labels
    settings = {"tier": "db-g1-small", "userLabels": labels, "edition": "ENTERPRISE"}
    body: dict[str, object] = {
        "name": "orders",
        "region": REGION,
        "databaseVersion": "POSTGRES_17",
        "settings": settings,
    }
    with fault(emulator, kind="operation", method="*SqlInstancesService.Insert", seconds=300):
        change(ours, "POST", path, body)
    ours.clock = still
    assert is_well(ours.provision()), ours.told()
    assert any("it is being created" in each.what for each in waited(ours))
    assert not ours.provision().count(Status.CHANGED), ours.told()


def test_a_failed_creation_is_a_difference_of_the_next_run(emulator: Emulator, make: Make) -> None:
    ours = make("failed-creation")
    with fault(
        emulator, kind="operation", method="*Services.CreateService", name="INTERNAL", times=1
    ) as failing:
        first = ours.provision()
        assert emulator.used(failing) == 1
    # It failed at Google's, which is tried again at once.
    assert is_well(first), ours.told()
    assert not ours.provision().count(Status.CHANGED), ours.told()


def test_a_service_whose_last_deploy_failed_is_never_without_changes(
    emulator: Emulator, make: Make
) -> None:
    ours = make("failed-deploy")
    assert is_well(ours.provision()), ours.told()
    with fault(emulator, kind="operation", method="*Services.UpdateService", name="INTERNAL"):
        deploy(ours)
        ours.events.clear()
        assert ours.check().statuses["service orders"] is Status.CHANGED
        assert "ready" in ours.told()
    assert ours.provision().statuses["service orders"] is Status.CHANGED
    assert not ours.provision().count(Status.CHANGED), ours.told()


RACED = {
    "*Projects.SetIamPolicy": 1,
    "*SecretManagerService.SetIamPolicy": 1,
    "*ArtifactRegistry.SetIamPolicy": 1,
    "*buckets.setIamPolicy": 1,
    "*Services.SetIamPolicy": 1,
    "*Jobs.SetIamPolicy": 1,
    # Who builds may act as the account that runs, and as the one that migrates.
    "*.IAM.SetIamPolicy": 2,
}
UPDATED = [
    "*SecretManagerService.UpdateSecret",
    "*Services.UpdateService",
    "*Jobs.UpdateJob",
    "*SqlInstancesService.Patch",
    "*buckets.patch",
]


def test_bindings_of_a_writer_who_is_faster_stay(emulator: Emulator, make: Make) -> None:
    service = {"name": "orders", "invokers": ["user:cat@acme.com"]}
    ours = make("raced-policies", service=service, trigger={**TRIGGER, "deploy": True})
    rules = [emulator.fault(kind="race", method=each, times=times) for each, times in RACED.items()]
    assert is_well(ours.provision()), ours.told()
    assert [emulator.used(each) for each in rules] == [*RACED.values()]
    emulator.http().delete("/emulator/faults")
    world = snapshot(emulator.host, ours.cloud.names.project)
    policies = [
        json.dumps(each)
        for title, each in world.items()
        # Nobody may act as the account that builds: that one is not ours to write.
        if "policy" in title and "account orders-build@" not in title
    ]
    assert len(policies) == sum(RACED.values())
    for policy in policies:
        assert SOMEBODY in policy
    assert not ours.provision().count(Status.CHANGED)


def test_labels_of_a_writer_who_is_faster_stay(emulator: Emulator, make: Make) -> None:
    ours = make("raced-labels")
    assert is_well(ours.provision()), ours.told()
    names = ours.cloud.names
    theirs: dict[str, object] = {"labels": {"team": "data"}}
    secret = names.secret(names.password_secret)
    change(ours, "PATCH", f"secretmanager/v1/{secret}?updateMask=labels", theirs)
    change(ours, "PATCH", f"run/v2/{names.service}?updateMask=labels", theirs)
    job = requests.get(f"http://{emulator.host}/run/v2/{names.migrate_job}", timeout=60).json()
    change(ours, "PATCH", f"run/v2/{names.migrate_job}", {**job, **theirs})
    nothing = dict.fromkeys(names.labels)
    bucket = f"storage/storage/v1/b/{names.bucket}"
    change(ours, "PATCH", bucket, {"labels": {**nothing, "team": "data"}})
    another = {"tier": "db-custom-1-3840"}
    instance = f"sqladmin/sql/v1beta4/projects/{names.project}/instances/orders"
    change(ours, "PATCH", instance, {"settings": {"userLabels": {"team": "data"}, **another}})
    rules = [emulator.fault(kind="race", method=each, times=1) for each in UPDATED]
    assert is_well(ours.provision(adopt=True)), ours.told()
    assert [emulator.used(each) for each in rules] == [1] * len(rules)
    emulator.http().delete("/emulator/faults")
    world = snapshot(emulator.host, names.project)
    for title in ("secrets", "services", "jobs", "buckets", "instances"):
        text = json.dumps(world[title])
        assert '"somebody-else": "was-here"' in text, title
        assert '"team": "data"' in text, title
        assert '"managed-by": "cookiecutter-cloudrun"' in text, title
    assert not ours.provision().count(Status.CHANGED), ours.told()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_a_second_ctrl_c_names_the_operation_that_goes_on(
    emulator: Emulator, tmp_path: Path
) -> None:
    with fault(
        emulator, kind="operation", method="*SqlInstancesService.Insert", hang=True
    ) as hanging:
        process = begin(write(tmp_path), emulator.host, "ctrl-c-twice")
        assert process.stdout
        with process.stdout as lines:
            while not emulator.used(hanging):
                assert process.poll() is None
                sleep(0.05)
            process.send_signal(signal.SIGINT)
            with pytest.raises(Exception, match="timed out"):
                process.wait(3)
            process.send_signal(signal.SIGINT)
            said = lines.read()
        assert process.wait(SECONDS) == 130
    assert "operation " in said, said
    assert "creating it goes on at Google" in said
    assert "orders-stg : ok=" in said
    assert "blocked=1" in said
    calls = emulator.http().get("/emulator/faults").json()["faults"]
    assert not calls
    ours = Ours.make(emulator.host, tmp_path, "ctrl-c-twice")
    assert lease.find(ours.cloud) is None


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_one_who_waits_for_the_lease_says_so_and_can_be_interrupted(
    emulator: Emulator, make: Make, tmp_path: Path
) -> None:
    ours = make("waiting-run")
    assert is_well(ours.provision()), ours.told()
    deleted = ours.cloud.run_services.delete_service(name=ours.cloud.names.service)
    deleted.result()  # type: ignore[no-untyped-call]
    options = ("provision", "--env", "stg", "--lock-timeout", "600")
    with lease.held(ours.cloud, "invoke deploy --env stg"):
        process = begin(tmp_path, emulator.host, "waiting-run", *options)
        assert process.stdout
        with process.stdout as lines:
            waiting = next(line for line in lines if "waiting up to" in line)
            assert "running `invoke deploy --env stg`" in waiting
            process.send_signal(signal.SIGINT)
            said = lines.read()
        assert process.wait(SECONDS) == 130
    assert "orders-stg : ok=0" in said


def test_unlock_shows_the_holder_and_breaks_the_lease(
    emulator: Emulator, make: Make, tmp_path: Path
) -> None:
    ours = make("unlocked")
    assert is_well(ours.provision()), ours.told()

    def unlock(*options: str) -> tuple[str, int]:
        process = begin(tmp_path, emulator.host, "unlocked", "unlock", "--env", "stg", *options)
        said, _ = process.communicate(timeout=SECONDS)
        return said, process.returncode

    assert unlock() == ("nobody holds the lease of orders-stg\n", 0)
    with lease.held(ours.cloud, "invoke deploy --env stg"):
        said, status = unlock()
        assert "running `invoke deploy --env stg`" in said
        assert "say --yes" in said
        assert status == 2
        assert lease.find(ours.cloud)
        said, status = unlock("--yes")
        assert status == 0
        assert lease.find(ours.cloud) is None
