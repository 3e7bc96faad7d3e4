"""A rollout on the emulator: whatever ends it, the traffic is where it was, or the next run sees to
that. The revisions are real processes of a small service."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import override

import httpx
import pytest
from google.cloud import run_v2

from infra import manifest
from infra.cloud import Cloud
from infra.environment import Environment
from infra.manifest import Manifest
from infra.release import ReleaseError, live, rollout
from infra.release.memory import Memory, Split
from infra.release.record import Record
from infra.resources.base import Work
from infra.retry import Retry, Stopped
from infra.tasks.stages import traffic
from infra.tasks.stages.image import Built
from infra.tasks.stages.pace import AT_ONCE, Pace
from tests.emulator.running import PROJECT, Run, local_cloud
from tests.emulator.services import REGION

KNATIVE = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: ${SERVICE}
spec:
  template:
    spec:
      containers:
        - image: ${IMAGE}
          ports:
            - containerPort: 8080
          startupProbe:
            httpGet:
              path: /health
            periodSeconds: 1
            failureThreshold: 10
"""
CLIMB = Pace([10, 50], 0, {})
SECONDS = 120

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


@dataclass(frozen=True)
class Case:
    """A service that serves its first revision, and what a release of it is made with."""

    work: Work
    folder: Path
    image: str

    @property
    def name(self) -> str:
        """The service's."""
        return self.work.cloud.names.name

    def shape(self, **variables: str) -> Manifest:
        """The manifest, with variables that the small service is told by how to behave."""
        environment = self.work.cloud.environment.model_copy(update={"config": variables})
        return manifest.read(self.folder, environment, image=self.image, versions={})

    def roll_out(
        self, pace: Pace = CLIMB, *, traffic_too: bool = True, **variables: str
    ) -> run_v2.Service:
        """A release of it, from the image on."""
        built = Built(self.image, "0123456789abcdef", Record(commit="0123"))
        shape = self.shape(**variables)
        return traffic.roll_out(self.work, shape, built, built.record, pace, traffic=traffic_too)

    @property
    def now(self) -> run_v2.Service:
        """The service now."""
        return live.get_service(self.work)

    @property
    def split(self) -> Split:
        """Who serves now."""
        return live.split_of(self.now)

    def is_untouched(self) -> bool:
        """Whether nothing of a release is left on it."""
        service = self.now
        memory = Memory.read(service.annotations)
        return self.split == self.first and not live.tagged(service) and memory.rollout is None

    @property
    def first(self) -> Split:
        """The traffic in the beginning."""
        return ((f"{self.name}-a", 100),)


type Begin = Callable[[str], Case]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """An emulator with the image of a small service."""
    with local_cloud(tmp_path_factory.mktemp("run")) as run:
        yield run


@pytest.fixture
def begin(run: Run, tmp_path: Path) -> Begin:
    """Makes a service of a name, which serves its first revision."""
    (tmp_path / "ci").mkdir()
    (tmp_path / "ci" / "cloud-run.yaml").write_text(KNATIVE)

    def named(name: str) -> Case:
        run.create(name, revision=f"{name}-a")
        return case_of(run.emulator.host, name, tmp_path, run.image)

    return named


def case_of(host: str, name: str, folder: Path, image: str, kind: type[Work] = Work) -> Case:
    """A service that is there."""
    environment = Environment.model_validate(
        {"name": "stg", "project": PROJECT, "region": REGION, "service": {"name": name}}
    )
    return Case(kind(Cloud(environment, host), Retry(Event()), {}), folder, image)


def test_it_climbs_and_remembers(begin: Begin) -> None:
    case = begin("climbs")
    service = case.roll_out()
    assert live.split_of(service) == ((f"{case.name}-0123456-1", 100),)
    assert Memory.read(service.annotations) == Memory(None, (f"{case.name}-0123456-1", "climbs-a"))
    assert not live.tagged(service)
    revision = live.get_revision(case.work, f"{case.name}-0123456-1")
    assert revision is not None
    assert Record.read(revision.annotations) == Record(commit="0123")


