"""The dashboard and the alerts in a cloud: made, mended, and gone at the end, but for what others
have added; and `invoke dashboard` as it is typed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from infra.events import Status
from infra.resources.asks import listed, text
from infra.resources.iam import send
from infra.rest import Json, Request
from infra.tasks.local_cloud import HOST_VARIABLE
from tests.emulator.emulators import Emulator
from tests.infra.ours import Journal, Ours, is_well
from tests.infra.services import make_folder, write

ENVIRONMENT = """\
project: {project}
region: europe-west1
service:
  name: orders
"""
PROJECTS = count()


@pytest.fixture(scope="module")
def hollow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator in which nothing runs: host and port."""
    emulator = Emulator(tmp_path_factory.mktemp("dashboard") / "state").start("--hollow")
    yield emulator.host
    emulator.stop()


@pytest.fixture
def ours(hollow: str, tmp_path: Path) -> Ours:
    """A service that is watched, provisioned."""
    made = Ours.make(
        hollow,
        write(tmp_path),
        f"watched-{next(PROJECTS)}",
        monitoring={},
        database={"deletion_protection": False},
    )
    assert is_well(made.provision())
    return made


def policies(ours: Ours) -> list[Json]:
    """The project's alert policies."""
    path = f"v3/{ours.project}/alertPolicies"
    found = ours.cloud.rest.fetch(Request("monitoring", path, (), "alertPolicies"))
    return listed(found)


def dashboard(ours: Ours) -> Json:
    """The dashboard."""
    found = ours.cloud.rest.fetch(Request("monitoring", f"v1/{ours.cloud.names.dashboard}"))
    assert isinstance(found, dict)
    return found


def url(ours: Ours, version: str, name: str) -> str:
    """Where something of Cloud Monitoring's is."""
    return f"{ours.cloud.url('monitoring')}/{version}/{name}"


def test_a_second_run_writes_nothing(ours: Ours, hollow: str) -> None:
    assert len(policies(ours)) == 2
    journal = Journal(hollow)
    journal.clear()
    assert ours.provision().count(Status.CHANGED) == 0
    assert [each for each in journal.writes if "monitoring" in each] == []


def test_what_was_done_by_hand_is_mended(ours: Ours) -> None:
    off, gone = policies(ours)
    send(
        ours.cloud,
        "PATCH",
        url(ours, "v3", f"{text(off, 'name')}?updateMask=enabled"),
        {"enabled": False},
    )
    send(ours.cloud, "DELETE", url(ours, "v3", text(gone, "name")))
    assert ours.provision().count(Status.CHANGED) == 2
    assert [each["enabled"] for each in policies(ours)] == [True, True]
    assert {text(each, "userLabels", "alert") for each in policies(ours)} == {"errors", "latency"}


def test_charts_and_alerts_of_others_stay(ours: Ours) -> None:
    there = dashboard(ours)
    layout = there["mosaicLayout"]
    assert isinstance(layout, dict)
    tiles = layout["tiles"]
    assert isinstance(tiles, list)
    theirs: Json = {"yPos": 90, "width": 12, "height": 2, "widget": {"title": "Theirs"}}
    changed: Json = {
        **there,
        "displayName": "by hand",
        "mosaicLayout": {**layout, "tiles": [*tiles, theirs]},
    }
    send(ours.cloud, "PATCH", url(ours, "v1", ours.cloud.names.dashboard), changed)
    condition: Json = {"conditionPrometheusQueryLanguage": {"query": "up == 0"}}
    policy: Json = {"displayName": "theirs", "combiner": "OR", "conditions": [condition]}
    send(ours.cloud, "POST", url(ours, "v3", f"{ours.project}/alertPolicies"), policy)
    assert is_well(ours.provision())
    found = dashboard(ours)
    assert found["displayName"] == "orders stg"
    titles = [text(each, "widget", "title") for each in listed(found, "mosaicLayout", "tiles")]
    assert titles[-1] == "Theirs"
    assert len(titles) == len(set(titles)) == len(tiles) + 1
    assert is_well(ours.destroy())
    assert [each["displayName"] for each in policies(ours)] == ["theirs"]


def test_of_two_that_a_lost_answer_made_none_is_left(ours: Ours) -> None:
    twin = policies(ours)[0]
    kept = {key: twin[key] for key in ("displayName", "combiner", "conditions", "userLabels")}
    send(ours.cloud, "POST", url(ours, "v3", f"{ours.project}/alertPolicies"), kept)
    assert len(policies(ours)) == 3
    assert is_well(ours.destroy())
    assert policies(ours) == []


def test_the_command_makes_them_and_says_where(ours: Ours, hollow: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "typed")
    file = folder / "environments" / "stg.yaml"
    file.parent.mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    text_of_file = ENVIRONMENT.format(project=ours.cloud.names.project)

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", "dashboard", "--env", "stg", *arguments],
            cwd=folder,
            env={**os.environ, HOST_VARIABLE: hollow},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    file.write_text(text_of_file)
    undeclared = typed()
    assert undeclared.returncode == 2
    assert "environments/stg.yaml declares no monitoring" in undeclared.stderr
    file.write_text(f"{text_of_file}monitoring: {{latency_ms: 300}}\n")
    checked = typed("--check", "--diff")
    assert checked.returncode == 0, checked.stderr
    assert "~ monitoring.latency_ms: 1000 → 300" in checked.stdout
    made = typed()
    assert made.returncode == 0, made.stderr
    assert f"dashboard: {ours.cloud.names.dashboard}" in made.stdout
    assert "sql instance" not in made.stdout
