"""The emulator's clock: frozen, it moves when it is told to, and the whole cloud with it."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from google.api_core import exceptions
from google.cloud import resourcemanager_v3, secretmanager_v1
from google.iam.v1 import policy_pb2  # type: ignore[import-untyped]

from infra.emulated_clock import EmulatedClock
from infra.emulator.clock import Clock
from infra.emulator.world import World
from infra.tasks.local_cloud import remove
from tests.emulator.emulators import Emulator
from tests.emulator.test_storage import client_of

PROJECT = "clock-project"
YEAR = 365 * 24 * 3600


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose clock stands still, and behind which nothing runs."""
    emulator = Emulator(tmp_path_factory.mktemp("frozen") / "state").start("--hollow")
    emulator.enable_all(PROJECT)
    EmulatedClock(emulator.host).freeze()
    yield emulator
    emulator.stop()
    remove(emulator.folder)


@pytest.fixture
def clock(frozen: Emulator) -> Iterator[EmulatedClock]:
    yield EmulatedClock(frozen.host)
    frozen.http().delete("/emulator/faults").raise_for_status()


def test_a_grant_that_is_late_by_seven_minutes_is_waited_out_at_once(
    frozen: Emulator, clock: EmulatedClock
) -> None:
    http = frozen.http()
    http.post(
        f"/iam/v1/projects/{PROJECT}/serviceAccounts", json={"accountId": "reader"}
    ).raise_for_status()
    email = f"reader@{PROJECT}.iam.gserviceaccount.com"
    fault = frozen.fault(method="*.Projects.SetIamPolicy", kind="late", seconds=420)
    granted = clock.now()
    binding = {"role": "roles/secretmanager.viewer", "members": [f"serviceAccount:{email}"]}
    resourcemanager_v3.ProjectsClient(**frozen.arguments("cloudresourcemanager")).set_iam_policy(
        request={
            "resource": f"projects/{PROJECT}",
            "policy": policy_pb2.Policy(bindings=[policy_pb2.Binding(**binding)]),
        }
    )
    secrets = secretmanager_v1.SecretManagerServiceClient(
        **frozen.arguments("secretmanager", email)
    )
    refused = 0
    while True:
        try:
            list(secrets.list_secrets(parent=f"projects/{PROJECT}"))
            break
        except exceptions.Forbidden:
            refused += 1
            clock.sleep(10)
    assert granted + 420 <= clock.now() < granted + 431
    assert refused == 42
    assert frozen.used(fault) == 1


def test_an_api_is_enabled_or_disabled_late(frozen: Emulator, clock: EmulatedClock) -> None:
    project, http = "late-api-project", frozen.http()
    frozen.fault(method="*.ServiceUsage.*ableService", kind="late", seconds=60)
    api = f"/serviceusage/v1/projects/{project}/services/secretmanager.googleapis.com"
    listing = f"/secretmanager/v1/projects/{project}/secrets"

    def change(verb: str) -> None:
        operation = http.post(f"{api}:{verb}", json={}).raise_for_status().json()["name"]
        http.post(f"/serviceusage/v1/{operation}:wait", json={}).raise_for_status()

    change("enable")
    assert http.get(api).json()["state"] == "ENABLED"
    refused = http.get(listing)
    assert refused.status_code == 403
    assert refused.json()["error"]["details"][0]["reason"] == "SERVICE_DISABLED"
    clock.sleep(60)
    assert http.get(listing).status_code == 200
    change("disable")
    assert http.get(api).json()["state"] == "DISABLED"
    assert http.get(listing).status_code == 200
    clock.sleep(60)
    assert http.get(listing).status_code == 403


def test_an_account_is_there_late(frozen: Emulator, clock: EmulatedClock) -> None:
    http, accounts = frozen.http(), f"/iam/v1/projects/{PROJECT}/serviceAccounts"
    frozen.fault(method="*CreateServiceAccount", kind="late", seconds=30)
    http.post(accounts, json={"accountId": "late-one"}).raise_for_status()
    email = f"late-one@{PROJECT}.iam.gserviceaccount.com"
    binding = {"role": "roles/viewer", "members": [f"serviceAccount:{email}"]}

    def as_member() -> httpx.Response:
        place = f"/cloudresourcemanager/v3/projects/{PROJECT}:setIamPolicy"
        return http.post(place, json={"policy": {"bindings": [binding]}})

    assert http.get(f"{accounts}/{email}").status_code == 404
    assert as_member().status_code == 400
    assert "does not exist" in as_member().json()["error"]["message"]
    again = http.post(accounts, json={"accountId": "late-one"})
    assert again.status_code == 409
    clock.sleep(30)
    assert http.get(f"{accounts}/{email}").status_code == 200
    assert as_member().status_code == 200


def test_what_is_stored_and_the_date_of_its_answer_are_the_clouds(
    frozen: Emulator, clock: EmulatedClock
) -> None:
    bucket = client_of(frozen, PROJECT).create_bucket("clock-bucket")
    before = clock.now()
    clock.sleep(YEAR)
    blob = bucket.blob("lease")
    blob.upload_from_string("mine", if_generation_match=0)
    answer = frozen.http().get("/storage/storage/v1/b/clock-bucket/o/lease")
    updated = datetime.fromisoformat(answer.json()["updated"])
    date = parsedate_to_datetime(answer.headers["date"])
    assert updated.timestamp() == pytest.approx(before + YEAR, abs=1)
    assert date == updated.replace(microsecond=0)
    assert datetime.now(UTC).year < date.year


