"""Several services in one run, through the command itself, on a cloud that runs nothing."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emulator.emulators import Emulator
from tests.emulator.services import eventually
from tests.infra.services import write

NAMES = ("orders", "payments", "stock")


@dataclass
class Fleet:
    """Services side by side in a folder, whose project nobody else has."""

    folder: Path
    emulator: Emulator
    project: str

    def declare(self, name: str, text: str = "", folder: str = "") -> None:
        """Writes the environment's file of a service; `text` is more of it."""
        home = self.folder / "services" / (folder or name)
        if not home.exists():
            (home / "environments").mkdir(parents=True)
            write(home)
        head = f"project: {self.project}\nregion: europe-west1\nservice:\n  name: {name}\n"
        (home / "environments" / "stg.yaml").write_text(head + text)

    def command(self, *words: str) -> subprocess.Popen[str]:
        """`invoke provision` of all of them."""
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "invoke", "provision", "--env", "stg", "--no-cost"),
                *("--service", "services/*", *words),
            ],
            cwd=self.folder,
            env={**os.environ, "CLOUD_EMULATOR_HOST": self.emulator.host},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def provision(self, *words: str) -> tuple[int, str, str]:
        """Exit status, output and errors of the command."""
        process = self.command(*words)
        output, errors = process.communicate()
        return process.returncode, output, errors

    def recaps(self, output: str) -> dict[str, dict[str, int]]:
        """The recap of each service, by its name."""
        lines = [line for line in output.splitlines() if "-stg " in line and " : " in line]
        found: dict[str, dict[str, int]] = {}
        for line in lines:
            name, _, rest = line.partition(" : ")
            counts = [word.partition("=") for word in rest.split() if "=" in word]
            found[name.strip().removesuffix("-stg")] = {key: int(n) for key, _, n in counts}
        return found


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """A cloud without anything behind its control plane."""
    running = Emulator(tmp_path_factory.mktemp("fleet") / "state").start("--hollow")
    yield running
    running.stop()


