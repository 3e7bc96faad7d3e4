"""Killed at a write, before it is done or before it is answered: the next run finishes the job.

The cloud is then that of a run that nobody disturbed: nothing is there twice, nothing is left over,
and nothing of others was touched. SWEEP=1 kills at every write, which takes some minutes:

    SWEEP=1 uv run pytest tests/infra/test_killed.py
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import pytest
import requests

from infra import lease
from infra.emulated_clock import EmulatedClock
from infra.events import Status
from infra.outcome import Outcome
from tests.emulator.emulators import Emulator
from tests.infra.ours import Ours, is_well
from tests.infra.services import write
from tests.infra.worlds import (
    Died,
    Fuse,
    Json,
    Losing,
    begin,
    fault,
    holds,
    hollow_cloud,
    intercepted,
    snapshot,
)

TRIGGER = {"repository": "acme/orders", "connection": "github", "branch": "^main$"}
EVERY = range(1, 27)
"""Writes of a first run, and then some."""
SLICE = [(1, True), (9, False), (14, True), (19, True)]
POINTS = (
    [(nth, committed) for nth in EVERY for committed in (False, True)]
    if os.environ.get("SWEEP")
    else SLICE
)
SECONDS = 120

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@dataclass
class Place:
    """An emulator, and the world that an undisturbed run makes there."""

    emulator: Emulator
    folder: Path
    undisturbed: dict[str, Json]

    @property
    def host(self) -> str:
        """HOST:PORT of the emulator."""
        return self.emulator.host

    def service(self, project: str) -> Ours:
        """A service in a project of its own, where others have things too."""
        return service(self.host, self.folder, project)


def service(host: str, folder: Path, project: str) -> Ours:
    """A service whose project has things of others."""
    database = {"deletion_protection": False}
    ours = Ours.make(host, folder, project, trigger=TRIGGER, monitoring={}, database=database)
    send(host, f"serviceusage/v1/projects/{project}/services:batchEnable", THEIR_APIS)
    send(host, f"secretmanager/v1/projects/{project}/secrets?secretId=theirs", THEIR_SECRET)
    send(host, f"secretmanager/v1/projects/{project}/secrets/theirs:addVersion", THEIR_VALUE)
    send(host, f"cloudresourcemanager/v3/projects/{project}:setIamPolicy", THEIR_POLICY)
    return ours


THEIR_APIS = {"serviceIds": ["secretmanager.googleapis.com"]}
THEIR_SECRET = {"replication": {"automatic": {}}, "labels": {"team": "data"}}
THEIR_VALUE = {"payload": {"data": "dGhlaXJz"}}
THEIR_POLICY = {
    "policy": {
        "bindings": [
            {"role": "roles/viewer", "members": ["user:ann@acme.com"]},
            {"role": "roles/cloudsql.client", "members": ["user:bob@acme.com"]},
        ]
    }
}


def send(host: str, path: str, body: Mapping[str, object]) -> None:
    """A call of somebody else's."""
    requests.post(f"http://{host}/{path}", json.dumps(body), timeout=60).raise_for_status()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An emulator on a scratch folder, where one run was left alone."""
    folder = write(tmp_path_factory.mktemp("service"))
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as emulator:
        ours = service(emulator.host, folder, "undisturbed")
        assert is_well(ours.provision()), ours.told()
        yield Place(emulator, folder, snapshot(emulator.host, "undisturbed"))


def outlive(place: Place) -> None:
    """Lets the lease of a dead run come to its end."""
    clock = EmulatedClock(place.host)
    clock.freeze()
    clock.sleep(lease.TTL_SECONDS + 2)
    clock.run()


def finish(ours: Ours, place: Place) -> None:
    """Runs again, and compares with the world of the undisturbed run."""
    outlive(place)
    assert is_well(ours.provision()), ours.told()
    assert snapshot(place.host, ours.cloud.names.project) == place.undisturbed
    ours.events.clear()
    assert nothing_to_do(ours.provision()), ours.told()


def nothing_to_do(outcome: Outcome) -> bool:
    """Whether all was as declared."""
    return set(outcome.statuses.values()) == {Status.OK}


@pytest.mark.parametrize(("nth", "committed"), POINTS)
def test_a_run_that_is_killed_at_a_write_is_finished_by_the_next(
    place: Place, tmp_path: Path, nth: int, committed: bool
) -> None:
    project = f"killed-{nth}-{'after' if committed else 'before'}"
    ours = place.service(project)
    with fault(place.emulator, kind="hang", write=True, nth=nth, after=committed) as held:
        process = begin(write(tmp_path), place.host, project)
        assert process.stdout
        with process.stdout:
            while process.poll() is None and not holds(place.emulator, held):
                sleep(0.05)
            ended = process.returncode
            process.kill()
            process.wait(SECONDS)
        assert ended is None or (ended == 0 and place.emulator.used(held) == 0)
    finish(ours, place)
    assert is_well(ours.destroy()), ours.told()


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("writes", [0, 7, 16] if not os.environ.get("SWEEP") else list(EVERY))
def test_a_process_that_is_gone_leaves_a_world_that_the_next_completes(
    place: Place, writes: int, committed: bool
) -> None:
    ours = place.service(f"fuse-{writes}-{'after' if committed else 'before'}")
    fuse = Fuse(writes, committed)
    with intercepted(fuse):
        try:
            ours.provision()
        except Died:
            assert fuse.blown
        else:
            assert not fuse.blown
    finish(ours, place)
    assert is_well(ours.destroy()), ours.told()


@pytest.mark.parametrize("committed", [False, True])
def test_every_answer_lost_once_makes_the_same_cloud_in_one_run(
    place: Place, committed: bool
) -> None:
    project = f"lost-{'after' if committed else 'before'}"
    ours = place.service(project)
    losing = Losing(".", committed)
    with intercepted(losing):
        assert is_well(ours.provision()), ours.told()
    assert len(losing.lost) >= 20
    assert snapshot(place.host, project) == place.undisturbed
    with intercepted(Losing(".", committed)):
        assert is_well(ours.destroy()), ours.told()


@pytest.mark.parametrize("committed", [False, True])
def test_a_removal_that_is_cut_short_is_finished_by_the_next(place: Place, committed: bool) -> None:
    project = f"removed-{'after' if committed else 'before'}"
    ours = place.service(project)
    nobodys = snapshot(place.host, project)
    assert is_well(ours.provision()), ours.told()
    with intercepted(Fuse(5, committed)), pytest.raises(Died):
        ours.destroy()
    outlive(place)
    assert is_well(ours.destroy()), ours.told()
    left = snapshot(place.host, project)
    for kept in ("apis", "connections", "repositories of github"):
        left.pop(kept, None)
        nobodys.pop(kept, None)
    assert left == nobodys
