"""`invoke emulator.fault|latency|journal`, typed by a person."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulator.emulators import Emulator

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def undisturbed(emulator: Emulator) -> Iterator[None]:
    yield
    emulator.http().delete("/emulator/faults").raise_for_status()
    emulator.http().put("/emulator/latency", json={"milliseconds": 0}).raise_for_status()


def run(host: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, "CLOUD_EMULATOR_HOST": host},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fault_is_made_met_listed_and_cleared(emulator: Emulator, project: str) -> None:
    words = ["--method", "*ListSecrets", "--error", "503", "--nth", "2", "--after"]
    made = run(emulator.host, "emulator.fault", *words)
    assert made.returncode == 0, made.stderr
    place = f"/secretmanager/v1/projects/{project}/secrets"
    assert [emulator.http().get(place).status_code for _ in range(3)] == [200, 503, 200]
    listed = run(emulator.host, "emulator.fault").stdout
    assert "--error 503 --method '*ListSecrets' --nth 2 --after" in listed
    assert "(fitted 3, happened 1)" in listed
    number = listed.split()[0]
    assert run(emulator.host, "emulator.fault", "--clear", number).stdout == (
        "No fault is in force\n"
    )


def test_all_faults_are_cleared_at_once(emulator: Emulator) -> None:
    run(emulator.host, "emulator.fault", "--late", "420", "--method", "*SetIamPolicy")
    both = run(emulator.host, "emulator.fault", "--operation", "hang", "--method", "*Insert")
    assert "--late 420.0" in both.stdout
    assert "--operation hang" in both.stdout
    assert run(emulator.host, "emulator.fault", "--clear").stdout == "No fault is in force\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "*"], "no fault: give one of --error, --reset"),
        (["--error", "503", "--reset"], "--error, --reset: give one of"),
        (["--error", "many"], "--error takes a whole number, such as 2, not 'many'"),
        (["--error", "200"], "--error: Invalid status of a fault"),
        (["--delay", "-1"], "--delay: Invalid seconds of a fault"),
        (["--reset", "--nth", "0"], "--nth: Invalid nth of a fault"),
        (["--operation", "BROKEN"], "--operation: Invalid name of a fault: must be one of"),
        (["--race", "--after"], "--after goes with --error and --reset and --hang only"),
        (["--clear", "999"], "--clear: there is no fault 999"),
    ],
)
def test_a_wrong_option_is_usage_and_says_what_to_give(
    emulator: Emulator, words: list[str], said: str
) -> None:
    done = run(emulator.host, "emulator.fault", *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert emulator.http().get("/emulator/faults").json() == {"faults": []}


def test_the_latency_is_set_and_said(emulator: Emulator) -> None:
    assert run(emulator.host, "emulator.latency", "20").stdout == "Each call takes at least 20 ms\n"
    assert emulator.http().get("/emulator/latency").json() == {"milliseconds": 20}
    wrong = run(emulator.host, "emulator.latency", "much")
    assert wrong.returncode == 2
    assert "MS takes a number, such as 0.5, not 'much'" in wrong.stderr
    long = run(emulator.host, "emulator.latency", "1000000")
    assert long.returncode == 2
    assert "MS: Invalid milliseconds: 1000000.0 must be a number" in long.stderr


def test_the_journal_is_shown_and_cleared(emulator: Emulator, project: str) -> None:
    emulator.forget()
    emulator.fault(method="*CreateSecret", kind="reset")
    place = f"/secretmanager/v1/projects/{project}/secrets"
    emulator.http().get(place).raise_for_status()
    with pytest.raises(httpx.NetworkError):
        emulator.http().post(place, params={"secretId": "s"}, json={})
    lines = run(emulator.host, "emulator.journal", "--writes").stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("cut ")
    assert "SecretManagerService.CreateSecret" in lines[0]
    assert lines[1] == "1 calls, 1 of them writes"
    both = run(emulator.host, "emulator.journal", "--clear").stdout
    assert both.endswith("2 calls, 1 of them writes\n")
    assert emulator.calls() == []


def test_an_emulator_that_is_not_there_is_named() -> None:
    done = run("127.0.0.1:1", "emulator.fault")
    assert done.returncode == 1
    assert "no emulator answers at 127.0.0.1:1" in done.stderr
    assert "invoke emulator.start" in done.stderr
