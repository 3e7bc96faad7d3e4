"""A release under traffic: it climbs in steps, goes back when the new revision is bad or the run is
ended, waits, is promoted, and is rolled back; no request is lost on the way."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from infra.cloud import Cloud
from infra.environment import load
from infra.rehearsal.load import Load
from infra.release.live import split_of
from infra.release.memory import Split
from tests.conftest import Bake
from tests.end_to_end.clouds import LocalCloud, url_of
from tests.end_to_end.processes import interrupt, running
from tests.template.bakes import REPOSITORY, Baked

CANARY = "\nrelease:\n  canary: [10, 50]\n  bake: 3s\n  checks:\n    /items/?size=1: 200\n"
RATE = 25.0
# A revision that goes on until it is told otherwise.
TURNS_BAD = """
def _turn_bad() -> None:
    import os, pathlib, time
    while not pathlib.Path({sign!r}).exists():
        time.sleep(0.1)
    os._exit(3)

__import__("threading").Thread(target=_turn_bad, daemon=True).start()
"""

# What is checked before goes well, and what users ask does not.
LISTS = "data, total = await service.list(query)"
LISTS_BADLY = f"assert query.size == 1, 'broken'\n    {LISTS}"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


class Traffic:
    """The splits that a service has had, each once, oldest first."""

    def __init__(self, service: Baked, cloud: LocalCloud) -> None:
        self._cloud = Cloud(load(service.folder, "local"), cloud.host)
        self.seen: list[Split] = [self.now]

    @property
    def now(self) -> Split:
        """Which revisions serve, and what percent each."""
        name = self._cloud.names.service
        return split_of(self._cloud.run_services.get_service(name=name))

    def shares(self) -> list[int]:
        """The percents of the revision that came in while it was watched."""
        old = self.seen[0][0][0]
        return [100 - dict(split).get(old, 0) for split in self.seen]

    @contextmanager
    def watched(self, canary: Event | None = None) -> Iterator[None]:
        """Looks on; the event is set when a second revision has a share."""
        over = Event()

        def look() -> None:
            while not over.wait(0.2):
                split = self.now
                if split != self.seen[-1]:
                    self.seen.append(split)
                if canary and len(split) > 1:
                    canary.set()

        thread = Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.mark.long
def test_the_traffic_climbs_and_goes_back(baked: Bake, cloud: LocalCloud, tmp_path: Path) -> None:
    service = baked(service="canary")
    environment = service.folder / "environments/local.yaml"
    environment.write_text(environment.read_text() + CANARY)
    cloud.passes(service, "provision")
    first = cloud.passes(service, "deploy")
    # There is nobody yet to share the traffic with.
    assert "send it 100 %" in first
    assert "send it 10 %" not in first

    url = url_of(first)
    head = commit(service)
    traffic = Traffic(service, cloud)
    with traffic.watched(), users_of(url, least=1000) as sent:
        printed = cloud.passes(service, "deploy")
        assert traffic.shares() == [0, 10, 50, 100]
        back = cloud.passes(service, "rollback")
    assert not [each for each in sent.requests if each.is_lost or each.is_failed]
    assert len(sent.requests) >= 1000
    steps = [line.split()[2] for line in printed.splitlines() if "of the traffic" in line]
    assert steps == ["10", "50", "100"]
    assert "/health 200, /items/?size=1 200" in printed
    # Each step says what it was judged by.
    assert (
        len(re.findall(r"\d+ requests, 0 failed, .*; the others: \d+ requests, 0 ", printed)) == 2
    )
    assert traffic.now == traffic.seen[0], back
    listed = cloud.passes(service, "releases").splitlines()[2:]
    assert ["given up" in listed[0], " 100 % " in listed[1], len(listed)] == [True, True, 2], listed
    assert f"  {head[:12]} (main)  " in listed[0]
    assert ", changed (main)  " in listed[1]

    give_back_what_answers_badly(service, cloud, url)
    give_back_what_turns_bad(service, cloud, url, tmp_path / "sign")
    give_back_when_interrupted(service, cloud)
    undo_what_was_killed(service, cloud)
    wait_and_be_promoted(service, cloud)


def users_of(url: str, least: int = 0) -> Load:
    """Requests, answered from the database, as long as the block goes on."""
    return Load(url, ["/items/", "/health"], RATE, least)


def commit(service: Baked) -> str:
    """Commits all files of the service, on main. Returns the commit."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C", service.folder)
    for words in (("checkout", "-q", "-B", "main"), ("add", "-A"), ("commit", "-qnm", "all")):
        subprocess.run([*git, *words], check=True)
    head = subprocess.check_output([*git, "rev-parse", "HEAD"], text=True)
    return head.strip()


