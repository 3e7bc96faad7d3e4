"""`invoke logs`: what a service said, from Cloud Logging."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from infra.cloud import Cloud
from infra.environment import Environment
from infra.project import Project, ProjectError
from infra.release.logs import Line
from infra.tasks.logs import log_of, narrowing, show
from infra.tasks.opening import Opened
from infra.tasks.releasing import work_on
from tests.end_to_end.small import Small

PROJECT = "logs-project"

type Write = Callable[..., None]


def open_project(host: str, project: str, folder: Path) -> Opened:
    """A service called orders in a project."""
    given = {"name": "stg", "project": project, "region": "europe-west1"}
    environment = Environment.model_validate({**given, "service": {"name": "orders"}})
    return Opened(Project(folder), environment, Cloud(environment, host))


@pytest.fixture
def opened(host: str, tmp_path: Path) -> Opened:
    """The service, in a project with Cloud Logging."""
    opened = open_project(host, PROJECT, tmp_path)
    cloud = opened.cloud
    cloud.session.post(
        f"{cloud.url('serviceusage')}/v1/projects/{PROJECT}/services:batchEnable",
        json={"serviceIds": ["logging.googleapis.com"]},
    )
    return opened


@pytest.fixture
def write(opened: Opened) -> Write:
    """Writes an entry, as Cloud Run does for a revision."""

    def write_entry(second: int, revision: str, service: str = "orders", **fields: Any) -> None:
        labels = {
            "service_name": service,
            "revision_name": revision,
            "location": "europe-west1",
        }
        entry: dict[str, Any] = {
            "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2Fstdout",
            "resource": {"type": "cloud_run_revision", "labels": labels},
            "timestamp": f"2026-03-01T12:30:{second:02}.5Z",
            **fields,
        }
        answer = opened.cloud.session.post(
            f"{opened.cloud.logging}/entries:write", json={"entries": [entry]}
        )
        assert answer.ok, answer.text

    return write_entry


def test_what_was_logged_is_found_by_revision_and_severity(opened: Opened, write: Write) -> None:
    write(1, "found-1", textPayload="one")
    write(2, "found-1", jsonPayload={"message": "two"}, severity="ERROR")
    write(3, "found-2", jsonPayload={"message": "three"}, severity="WARNING")
    write(4, "found-1", "another", textPayload="of another service")

    def texts(revision: str | None = None, severity: str | None = None, count: int = 9) -> str:
        log = log_of(opened, narrowing(revision, severity))
        return " ".join(line.text for line in log.newest(work_on(opened), count))

    assert texts("found-1") == "one two"
    assert texts("found-2") == "three"
    assert texts("found-1", "error") == "two"
    assert texts(severity="WARNING").endswith("two three")
    assert texts("found-1", count=1) == "two"


def test_a_request_is_told_by_its_path_and_status(opened: Opened, write: Write) -> None:
    request = {"requestMethod": "GET", "requestUrl": "http://o/items/", "status": 503}
    write(5, "request-1", httpRequest={**request, "latency": "0.250s"})
    log = log_of(opened, narrowing("request-1", None))
    line = log.newest(work_on(opened), 1)[0]
    assert line.text == "GET http://o/items/ 503 0.250s"


def test_following_shows_each_line_once(opened: Opened, write: Write) -> None:
    write(0, "follow-1", textPayload="left out")
    write(1, "follow-1", textPayload="before")
    log, work = log_of(opened, narrowing("follow-1", None)), work_on(opened)
    shown = log.newest(work, 1)
    write(3, "follow-1", textPayload="after")
    coming: Iterator[Line] = log.follow(work, shown)
    assert next(coming).text == "after"
    # What can be read late is shown all the same, and nothing again.
    write(2, "follow-1", textPayload="late")
    assert [line.text for line in islice(coming, 1)] == ["late"]


def test_following_ends_when_it_is_interrupted(opened: Opened) -> None:
    work = work_on(opened)
    followed: list[BaseException] = []

    def follow() -> None:
        try:
            next(log_of(opened, narrowing("nobody-1", None)).follow(work, []))
        except Exception as error:
            followed.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    work.retry.stop.set()
    thread.join(60)
    assert [type(error).__name__ for error in followed] == ["Stopped"]


def test_where_nothing_was_provisioned_nothing_was_logged(host: str, tmp_path: Path) -> None:
    opened = open_project(host, "closed-project", tmp_path)
    assert log_of(opened, "").newest(work_on(opened), 1) == []


@pytest.mark.parametrize(
    ("revision", "severity", "said"),
    [
        ('x" OR severity>=DEFAULT', None, "is no name of a revision"),
        (None, "eror", "did you mean ERROR?"),
        (None, "loud", "there are DEFAULT, DEBUG"),
    ],
)
def test_a_wrong_option_is_said(revision: str | None, severity: str | None, said: str) -> None:
    with pytest.raises(ProjectError) as raised:
        narrowing(revision, severity)
    assert said in str(raised.value)


def test_nothing_that_is_logged_talks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(Line("2026-03-01T12:30:00.5Z", "ERROR", "a \x1b[2J\rb\n  é\tc\n"))
    printed = capsys.readouterr().out
    assert printed == "2026-03-01 12:30:00 ERROR    a \\x1b[2J\\rb\n      é\tc\n"


def test_the_command_shows_them(host: str, tmp_path: Path, opened: Opened, write: Write) -> None:
    write(7, "shown-1", textPayload="hello")
    small = Small.make(tmp_path, host, PROJECT)
    done: subprocess.CompletedProcess[str] = small.run("logs", "--revision", "shown-1")
    assert (done.returncode, done.stdout) == (0, "2026-03-01 12:30:07 DEFAULT  hello\n")
    none = small.run("logs", "--revision", "silent-1")
    assert (none.returncode, none.stdout) == (0, "nothing was logged\n")
    assert small.run("logs", "--lines", "0").returncode == 2
