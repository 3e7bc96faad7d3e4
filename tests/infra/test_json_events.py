"""`--json` and `--exit-code` through the command itself: what a CI reads, and what it gets back."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from infra.cloud import Cloud
from infra.environment import load
from infra.events import Finished, Started, Status, Waited
from infra.reporter import EventWriter
from infra.tasks.docs import DOCS
from tests.infra.services import write
from tests.infra.worlds import hollow_cloud

SCHEMA = json.loads((DOCS / "events.schema.json").read_text("utf-8"))
ENVIRONMENT = """\
project: watched-stg
region: europe-west1
service:
  name: orders
database:
  deletion_protection: false
config:
  LOG_LEVEL: {level}
"""

type Json = dict[str, object]


@dataclass
class Command:
    """A service whose commands are run as a CI runs them."""

    folder: Path
    host: str

    def declare(self, level: str) -> None:
        """Writes the environment's file."""
        text = ENVIRONMENT.format(level=level)
        (self.folder / "environments" / "stg.yaml").write_text(text)

    def run(self, *words: str, **variables: str) -> "Done":
        """Runs a command. Every line of its output is an event."""
        done = subprocess.run(
            [sys.executable, "-m", "invoke", *words, "--json"],
            cwd=self.folder,
            env={**os.environ, "CLOUD_EMULATOR_HOST": self.host, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, list(map(json.loads, done.stdout.splitlines())), done.stderr)


@dataclass
class Done:
    """How a command ended, and what it said."""

    status: int
    events: list[Json]
    errors: str

    def of(self, event: str) -> list[Json]:
        """The events of a kind."""
        return [each for each in self.events if each["event"] == event]

    @property
    def last(self) -> Json:
        """The last event."""
        return self.events[-1]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A service of which nothing is there yet."""
    folder = write(tmp_path_factory.mktemp("service"))
    (folder / "environments").mkdir()
    (folder / "pyproject.toml").touch()
    (folder / "tasks.py").write_text("from infra.tasks import namespace as namespace\n")
    with hollow_cloud(tmp_path_factory.mktemp("cloud")) as running:
        made = Command(folder, running.host)
        made.declare("INFO")
        yield made


@pytest.fixture(scope="module")
def story(command: Command) -> dict[str, Done]:
    """A service's life, as a CI sees it."""
    check = ("provision", "--env", "stg", "--check", "--exit-code")
    told = {
        "nothing there": command.run(*check),
        "first run": command.run("provision", "--env", "stg"),
        "as declared": command.run(*check),
    }
    command.declare("DEBUG")
    told["drifted"] = command.run(*check)
    told["only looked at"] = command.run("provision", "--env", "stg", "--check")
    told["left out"] = command.run(*check, "--tags", "iam")
    cloud = Cloud(load(command.folder, "stg"), command.host)
    bucket = cloud.storage.get_bucket(cloud.names.bucket)
    bucket.labels = {"team": "data"}
    bucket.patch()
    told["refused"] = command.run(*check)
    bucket.labels = cloud.names.labels
    bucket.patch()
    told["to be destroyed"] = command.run("destroy", "--env", "stg", "--check")
    told["nobody said yes"] = command.run("destroy", "--env", "stg")
    told["destroyed"] = command.run("destroy", "--env", "stg", "--yes")
    told["unknown environment"] = command.run("provision", "--env", "prod")
    told["unknown tag"] = command.run("provision", "--env", "stg", "--tags", "databse")
    told["no emulator"] = command.run(*check, CLOUD_EMULATOR_HOST="127.0.0.1:1")
    return told


EXITS = {
    "nothing there": 3,
    "first run": 0,
    "as declared": 0,
    "drifted": 3,
    "only looked at": 0,
    "left out": 0,
    "refused": 1,
    "to be destroyed": 0,
    "nobody said yes": 2,
    "destroyed": 0,
    "unknown environment": 2,
    "unknown tag": 2,
    "no emulator": 2,
}


@pytest.mark.parametrize("part", EXITS)
def test_the_exit_status_tells_a_ci_what_to_do(part: str, story: dict[str, Done]) -> None:
    done = story[part]
    assert done.status == EXITS[part], done.errors
    assert done.last["exit_status"] == done.status
    assert "Traceback" not in done.errors


@pytest.mark.parametrize("part", EXITS)
def test_every_line_is_of_the_schema(part: str, story: dict[str, Done]) -> None:
    validator = Draft202012Validator(SCHEMA)
    for event in story[part].events:
        assert [each.message for each in validator.iter_errors(event)] == [], event


def test_the_schema_can_fail(story: dict[str, Done]) -> None:
    validator = Draft202012Validator(SCHEMA)
    for event in story["drifted"].events:
        for key in event:
            without = {name: value for name, value in event.items() if name != key}
            assert not validator.is_valid(without), f"{event['event']} without {key}"
    header = story["drifted"].events[0]
    assert not validator.is_valid({**header, "version": 2})
    assert not validator.is_valid({"event": "surprise"})


@pytest.mark.parametrize("part", EXITS)
def test_the_first_line_says_which_version_it_is(part: str, story: dict[str, Done]) -> None:
    first, *rest = story[part].events
    assert (first["event"], first["version"]) == ("header", 1)
    times = [float(str(each["time"])) for each in rest]
    assert times == sorted(times)


def test_each_resource_is_started_and_finished(story: dict[str, Done]) -> None:
    done = story["first run"]
    plan, recap = done.of("plan")[0], done.last
    assert (plan["environment"], plan["project"], plan["service"]) == (
        "stg",
        "watched-stg",
        "orders",
    )
    finished = {(each["kind"], each["name"]): each for each in done.of("finished")}
    assert {(each["kind"], each["name"]) for each in done.of("started")} <= set(finished)
    assert {each["service"] for each in done.of("finished")} == {"orders"}
    assert finished["sql instance", "orders"]["action"] == "create"
    assert finished["sql instance", "orders"]["status"] == "changed"
    assert recap["counts"] == {
        status: [each["status"] for each in finished.values()].count(status) for status in Status
    }


def test_a_field_that_drifted_is_told_before_and_after(story: dict[str, Done]) -> None:
    told = {
        str(each["kind"]): each["fields"]
        for each in story["drifted"].of("finished")
        if each["status"] == "changed"
    }
    assert told["job"] == [{"path": "config.LOG_LEVEL", "before": "INFO", "after": "DEBUG"}]


def test_a_secret_is_never_written(story: dict[str, Done]) -> None:
    fields = [
        field
        for each in story["nothing there"].of("finished")
        if each["kind"] == "database user"
        for field in each["fields"]  # type: ignore[attr-defined]
    ]
    assert fields == [{"path": "password", "before": None, "after": "(sensitive)"}]


def test_a_failure_is_an_event_too_and_said_on_standard_error(story: dict[str, Done]) -> None:
    done = story["unknown tag"]
    assert done.last["event"] == "error"
    assert "did you mean database?" in str(done.last["message"])
    assert "did you mean database?" in done.errors
    assert story["nobody said yes"].last["event"] == "error"


def test_destroying_is_told_as_deleting(story: dict[str, Done]) -> None:
    for part in ("to be destroyed", "destroyed"):
        actions = {str(each["kind"]): each["action"] for each in story[part].of("finished")}
        assert (actions["sql instance"], actions["apis"]) == ("delete", "none")


def test_the_graph_is_drawn_with_the_colours_of_the_plan(command: Command) -> None:
    words = [sys.executable, "-m", "invoke", "graph", "--env", "stg"]
    variables = {**os.environ, "CLOUD_EMULATOR_HOST": command.host}
    graph = partial(
        subprocess.run, cwd=command.folder, env=variables, capture_output=True, text=True
    )
    text = graph([*words, "--tags", "storage"]).stdout
    assert text.startswith('---\ntitle: "orders-stg in project watched-stg"\n---\nflowchart LR\n')
    assert 'apis_watched_stg["apis<br/>watched-stg' in text
    assert "    apis_watched_stg --> bucket_watched_stg_orders_source\n" in text
    done = graph([*words, "--out", "plan.svg"])
    assert done.stdout == "written: plan.svg\n", done.stderr
    assert (command.folder / "plan.svg").read_text("utf-8").startswith("<svg ")
    assert graph([*words, "--out", "none/plan.svg"]).returncode == 2


def test_what_takes_long_is_not_told_again_and_again() -> None:
    out = StringIO()
    with redirect_stdout(out):
        writer = EventWriter("provision", check=False)
    with writer:
        print("for a person", flush=True)
        writer(Started("sql instance", "orders", "creating"))
        for seconds in range(10):
            writer(Waited("sql instance", "orders", "creating", seconds, 0))
        writer(Waited("sql instance", "orders", "no permission yet", 10, 420))
        writer(Finished("sql instance", "orders", Status.CHANGED))
    events = list(map(json.loads, out.getvalue().splitlines()))
    names = [each["event"] for each in events]
    assert names == ["header", "started", "waiting", "waiting", "finished"]
    assert [each["deadline"] for each in events if each["event"] == "waiting"] == [None, 420]
