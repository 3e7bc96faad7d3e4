"""`invoke doctor` as it is typed: its exit statuses, and a role that needs no cloud."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infra.doctor.role import least
from infra.environment import load
from infra.stack import stack
from infra.tasks.local_cloud import HOST_VARIABLE
from tests.infra.services import make_folder

ENVIRONMENT = """\
project: acme-stg
region: europe-west1
service:
  name: orders
  max_instances: {most}
"""

type Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service whose staging fits, and whose production has more instances than connections."""
    folder = make_folder(tmp_path / "orders")
    (folder / "environments").mkdir()
    (folder / "environments" / "stg.yaml").write_text(ENVIRONMENT.format(most=2))
    (folder / "environments" / "prd.yaml").write_text(ENVIRONMENT.format(most=10))
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    return folder


@pytest.fixture
def ask(host: str, folder: Path) -> Ask:
    """Runs the command in the service's folder."""

    def run(
        *arguments: str, at: str = host, task: str = "doctor"
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "invoke", task, *arguments],
            cwd=folder,
            env={**os.environ, HOST_VARIABLE: at},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_all_well_is_0_a_failure_1_and_a_wrong_command_2(ask: Ask) -> None:
    well = ask("--env", "stg")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "orders-stg : ok=" in well.stdout
    unfit = ask("--env", "prd")
    assert unfit.returncode == 1
    assert "  failed   connections  10 instances" in unfit.stdout
    assert "            Set database.flags.max_connections" in unfit.stdout
    assert ask("--env", "none").returncode == 2
    assert ask("--env", "stg", "--destroy").returncode == 2


def test_a_cloud_that_does_not_answer_is_a_failure_like_others(ask: Ask) -> None:
    answer = ask("--env", "stg", at="127.0.0.1:1")
    assert answer.returncode == 1
    assert "  failed   login" in answer.stdout


def test_an_account_that_can_not_be_had_is_no_traceback(ask: Ask, folder: Path) -> None:
    with (folder / "environments" / "stg.yaml").open("a") as file:
        file.write("impersonate: nobody@acme-stg.iam.gserviceaccount.com\n")
    for task, status in (("doctor", 1), ("provision", 2)):
        answer = ask("--env", "stg", task=task)
        assert answer.returncode == status
        assert "Unknown service account" in answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr


def test_the_role_needs_no_cloud_and_is_all_that_is_printed(ask: Ask, folder: Path) -> None:
    resources = stack(load(folder, "stg"), folder)
    for options, destroy in (((), False), (("--destroy",), True)):
        answer = ask("--role", "--env", "stg", *options, at="127.0.0.1:1")
        assert answer.returncode == 0, answer.stderr
        found = yaml.safe_load(answer.stdout)
        assert found["includedPermissions"] == least(resources, destroy=destroy)
        assert ("cloudsql.instances.delete" in found["includedPermissions"]) is destroy