@pytest.fixture
def fleet(emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest) -> Fleet:
    """Three services that are declared, in a project named after the test."""
    (tmp_path / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    made = Fleet(tmp_path, emulator, f"fleet-{abs(hash(request.node.name)) % 10**8}")
    for name in NAMES:
        made.declare(name)
    return made


def test_all_are_provisioned_and_what_they_ask_alike_is_read_once(fleet: Fleet) -> None:
    status, output, errors = fleet.provision()
    assert status == 0, output + errors
    assert set(fleet.recaps(output)) == set(NAMES)
    assert all(counts["changed"] > 10 for counts in fleet.recaps(output).values())
    fleet.emulator.forget()
    status, output, errors = fleet.provision()
    assert status == 0, output + errors
    assert [counts["changed"] for counts in fleet.recaps(output).values()] == [0, 0, 0]
    assert "  ok " not in output
    calls = fleet.emulator.calls()
    assert not [each for each in calls if each["write"]]
    read = Counter((each["http"], each["path"], each["method"]) for each in calls)
    assert [key for key, times in read.items() if times > 1] == []
    lists = [each for each in calls if each["method"].endswith(("ListServices", "ListSecrets"))]
    assert len(lists) == 2


def test_one_that_fails_does_not_stop_the_others(fleet: Fleet) -> None:
    rule = {
        "method": "*CreateRepository",
        "path": f"*{fleet.project}*",
        "nth": 1,
        "kind": "error",
        "status": 403,
        "message": "Permission 'artifactregistry.repositories.create' denied",
    }
    used = fleet.emulator.fault(**rule)
    status, output, _ = fleet.provision("--forks", "1")
    assert fleet.emulator.used(used) == 1
    assert status == 1
    recaps = fleet.recaps(output)
    assert recaps["orders"]["failed"] == 1
    assert recaps["payments"]["failed"] == recaps["stock"]["failed"] == 0
    assert "artifactregistry.repositories.create" in output
    status, output, errors = fleet.provision()
    assert status == 0, output + errors
    assert fleet.recaps(output)["payments"]["changed"] == 0


def test_every_fault_of_every_file_is_told_and_nothing_is_made(fleet: Fleet) -> None:
    fleet.declare("payments", "  cpuu: 2\n")
    fleet.declare("stock", "database:\n  tier: huge\n")
    fleet.emulator.forget()
    status, output, errors = fleet.provision()
    assert status == 2
    assert "services/payments/environments/stg.yaml:5: service.cpuu" in errors
    assert "services/stock/environments/stg.yaml:6: database.tier" in errors
    assert output == ""
    assert fleet.emulator.calls() == []


def test_a_wrong_manifest_is_told_with_its_service(fleet: Fleet) -> None:
    manifest = fleet.folder / "services" / "stock" / "ci" / "cloud-run.yaml"
    manifest.write_text(manifest.read_text().replace("containers:", "container:"))
    fleet.emulator.forget()
    status, _, errors = fleet.provision()
    assert status == 2
    assert "stock: ci/cloud-run.yaml:" in errors
    assert not [each for each in fleet.emulator.calls() if each["write"]]


def test_without_forks_nothing_is_begun(fleet: Fleet) -> None:
    fleet.emulator.forget()
    status, _, errors = fleet.provision("--forks", "0")
    assert status == 2
    assert "--forks must be 1 or more (got 0)" in errors
    assert fleet.emulator.calls() == []


def test_two_folders_are_not_the_same_service(fleet: Fleet) -> None:
    fleet.declare("orders", folder="copy")
    status, _, errors = fleet.provision()
    assert status == 2
    assert f"two folders have a service orders in project {fleet.project}" in errors


def test_a_pattern_that_nothing_matches_is_refused(fleet: Fleet) -> None:
    for name in NAMES:
        (fleet.folder / "services" / name / "environments" / "stg.yaml").unlink()
        (fleet.folder / "services" / name / "environments").rmdir()
    status, _, errors = fleet.provision()
    assert status == 2
    assert "--service services/*: no folder that matches" in errors


def test_drift_of_one_is_told_by_the_exit_status(fleet: Fleet) -> None:
    assert fleet.provision()[0] == 0
    assert fleet.provision("--check", "--exit-code")[0] == 0
    fleet.declare("stock", "  memory: 1Gi\n")
    status, output, _ = fleet.provision("--check", "--exit-code", "--diff")
    assert status == 3
    assert "service.memory: 512Mi → 1Gi" in output
    assert fleet.recaps(output)["stock"]["changed"] == 2
    assert fleet.recaps(output)["orders"]["changed"] == 0


def test_events_say_which_service_they_are_of(fleet: Fleet) -> None:
    status, output, errors = fleet.provision("--json")
    assert status == 0, errors
    events = [json.loads(line) for line in output.splitlines()]
    for kind in ("plan", "recap"):
        assert {each["service"] for each in events if each["event"] == kind} == set(NAMES)
    finished = [each for each in events if each["event"] == "finished"]
    assert {each["service"] for each in finished} == set(NAMES)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_ctrl_c_ends_all_with_a_recap_and_the_next_run_finishes(fleet: Fleet) -> None:
    process = fleet.command("--forks", "1")
    assert process.stdout
    with process.stdout as lines:
        assert any("account" in line and "created" in line for line in lines)
        process.send_signal(signal.SIGINT)
        rest = lines.read()
    assert process.stderr
    with process.stderr as errors:
        assert "run the same command again" in errors.read()
    assert process.wait() == 130
    assert set(fleet.recaps(rest)) == set(NAMES)
    status, output, said = fleet.provision()
    assert status == 0, output + said
    assert all(not counts["failed"] for counts in fleet.recaps(output).values())


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
def test_a_second_ctrl_c_names_what_goes_on_and_gives_the_leases_back(fleet: Fleet) -> None:
    path = f"*{fleet.project}*"
    hanging = fleet.emulator.fault(
        kind="operation", method="*SqlInstancesService.Insert", path=path, hang=True
    )
    process = fleet.command()
    assert process.stdout and process.stderr
    with process.stdout as lines, process.stderr:
        eventually(lambda: fleet.emulator.used(hanging) == len(NAMES))
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)
        process.send_signal(signal.SIGINT)
        said = lines.read()
    assert process.wait(30) == 130
    assert said.count("creating it goes on at Google") == len(NAMES)
    assert set(fleet.recaps(said)) == set(NAMES)
    with fleet.emulator.http() as client:
        client.delete(f"/emulator/faults/{hanging}").raise_for_status()
    # It does not wait for a lease: there is none.
    status, output, errors = fleet.provision()
    assert status == 0, output + errors
