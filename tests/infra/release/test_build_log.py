"""A build that runs: its log is heard as it comes, each line once, and Ctrl-C ends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import pytest
from google.cloud.devtools.cloudbuild_v1 import Build

from infra.cloud import Cloud
from infra.names import Names
from infra.release import ReleaseError, build
from infra.release.logs import Tail
from infra.resources.base import Work
from infra.rest import Json
from infra.retry import Retry
from infra.tasks.local_cloud import scratch_cloud
from tests.infra.services import declare

GATE = 'until [ -e "{}" ]; do read -t 0.05 <> <(:) || true; done; echo "line 60"'


@dataclass
class Heard:
    """What is heard of a build, and what is done at a line of it."""

    at: str = ""
    do: Callable[[], None] = lambda: None
    lines: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.told.append(text)

    def log(self, text: str) -> None:
        self.lines += text.splitlines()
        if self.at and any(self.at in line for line in self.lines):
            self.at = ""
            self.do()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    """What a project is called with in which builds may run."""
    with scratch_cloud(tmp_path_factory.mktemp("cloud")) as running:
        cloud = Cloud(declare(project="log-project"), running.host)
        cloud.session.post(
            f"{cloud.url('serviceusage')}/v1/projects/log-project/services:batchEnable",
            json={"serviceIds": ["cloudbuild.googleapis.com", "logging.googleapis.com"]},
        )
        yield Work(cloud, Retry(Event()), {})


def scripted(script: str) -> Build:
    """A build of one step."""
    return Build(
        steps=[{"id": "only", "name": "bash", "script": script}],
        options={"logging": "CLOUD_LOGGING_ONLY"},
    )


def test_its_log_is_heard_while_it_runs_and_each_line_once(work: Work, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    # It goes on only when somebody has heard its first lines.
    script = f'for i in $(seq 59); do echo "line $i"; done; {GATE.format(gate)}'
    heard = Heard("line 59", gate.touch)
    done = build.follow(work, build.submit(work, scripted(script)), heard)
    assert done.status == Build.Status.SUCCESS
    lines = [line.partition('"only": ')[2] for line in heard.lines]
    assert [line for line in lines if line] == [f"line {i}" for i in range(1, 61)]
    assert heard.lines[-1] == build.LAST_LINE
    assert "step 1 of 1: only" in heard.told


def test_of_one_that_fails_the_end_is_told_with_where_the_rest_is(work: Work) -> None:
    heard = Heard()
    script = 'for i in $(seq 30); do echo "line $i"; done; exit 3'
    with pytest.raises(ReleaseError) as raised:
        build.follow(work, build.submit(work, scripted(script)), heard)
    said = str(raised.value)
    assert "step 1, only, ended with exit code 3" in said
    assert "line 30" in said
    assert "line 2\n" not in said
    assert "The whole log: https://console.cloud.google.com/cloud-build/" in said
    assert any(line.endswith("line 2") for line in heard.lines)


def test_interrupted_it_is_cancelled(work: Work, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    script = f"echo begun; {GATE.format(tmp_path / 'never')}"
    with pytest.raises(KeyboardInterrupt):
        build.run(work, scripted(script), "any", Heard("begun", interrupt))
    parent = Names(work.cloud.environment).location
    newest, *_ = work.cloud.builds.list_builds(request={"parent": parent})
    assert newest.status == Build.Status.CANCELLED


def test_a_line_that_can_be_read_late_is_heard_too(work: Work) -> None:
    url = f"{work.cloud.logging}/entries:write"

    def write(second: int, text: str) -> None:
        entry: Json = {
            "logName": "projects/log-project/logs/late",
            "resource": {"type": "global"},
            "timestamp": f"2026-03-01T12:30:{second:02}Z",
            "textPayload": text,
        }
        work.cloud.session.post(url, json={"entries": [entry]}).raise_for_status()

    log = build.log_of(work, "x")
    tail = Tail(type(log)(work.cloud, 'logName="projects/log-project/logs/late"'))
    write(10, "first")
    write(12, "third")
    assert [line.text for line in tail.more()] == ["first", "third"]
    write(11, "second")
    write(12, "fourth")
    assert [line.text for line in tail.more()] == ["second", "fourth"]
    assert tail.more() == []
