"""A local cloud with a small service to run: what the tests of Cloud Run begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.cloud import run_v2

from infra.tasks.local_cloud import remove
from tests.emulator.emulators import Emulator
from tests.emulator.services import REGION, build_image, environment, eventually, result

PROJECT = "run-project"
LATEST = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST
BY_REVISION = run_v2.TrafficTargetAllocationType.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
SUCCEEDED = run_v2.Condition.State.CONDITION_SUCCEEDED
FAILED = run_v2.Condition.State.CONDITION_FAILED
QUICK = {
    "http_get": {"path": "/health"},
    "period_seconds": 1,
    "timeout_seconds": 1,
    "failure_threshold": 2,
}


class Run:
    """The clients of a project, and the image its services are made of."""

    def __init__(self, emulator: Emulator, project: str, image: str, account: str = "") -> None:
        arguments = emulator.arguments("run", account)
        self.emulator = emulator
        self.project = project
        self.image = image
        self.parent = f"projects/{project}/locations/{REGION}"
        self.services = run_v2.ServicesClient(**arguments)
        self.revisions = run_v2.RevisionsClient(**arguments)
        self.jobs = run_v2.JobsClient(**arguments)
        self.executions = run_v2.ExecutionsClient(**arguments)
        self.tasks = run_v2.TasksClient(**arguments)

    def template(self, *, container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A template of the small service; `more` are its other fields."""
        variables = more.pop("variables", {})
        one = {"image": self.image, "env": environment(**variables), **(container or {})}
        return {"containers": [one], **more}

    def create(self, name: str, **template: Any) -> run_v2.Service:
        """A service that serves."""
        service: run_v2.Service = result(self.begin(name, **template))
        return service

    def begin(self, name: str, *, service: dict[str, Any] | None = None, **template: Any) -> Any:
        """Has a service made; returns the operation."""
        body = {"template": self.template(**template), **(service or {})}
        request = {"parent": self.parent, "service_id": name, "service": body}
        return self.services.create_service(request=request)

    def update(self, service: run_v2.Service, *paths: str, **changes: Any) -> Any:
        """Has a service changed; returns the operation."""
        body = run_v2.Service(name=service.name, **changes)
        mask = {"paths": list(paths or changes)}
        return self.services.update_service(service=body, update_mask=mask)

    def get(self, name: str) -> run_v2.Service:
        """A service."""
        return self.services.get_service(name=f"{self.parent}/services/{name}")

    def logs(self, wanted: str) -> list[dict[str, Any]]:
        """What Cloud Logging finds, the oldest first."""
        asked = {
            "resourceNames": [f"projects/{self.project}"],
            "filter": wanted,
            "orderBy": "timestamp asc",
            "pageSize": 1000,
        }
        answer = self.emulator.http().post("/logging/v2/entries:list", json=asked)
        found: list[dict[str, Any]] = answer.json().get("entries", [])
        return found


@contextmanager
def impatient() -> Iterator[None]:
    """Emulators started inside do not wait for long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_EMULATOR_IDLE_SECONDS", "1.5")
        patch.setenv("CLOUD_EMULATOR_QUEUE_SECONDS", "1")
        patch.setenv("CLOUD_EMULATOR_GRACE_SECONDS", "1")
        yield


@contextmanager
def local_cloud(folder: Path) -> Iterator[Run]:
    """A project in which the small service has been built."""
    with impatient():
        emulator = Emulator(folder / "state").start()
    try:
        emulator.enable_all(PROJECT)
        yield Run(emulator, PROJECT, build_image(emulator, PROJECT))
    finally:
        emulator.stop()
        remove(emulator.folder)


def ask(uri: str, path: str = "/", **headers: str) -> dict[str, Any]:
    """What the small service says of itself."""
    answer = httpx.get(uri + path, headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def serving(uri: str) -> str:
    """The revision that answers."""
    return str(ask(uri)["environment"]["K_REVISION"])


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def scaled_to_zero(run: Run, service: run_v2.Service) -> None:
    """Returns when the instance that answers now has been ended for lack of requests."""
    pid = ask(service.uri)["pid"]
    eventually(lambda: not alive(pid))


def job_body(run: Run, *arguments: str, **variables: str) -> dict[str, Any]:
    """A job that works for a while."""
    container = {
        "image": run.image,
        "command": ["python", "-c", "import tiny; tiny.work()"],
        "args": list(arguments),
        "env": environment(**variables),
    }
    return {"template": {"template": {"containers": [container], "max_retries": 1}}}


def descendants(pid: int) -> set[int]:
    """The processes a process has started, and those these have."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat[1])
    found: set[int] = set()
    while more := {one for one, above in parents.items() if above in found | {pid}} - found:
        found |= more
    return found
