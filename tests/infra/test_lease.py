"""The lease: one run at a time, whoever dies, and Google's clock alone says when it is over."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier, Event
from threading import enumerate as enumerate_threads
from time import monotonic, sleep

import pytest
import requests
from google.auth.transport.requests import AuthorizedSession

from infra import lease
from infra.cloud import Cloud
from infra.environment import Environment
from infra.events import Status
from infra.lease_object import Holder, LeaseObject
from infra.retry import CloudError, Stopped
from tests.infra.ours import Ours, is_well
from tests.infra.services import write

COMMAND = "invoke provision --env stg"
DEAD = Holder("bob@acme.com", COMMAND, "of-another", ttl=1)
PATIENT = 60


type Make = Callable[[str], Cloud]


@pytest.fixture
def make(host: str) -> Make:
    """A cloud in which there is the bucket that the lease is kept in."""

    def with_bucket(project: str) -> Cloud:
        given = {"name": "stg", "project": project, "region": "europe-west1"}
        environment = Environment.model_validate({**given, "service": {"name": "orders"}})
        cloud = Cloud(environment, host)
        cloud.session.post(
            f"{cloud.url('serviceusage')}/v1/projects/{project}/services:batchEnable",
            json={"serviceIds": ["storage.googleapis.com"]},
        )
        names = cloud.names
        cloud.storage.create_bucket(names.bucket, project=names.project, location=names.region)
        return cloud

    return with_bucket


def eventually(holds: Callable[[], bool]) -> None:
    """Returns when it holds; fails when it does not come to that."""
    deadline = monotonic() + PATIENT
    while not holds():
        assert monotonic() < deadline
        sleep(0.02)


def test_a_lease_is_there_while_it_is_held_and_gone_after(make: Make) -> None:
    cloud = make("lease-held")
    with lease.held(cloud, COMMAND) as mine:
        there = lease.find(cloud)
        assert there
        assert there.id == mine.mine.id
        assert there.command == COMMAND
        assert "@" in there.who
    assert lease.find(cloud) is None
    assert not mine.lost


def test_a_lease_is_given_back_by_a_run_that_fails(make: Make) -> None:
    cloud = make("lease-failing")
    with pytest.raises(KeyError), lease.held(cloud, COMMAND):
        raise KeyError
    assert lease.find(cloud) is None


def test_a_person_can_read_the_object(make: Make) -> None:
    cloud = make("lease-readable")
    with lease.held(cloud, COMMAND):
        (blob,) = cloud.storage.list_blobs(cloud.names.bucket)
        assert blob.name == "cookiecutter-cloudrun/lease-stg.json"
        assert json.loads(blob.download_as_text())["command"] == COMMAND


def test_the_second_is_told_who_holds_it_and_what_to_do(make: Make) -> None:
    cloud = make("lease-second")
    with (
        lease.held(cloud, COMMAND),
        pytest.raises(CloudError) as refused,
        lease.held(cloud, "invoke destroy --env stg"),
    ):
        pass
    said = str(refused.value)
    assert f"running `{COMMAND}` since 20" in said
    assert "--lock-timeout" in said
    assert "invoke unlock --env stg" in said
    assert lease.find(cloud) is None


def test_the_second_waits_when_it_is_told_to(make: Make) -> None:
    cloud = make("lease-waiting")
    told, has = list[str](), Event()

    def second() -> str:
        with lease.held(cloud, "invoke deploy", timeout=PATIENT, tell=told.append):
            has.set()
            return "done"

    with ThreadPoolExecutor() as pool:
        with lease.held(cloud, COMMAND):
            waiting = pool.submit(second)
            eventually(lambda: bool(told))
            assert not has.is_set()
        assert waiting.result() == "done"
    assert COMMAND in told[0]


def test_one_who_waits_can_be_interrupted(make: Make) -> None:
    cloud, stop = make("lease-interrupted"), Event()

    def tell(text: str) -> None:
        stop.set()

    with (
        lease.held(cloud, COMMAND),
        pytest.raises(Stopped),
        lease.held(cloud, COMMAND, timeout=PATIENT, stop=stop, tell=tell),
    ):
        pass


def test_of_many_at_once_each_gets_it_and_never_two(make: Make) -> None:
    cloud = make("lease-many")
    within, most, ready = list[int](), list[int](), Barrier(4)

    def run(number: int) -> None:
        ready.wait()
        with lease.held(cloud, COMMAND, timeout=PATIENT):
            within.append(number)
            most.append(len(within))
            within.remove(number)

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, range(4)))
    assert most == [1, 1, 1, 1]


def test_the_lease_of_a_dead_run_ends_by_itself(make: Make) -> None:
    cloud = make("lease-dead")
    LeaseObject(cloud).put(DEAD, None)
    told = list[str]()
    with lease.held(cloud, COMMAND, timeout=PATIENT, tell=told.append) as mine:
        assert mine.mine.id != DEAD.id
    assert any("a run that is dead: bob@acme.com" in each for each in told)


def test_a_run_that_goes_on_keeps_its_lease(make: Make) -> None:
    cloud = make("lease-renewed")
    with lease.held(cloud, COMMAND, ttl=3) as mine:
        first = mine.mine
        eventually(lambda: mine.mine.held > 2 * first.ttl)
        there = lease.find(cloud)
        assert there
        assert not there.is_over
        assert there.generation == first.generation
        assert there.renewals >= 2
        with pytest.raises(CloudError), lease.held(cloud, "another"):
            pass
    assert not mine.lost


def test_a_renewal_at_the_last_moment_beats_a_takeover(make: Make) -> None:
    cloud = make("lease-photo-finish")
    store = LeaseObject(cloud)
    mine = store.put(DEAD, None)
    eventually(lambda: (lease.find(cloud) or mine).is_over)
    seen = lease.find(cloud)
    assert seen
    store.renew(mine)
    with pytest.raises(Exception, match=r"pre-conditions|precondition"):
        store.put(replace(DEAD, id="mine"), seen)
    there = lease.find(cloud)
    assert there
    assert there.id == DEAD.id


def test_a_lease_that_is_broken_stops_its_run(make: Make) -> None:
    cloud, stop = make("lease-broken"), Event()
    with lease.held(cloud, COMMAND, stop=stop, ttl=1) as mine:
        assert lease.break_(cloud, mine.mine)
        assert stop.wait(PATIENT)
        assert "somebody broke it" in mine.lost
        with lease.held(cloud, "another"):
            pass


def test_a_lease_that_was_taken_over_is_left_to_whoever_has_it(make: Make) -> None:
    cloud, stop = make("lease-overtaken"), Event()
    with lease.held(cloud, COMMAND, stop=stop, ttl=1) as mine:
        there = lease.find(cloud)
        LeaseObject(cloud).put(replace(DEAD, ttl=600), there)
        assert stop.wait(PATIENT)
        assert "somebody else" in mine.lost
    there = lease.find(cloud)
    assert there
    assert there.id == DEAD.id


def test_a_lease_goes_with_its_bucket_and_that_is_no_loss(make: Make) -> None:
    cloud, stop = make("lease-vanishing"), Event()
    with lease.held(cloud, COMMAND, stop=stop, ttl=1, may_vanish=True) as mine:
        cloud.storage.get_bucket(cloud.names.bucket).delete(force=True)
        eventually(lambda: "lease" not in [each.name for each in enumerate_threads()])
    assert not mine.lost
    assert not stop.is_set()


def test_a_lost_answer_to_the_taking_is_no_second_holder(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = make("lease-lost-answer")
    send, lost = AuthorizedSession.request, list[str]()

    def request(self: AuthorizedSession, method: str, url: str, **more: object) -> object:
        answer = send(self, method, url, **more)  # type: ignore[no-untyped-call]
        if method == "POST" and "/upload/" in url and not lost:
            lost.append(url)
            raise requests.ConnectionError("the answer was lost")
        return answer

    monkeypatch.setattr(AuthorizedSession, "request", request)
    with lease.held(cloud, COMMAND) as mine:
        assert lost
        there = lease.find(cloud)
        assert there
        assert there.id == mine.mine.id
    assert lease.find(cloud) is None


def test_breaking_what_was_given_back_breaks_nothing_of_the_next(make: Make) -> None:
    cloud = make("lease-next")
    with lease.held(cloud, COMMAND) as first:
        pass
    with lease.held(cloud, COMMAND):
        assert not lease.break_(cloud, first.mine)


def test_two_first_runs_at_once_make_one_cloud(host: str, tmp_path: Path) -> None:
    folder = write(tmp_path)
    runs = [Ours.make(host, folder, "two-at-once") for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda each: each.provision(lock_timeout=PATIENT), runs))
    assert all(map(is_well, outcomes)), "\n".join(each.told() for each in runs)
    versions = runs[0].cloud.secrets.list_secret_versions(
        parent=runs[0].cloud.names.secret(runs[0].cloud.names.password_secret)
    )
    assert len(list(versions)) == 1
    assert not runs[0].provision().count(Status.CHANGED)
    assert lease.find(runs[0].cloud) is None


def test_what_has_nothing_to_write_needs_no_lease(host: str, tmp_path: Path) -> None:
    ours = Ours.make(host, write(tmp_path), "nothing-to-write")
    assert is_well(ours.provision())
    with lease.held(ours.cloud, "another"):
        assert is_well(ours.provision())
        ours.cloud.run_services.delete_service(name=ours.cloud.names.service).result()  # type: ignore[no-untyped-call]
        with pytest.raises(CloudError, match="running `another`"):
            ours.provision()