def test_one_that_never_gets_healthy_leaves_no_trace(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin("sick")
    with pytest.raises(ReleaseError) as caught:
        case.roll_out(BEHAVIOUR="exit", STATUS="7")
    said = str(caught.value)
    assert "the revision sick-0123456-1 is not healthy: " in said
    assert "\n  starting\n" in said
    assert "The traffic is where it was: sick-a 100 %" in capsys.readouterr().err
    assert case.is_untouched()
    # The next release is not in its way.
    assert live.split_of(case.roll_out(AT_ONCE)) == (("sick-0123456-2", 100),)
    assert "send it 100 %" in capsys.readouterr().out


def test_one_that_does_not_answer_as_declared_gets_no_traffic(begin: Begin) -> None:
    case = begin("checked")
    with pytest.raises(ReleaseError) as caught:
        case.roll_out(replace(CLIMB, checks={"/orders?size=1": 404}))
    assert "GET /orders?size=1 answered 200, and not 404" in str(caught.value)
    assert case.is_untouched()


def test_an_image_that_is_gone_is_refused(begin: Begin, capsys: pytest.CaptureFixture[str]) -> None:
    case = begin("gone")
    missing = replace(case, image=case.image.rpartition("@")[0] + "@sha256:" + "0" * 64)
    with pytest.raises(ReleaseError, match="gone-0123456-1"):
        missing.roll_out()
    assert "The traffic is where it was: gone-a 100 %" in capsys.readouterr().err
    assert case.is_untouched()


def test_who_waits_is_reached_by_its_tag_alone(begin: Begin) -> None:
    case = begin("waits")
    service = case.roll_out(traffic_too=False, GREETING="new")
    assert case.split == case.first
    assert Memory.read(service.annotations) == Memory(None, ("waits-a",))
    answer = httpx.get(live.tag_uri(service), timeout=SECONDS).json()
    assert answer["environment"]["GREETING"] == "new"
    # The next one takes its place.
    case.roll_out(traffic_too=False)
    assert live.tagged(case.now) == "waits-0123456-2"


def test_a_split_that_somebody_made_comes_back_as_it_was(
    run: Run, begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin("pinned")
    case.roll_out(AT_ONCE)
    targets = [
        run_v2.TrafficTarget(type_=live.REVISION, revision="pinned-a", percent=70),
        run_v2.TrafficTarget(type_=live.REVISION, revision="pinned-0123456-1", percent=30),
        run_v2.TrafficTarget(type_=live.REVISION, revision="pinned-a", tag="theirs"),
    ]
    run.update(case.now, traffic=targets).result()
    before = case.split
    with pytest.raises(ReleaseError, match="is not healthy"):
        case.roll_out(BEHAVIOUR="exit")
    assert "was: pinned-a 70 %, pinned-0123456-1 30 %" in capsys.readouterr().err
    assert case.split == before
    assert [target.tag for target in case.now.traffic if target.tag] == ["theirs"]


class Failing(Work):
    """Whose writes are ended from one of them on, by an exception or the end of the process."""

    ends: Callable[[], None]
    left = 0

    @override
    def call[T](self, doing: str, function: Callable[[], T]) -> T:
        result = super().call(doing, function)
        self.left -= 1
        if not self.left:
            self.ends()
        return result


WRITES = ["new revision", "10 %", "50 %", "100 %"]


@pytest.mark.parametrize("write", range(1, len(WRITES) + 1), ids=WRITES)
def test_ctrl_c_during_any_write_puts_the_traffic_back(
    begin: Begin, write: int, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin(f"interrupted-{write}")
    work = Failing(case.work.cloud, case.work.retry, {})

    def interrupt() -> None:
        raise KeyboardInterrupt

    work.left, work.ends = write, interrupt
    with pytest.raises(KeyboardInterrupt):
        replace(case, work=work).roll_out()
    assert case.is_untouched()
    assert f"The traffic is where it was: {case.name}-a 100 %" in capsys.readouterr().err


@pytest.mark.parametrize("write", range(1, len(WRITES) + 1), ids=WRITES)
def test_kill_9_during_any_write_is_undone_by_the_next_run(
    run: Run, begin: Begin, write: int, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin(f"killed-{write}")
    program = f"from {__name__} import die; die()"
    arguments = [run.emulator.host, case.name, str(case.folder), case.image, str(write)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], timeout=SECONDS, check=False)
    assert done.returncode == -signal.SIGKILL
    case.work.retry.until("settling", lambda: not case.now.reconciling)
    traffic.recover(case.work)
    said = capsys.readouterr().out
    if write == len(WRITES):
        # It was done: only the end of the command was missing.
        assert case.split == ((f"{case.name}-0123456-1", 100),)
        assert not said
    else:
        assert case.is_untouched()
        assert f"The traffic is where it was: {case.name}-a 100 %" in said
    assert live.split_of(case.roll_out(AT_ONCE)) == ((f"{case.name}-0123456-2", 100),)


def die() -> None:
    """Rolls out, and is killed when a write has been taken."""
    host, name, folder, image, write = sys.argv[1:]
    case = case_of(host, name, Path(folder), image, Failing)
    assert isinstance(case.work, Failing)
    case.work.left = int(write)
    case.work.ends = lambda: os.kill(os.getpid(), signal.SIGKILL)
    case.roll_out()


def test_who_lost_the_lease_touches_nothing(
    begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin("lost")
    work = Failing(case.work.cloud, Retry(Event()), {})
    work.left, work.ends = 2, work.retry.stop.set
    with pytest.raises(Stopped):
        replace(case, work=work).roll_out()
    assert case.split == (("lost-0123456-1", 10), ("lost-a", 90))
    assert "The traffic is left as it is. The next deploy" in capsys.readouterr().err
    traffic.recover(case.work)
    assert case.is_untouched()


def test_a_login_that_ends_on_the_way_is_told_and_mended_by_the_next_run(
    run: Run, begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin("expired")
    faults = f"http://{run.emulator.host}/emulator/faults"
    expired = {"kind": "error", "status": 401, "method": "*.UpdateService"}
    work = Failing(case.work.cloud, case.work.retry, {})
    work.left = 2

    def expire() -> None:
        httpx.post(faults, json=expired).raise_for_status()

    work.ends = expire
    with pytest.raises(ReleaseError) as caught:
        replace(case, work=work).roll_out()
    httpx.delete(faults).raise_for_status()
    assert "expired-0123456-1" in str(caught.value)
    said = capsys.readouterr().err
    assert "The traffic could not be put back: " in said
    assert "The next deploy, promote or rollback puts it back" in said
    traffic.recover(case.work)
    assert case.is_untouched()


def test_what_was_deleted_meanwhile_gets_nothing(begin: Begin) -> None:
    case = begin("deleted")
    there = case.now
    gone = (("deleted-0", 60), ("deleted-a", 40))
    memory = Memory().begun("deleted-b", gone, live.asked_of(there))
    live.update(
        case.work,
        run_v2.Service(name=there.name, annotations=memory.annotations({})),
        ["annotations"],
    )
    traffic.recover(case.work)
    assert case.is_untouched()


def by_hand(run: Run, case: Case, revision: str) -> None:
    """Somebody sends all the traffic there, in the console."""
    target = run_v2.TrafficTarget(type_=live.REVISION, revision=revision, percent=100)
    run.update(case.now, traffic=[target]).result()


def test_whoever_set_the_traffic_right_by_hand_is_left_alone(run: Run, begin: Begin) -> None:
    case = begin("mended")
    case.roll_out(AT_ONCE)
    captured = rollout.capture(case.now, live.list_revisions(case.work))
    rollout.tag(case.work, "mended-a", captured)
    rollout.give(case.work, "mended-a", 10, captured)
    # The release is killed here.
    by_hand(run, case, "mended-a")
    traffic.recover(case.work)
    assert case.split == case.first
    assert Memory.read(case.now.annotations).rollout is None
    # A rollback from there goes to what served before, not to what was fled from.
    captured = rollout.capture(case.now, live.list_revisions(case.work))
    assert captured.memory.served == ("mended-a",)


def test_a_release_gives_way_to_whoever_moves_the_traffic(
    run: Run, begin: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    case = begin("gives-way")
    case.roll_out(AT_ONCE)
    work = Failing(case.work.cloud, case.work.retry, {})
    # After the step to 10 % somebody goes back to the first revision.
    work.left, work.ends = 2, lambda: None
    captured = rollout.capture(case.now, live.list_revisions(case.work))
    with (
        pytest.raises(ReleaseError, match="somebody else changed the traffic meanwhile"),
        traffic.put_back_unless_done(work, "gives-way-0123456-1", captured),
    ):
        rollout.tag(work, "gives-way-a", captured)
        rollout.give(work, "gives-way-a", 10, captured)
        by_hand(run, case, "gives-way-a")
        rollout.give(work, "gives-way-a", 50, captured)
    assert case.split == case.first
    assert "Somebody else changed the traffic, and it stays so" in capsys.readouterr().err


def test_a_write_that_fails_in_passing_is_done_again(run: Run, begin: Begin) -> None:
    case = begin("again")
    faults = f"http://{run.emulator.host}/emulator/faults"
    for fault in (
        {"kind": "error", "status": 503, "times": 2},
        {"kind": "reset", "after": True, "times": 1},
    ):
        captured = rollout.capture(case.now, live.list_revisions(case.work))
        httpx.post(faults, json={"method": "*.UpdateService", **fault}).raise_for_status()
        service = rollout.tag(case.work, "again-a", captured)
        assert live.tagged(service) == "again-a"
        assert "is where it was" in rollout.put_back(case.work, captured)
        assert case.is_untouched()
    httpx.delete(faults).raise_for_status()


def test_who_waited_waits_again_when_another_release_fails(begin: Begin) -> None:
    case = begin("patient")
    case.roll_out(traffic_too=False)
    with pytest.raises(ReleaseError):
        case.roll_out(BEHAVIOUR="exit")
    assert live.tagged(case.now) == "patient-0123456-1"
    assert case.split == case.first
