"""A plan reads each thing once, whoever asks for it, and needs none of Google's libraries."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from google.cloud import run_v2

from infra.cloud import Cloud
from infra.environment import Environment
from infra.events import Status
from infra.plan import Plan, Session, plan, to_converge
from infra.resources.base import Resource
from infra.rest import Bearer, Rest
from infra.stack import stack
from tests.infra.ours import Journal, Ours, is_well
from tests.infra.services import write

PROJECT = "many-services"
IMPORTED = re.compile(r"^import time: .*\| +(\S+)$", re.MULTILINE)
HEAVY = {"google", "grpc", "httpx", "proto", "requests"}
STG = "project: {}\nregion: europe-west1\nservice:\n  name: orders\n"


def environments(*names: str) -> list[Environment]:
    """Services of a project, on an instance that they share."""
    given = {"name": "stg", "project": PROJECT, "region": "europe-west1"}
    database = {"instance": "main", "deletion_protection": False}
    return [
        Environment.model_validate({**given, "service": {"name": name}, "database": database})
        for name in names
    ]


def plan_of(cloud: Cloud, folder: Path, *names: str) -> Plan:
    """One plan for several services."""
    resources: list[Resource] = [
        each for service in environments(*names) for each in stack(service, folder)
    ]
    return plan(resources, Session(cloud, lambda event: None), to_converge)


def reads(journal: Journal) -> Counter[str]:
    """What was read, and how often."""
    return Counter(f"{each['http']} {each['path']}" for each in journal.calls)


def test_each_thing_is_read_once_whatever_the_number_of_services(
    host: str, tmp_path: Path, journal: Journal
) -> None:
    folder = write(tmp_path)
    cloud = Cloud(environments("orders")[0], host)
    one = plan_of(cloud, folder, "orders")
    assert not one.failures
    alone = reads(journal)
    assert set(alone.values()) == {1}
    journal.clear()
    many = plan_of(cloud, folder, "orders", "stock", "payments")
    assert not many.failures
    assert len(many.changes) == 3 * len(one.changes)
    together = reads(journal)
    assert set(together.values()) == {1}
    # Of each further service: four policies, and the versions of its password.
    assert len(together) == len(alone) + 2 * 5


def test_a_read_that_is_refused_is_told_of_all_that_asked(host: str, tmp_path: Path) -> None:
    folder = write(tmp_path)
    ours = Ours(Cloud(environments("orders")[0], host), folder)
    assert is_well(ours.provision()), ours.told()
    cloud = Cloud(environments("orders")[0], host)
    # The account exists, and may read nothing of all this.
    caller = Bearer(f"emulated:{cloud.names.build_account}")
    cloud.rest = Rest(cloud.url, lambda pool: caller, direct=True)
    planned = plan_of(cloud, folder, "orders", "stock")
    told = {(each.names.name, each.key): str(error) for each, error in planned.failures}
    for service in ("orders", "stock"):
        said = told[service, f"account {service}-run"]
        assert "read the service accounts: " in said
        assert "iam.serviceAccounts.list" in said
    assert told["stock", "sql instance main"] == told["orders", "sql instance main"]


def test_a_page_is_followed_by_the_next(host: str, tmp_path: Path, journal: Journal) -> None:
    ours = Ours(Cloud(environments("orders")[0], host), write(tmp_path))
    assert is_well(ours.provision()), ours.told()
    parent = ours.cloud.names.location
    for number in range(101):
        service = run_v2.Service(
            template=run_v2.RevisionTemplate(
                containers=[run_v2.Container(image="us-docker.pkg.dev/cloudrun/container/hello")]
            )
        )
        ours.cloud.run_services.create_service(
            parent=parent, service_id=f"a-{number:03}", service=service
        )
    journal.clear()
    again = ours.provision()
    assert again.count(Status.OK) == len(again.statuses), ours.told()
    assert reads(journal)[f"GET /run/v2/{parent}/services"] == 2


def test_a_run_with_nothing_to_do_imports_nothing_of_googles(host: str, tmp_path: Path) -> None:
    project = "light-reading"
    folder = write(tmp_path)
    (folder / "environments").mkdir()
    (folder / "environments" / "stg.yaml").write_text(STG.format(project))
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")

    def provision() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "invoke", "provision", "--env", "stg"],
            cwd=folder,
            env={**os.environ, "CLOUD_EMULATOR_HOST": host},
            capture_output=True,
            text=True,
            check=False,
        )

    first = provision()
    assert first.returncode == 0, first.stdout
    assert "google.cloud.run_v2" in imported(first), "the first run writes"
    second = provision()
    assert second.returncode == 0, second.stdout
    assert "changed=0" in second.stdout
    assert "infra.plan" in imported(second)
    assert not {each for each in imported(second) if each.partition(".")[0] in HEAVY}


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The modules that a run imported."""
    return set(IMPORTED.findall(done.stderr))
