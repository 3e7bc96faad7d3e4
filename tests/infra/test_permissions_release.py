"""The role that `invoke doctor --role` prints is enough for the whole life of a service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cloud import Cloud
from infra.doctor.role import least
from infra.environment import Environment, load
from infra.stack import stack
from infra.tasks.local_cloud import HOST_VARIABLE, scratch_cloud
from tests.conftest import Bake
from tests.infra.limited import make_account

PROJECT = "least-project"
EMAIL = f"releaser@{PROJECT}.iam.gserviceaccount.com"
ENVIRONMENT = f"""\
project: {PROJECT}
region: europe-west1
impersonate: {EMAIL}
service:
  name: least-role
database:
  deletion_protection: false
"""
SECONDS = 300
CHECKED = ("deploy", "promote", "rollback")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An emulator on a scratch folder, which lets nobody call a private service who may not."""
    monkeypatch.setenv("CLOUD_EMULATOR_CHECK_INVOKERS", "1")
    with scratch_cloud(tmp_path / "cloud") as running:
        yield running.host


def without_account(environment: Environment) -> Environment:
    """The same, for the owner."""
    return environment.model_copy(update={"impersonate": None})


def test_it_provisions_deploys_migrates_and_destroys(baked: Bake, host: str) -> None:
    folder = baked(service="least-role").folder
    (folder / "environments" / "stg.yaml").write_text(ENVIRONMENT)
    environment = load(folder, "stg")
    resources = stack(environment, folder)
    owner = Cloud(without_account(environment), host)
    assert make_account(owner, "releaser", least(resources, destroy=True)) == EMAIL
    for command in (
        ["provision"],
        ["deploy"],
        ["migrate"],
        ["deploy", "--no-traffic"],
        ["promote"],
        ["rollback"],
        ["releases"],
        ["status"],
        ["provision", "--check", "--exit-code"],
        ["destroy", "--yes"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *command, "--env", "stg", "--service", str(folder)],
            env={**os.environ, HOST_VARIABLE: host},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        assert ("/health 200" in done.stdout) is (command[0] in CHECKED), done.stdout