def test_what_is_made_again_in_the_same_moment_is_another_generation(frozen: Emulator) -> None:
    blob = client_of(frozen, PROJECT).create_bucket("generations").blob("x")
    found = set()
    for _ in range(3):
        blob.upload_from_string("", if_generation_match=0)
        found.add(blob.generation)
        blob.delete()
    assert len(found) == 3


def test_an_operation_takes_as_long_as_it_is_told_to(
    frozen: Emulator, clock: EmulatedClock
) -> None:
    http = frozen.http()
    durations = {"google.cloud.run.v2.Services.Create*": 300}
    http.put("/emulator/durations", json=durations).raise_for_status()
    parent = f"/run/v2/projects/{PROJECT}/locations/europe-west1"
    body = {"template": {"containers": [{"image": "us-docker.pkg.dev/cloudrun/container/hello"}]}}
    made = http.post(f"{parent}/services", params={"serviceId": "slow"}, json=body)
    operation = f"/run/v2/{made.raise_for_status().json()['name']}"
    clock.sleep(299)
    assert "done" not in http.get(operation).json()
    clock.sleep(2)
    assert http.get(operation).json()["done"]
    http.put("/emulator/durations", json={}).raise_for_status()


def test_the_clock_does_not_go_back(frozen: Emulator, clock: EmulatedClock) -> None:
    there = clock.now()
    clock.advance_to("2001-01-01T00:00:00Z")
    clock.advance_to(there - 1)
    assert clock.now() >= there
    clock.advance_to(there + 5)
    assert clock.now() == pytest.approx(there + 5, abs=0.001)


def test_many_may_wait_at_once(clock: EmulatedClock) -> None:
    begun = clock.now()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(clock.sleep, range(1, 9)))
    assert clock.now() >= begun + 8


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("PUT", {"virtual": "yes"}, "virtual"),
        ("PUT", {}, "virtual"),
        ("POST", {"advance_to": "tomorrow"}, "advance_to"),
        ("POST", {"advance_to": -1}, "advance_to"),
        ("POST", {"advance_to": True}, "advance_to"),
        ("POST", {"advance_by": 5}, "advance_by"),
    ],
)
def test_what_is_no_time_is_refused(
    frozen: Emulator, verb: str, body: dict[str, object], field: str
) -> None:
    answer = frozen.http().request(verb, "/emulator/clock", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["fieldViolations"][0]["field"] == field


def test_a_clock_that_runs_is_not_moved(own_emulator: Emulator) -> None:
    own_emulator.start("--hollow")
    clock = EmulatedClock(own_emulator.host)
    with pytest.raises(ValueError, match="runs by itself"):
        clock.sleep(1)
    clock.freeze()
    clock.sleep(YEAR)
    clock.run()
    moved = clock.now()
    assert moved > time.time() + YEAR - 60
    own_emulator.kill()
    own_emulator.start("--hollow")
    assert EmulatedClock(own_emulator.host).now() >= moved


def test_moving_the_clock_gives_real_work_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.freeze()
    go, done = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(60)
        done.set()

    world.clock.begin_work(work, "work")
    threading.Timer(0.05, go.set).start()
    world.advance(world.clock.time() + 60)
    assert done.is_set()
    world.close()


def test_whoever_sleeps_wakes_in_time_or_at_the_end() -> None:
    clock = Clock()
    clock.freeze()
    begun, woken = clock.time(), queue.SimpleQueue[tuple[int, bool]]()

    def sleeper(seconds: int) -> Callable[[], None]:
        return lambda: woken.put((seconds, clock.sleep_until(begun + seconds)))

    for seconds in (10, 20, 30):
        clock.begin_work(sleeper(seconds), f"{seconds} s")
    # Returns when those who are due have gone on and ended, and the others rest.
    clock.advance(begun + 25)
    assert sorted([woken.get_nowait(), woken.get_nowait()]) == [(10, True), (20, True)]
    assert woken.empty()
    clock.close()
    assert woken.get(timeout=60) == (30, False)


def test_a_frozen_clocks_stamps_differ_and_rise() -> None:
    clock = Clock()
    clock.freeze()
    stamps = [clock.now() for _ in range(1000)]
    assert stamps == sorted(set(stamps))
    assert (stamps[-1] - stamps[0]).total_seconds() < 0.01


def test_a_late_write_is_read_and_not_seen(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.freeze()
    world.put("kind", "a", {"n": 1})
    with world.late(10):
        world.put("kind", "a", {"n": 2})
        world.put("kind", "b", {"n": 1})
        world.delete("kind", "a")
    assert world.get("kind", "a") is None
    assert world.seen("kind", "a") == {"n": 1}
    assert world.seen("kind", "b") is None
    world.advance(world.clock.time() + 10)
    assert world.seen("kind", "a") is None
    assert world.seen("kind", "b") == {"n": 1}
    world.close()