def give_back_what_answers_badly(service: Baked, cloud: LocalCloud, url: str) -> None:
    """5xx that only users see end the release."""
    router = service.folder / "src/routers/item_router.py"
    text = router.read_text()
    assert LISTS in text
    router.write_text(text.replace(LISTS, LISTS_BADLY))
    traffic = Traffic(service, cloud)
    with traffic.watched(), users_of(url) as sent:
        done = cloud.run(service, "deploy", "--bake", "60s")
    router.write_text(text)
    assert done.returncode == 1, done.stdout
    assert re.search(
        r"\d+ of \d+ requests failed with 5xx, and of the others 0 of \d+", done.stdout
    )
    assert f"The traffic is where it was: {traffic.seen[0][0][0]} 100 %" in done.stdout
    assert traffic.shares() == [0, 10, 0]
    failed = [each for each in sent.requests if each.is_failed]
    assert failed
    assert {each.path for each in failed} == {"/items/"}
    assert not [each for each in sent.requests if each.is_lost]


def give_back_what_turns_bad(service: Baked, cloud: LocalCloud, url: str, sign: Path) -> None:
    """An instance that ends during a step is the end of the release."""
    main = service.folder / "src/main.py"
    text = main.read_text()
    main.write_text(text + TURNS_BAD.format(sign=str(sign)))
    traffic, canary = Traffic(service, cloud), Event()
    serving = traffic.now

    def spoil() -> None:
        canary.wait()
        sign.touch()

    thread = Thread(target=spoil)
    thread.start()
    with traffic.watched(canary):
        done = cloud.run(service, "deploy")
    canary.set()
    thread.join()
    main.write_text(text)
    assert done.returncode == 1, done.stdout
    assert "Container called exit(3)." in done.stdout
    assert f"The traffic is where it was: {serving[0][0]} 100 %" in done.stdout
    assert traffic.shares() == [0, 10, 0]
    assert traffic.now == serving
    assert httpx.get(f"{url}/health", timeout=60).status_code == 200


def give_back_when_interrupted(service: Baked, cloud: LocalCloud) -> None:
    """Ctrl-C in the middle of a canary leaves nothing half done."""
    traffic, canary = Traffic(service, cloud), Event()
    serving = traffic.now
    command = cloud.command(service, "deploy")
    with traffic.watched(canary), running(command, REPOSITORY, cloud.variables) as process:
        assert canary.wait(300)
        status, output = interrupt(process)
    assert status == 128 + signal.SIGINT, output
    assert "Traceback" not in output
    # The files are those of the commit again.
    assert "is built already" in output
    assert traffic.now == serving


def undo_what_was_killed(service: Baked, cloud: LocalCloud) -> None:
    """The next release finds in the service what one left that had no time to put anything back."""
    traffic, canary = Traffic(service, cloud), Event()
    serving = traffic.now
    command = cloud.command(service, "deploy", "--bake", "10m")
    with traffic.watched(canary), running(command, REPOSITORY, cloud.variables) as process:
        assert canary.wait(300)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert len(traffic.now) == 2
    assert "is under way, or was cut off" in cloud.passes(service, "status")
    cloud.passes(service, "unlock", "--yes")
    traffic = Traffic(service, cloud)
    with traffic.watched():
        printed = cloud.passes(service, "deploy", "--no-traffic")
    assert "undo a release that was cut off" in printed
    assert f"The traffic is where it was: {serving[0][0]} 100 %" in printed
    assert traffic.now == serving


def wait_and_be_promoted(service: Baked, cloud: LocalCloud) -> None:
    """What was deployed without traffic is reached at an address of its own, until it gets all."""
    status = cloud.passes(service, "status")
    found = re.search(r"traffic +(\S+)  0 %  candidate  (http\S+)", status)
    assert found is not None, status
    assert httpx.get(f"{found[2]}/health").status_code == 200
    printed = cloud.passes(service, "promote", "--canary", "50", "--bake", "0s")
    assert f"Promoting {found[1]}" in printed
    assert "send it 50 %" in printed
    assert Traffic(service, cloud).now == ((found[1], 100),)
    again = cloud.run(service, "promote")
    assert again.returncode == 1
    assert "no revision of canary-local waits for the traffic" in again.stdout
    status = cloud.passes(service, "status")
    assert "candidate" not in status
    assert "cut off" not in status
    listed = [line.split() for line in cloud.passes(service, "releases").splitlines()[2:]]
    refused = cloud.run(service, "rollback", "--to", listed[0][0])
    assert (refused.returncode, "has all the traffic already" in refused.stdout) == (1, True)
