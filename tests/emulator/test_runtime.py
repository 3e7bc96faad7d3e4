"""What runs behind the APIs, by itself: programs, revisions, their lines and settings."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from infra.emulator.runtime import Launch, Route, Settings, StartError
from infra.emulator.runtime.logs import Entry, line_entry
from infra.emulator.runtime.stops import Stop
from infra.emulator.runtime.tracing import Trace
from tests.emulator.ground import ORIGIN, Ground
from tests.emulator.running import alive, descendants
from tests.emulator.services import eventually

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


# Programs.


def test_a_program_s_lines_and_status(bare: Ground) -> None:
    status, lines = bare.run("sh", "-c", "echo one; printf two >&2; exit 5")
    assert status == 5
    assert sorted(lines) == ["one", "two"]
    assert bare.run("sh", "-c", "kill -9 $$")[0] == 137
    assert bare.run("no-such-program")[0] == 127


def test_a_line_without_an_end_is_cut(bare: Ground) -> None:
    _, lines = bare.run("sh", "-c", "head -c 700000 /dev/zero | tr '\\0' x; echo; echo end")
    assert "".join(lines[:-1]) == "x" * 700_000
    assert lines[-1] == "end"


def test_a_program_is_told_to_end_and_then_killed(bare: Ground) -> None:
    stubborn = "trap '' TERM; echo ready; sleep 60 & while true; do wait; done"
    stop = Stop()
    ready = threading.Event()
    ended: list[tuple[int, list[str]]] = []

    def run() -> None:
        ended.append(bare.run("sh", "-c", stubborn, stop=stop, on_line=ready.set))

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    began = time.monotonic()
    stop.set()
    thread.join(20)
    assert ended[0][0] == 137
    assert 1 <= time.monotonic() - began < 10


def test_what_a_program_leaves_behind_is_killed(bare: Ground) -> None:
    status, lines = bare.run("sh", "-c", "sleep 600 & echo $!")
    assert status == 0
    eventually(lambda: not alive(int(lines[0])))


def test_a_daemon_that_keeps_the_pipes_holds_up_nobody(bare: Ground) -> None:
    script = "import os, sys, time; os.fork() or (os.setsid(), time.sleep(5)); print('end')"
    began = time.monotonic()
    assert bare.run(sys.executable, "-c", script)[0] == 0
    assert time.monotonic() - began < 4.5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of the death")
def test_a_program_does_not_outlive_a_killed_keeper(bare: Ground) -> None:
    pids: list[str] = []
    before = descendants(os.getpid())
    script = "echo $PPID; exec sleep 600"

    def on_line(_: object, line: str) -> None:
        pids.append(line)
        os.kill(int(line), signal.SIGKILL)

    status = bare.runtime.run(
        ("sh", "-c", script),
        folder=bare.runtime.folder,
        environment=dict(os.environ),
        on_line=on_line,
    )
    assert (status, len(pids)) == (137, 1)
    assert descendants(os.getpid()) <= before


def test_stops_are_told_or_late() -> None:
    outer = Stop()
    inner = Stop(60, outer)
    assert not inner.is_set()
    outer.set()
    assert inner.told
    assert not inner.late
    assert Stop(-1).late


# Revisions.


def test_many_requests_start_one_instance(bare: Ground) -> None:
    bare.runtime.deploy(bare.spec(), check=False)
    url = bare.runtime.route("s", Route(ORIGIN), {"r": 100})

    async def ask() -> list[int]:
        async with httpx.AsyncClient(timeout=30) as client:
            answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 20
    assert bare.runtime.instances("r") == 1


def test_a_launch_that_fails_is_a_503(bare: Ground) -> None:
    def launch() -> Launch:
        raise StartError("no secret")

    with pytest.raises(StartError, match="no secret"):
        bare.runtime.deploy(bare.spec(launch))
    bare.runtime.deploy(bare.spec(launch), check=False)
    url = bare.runtime.route("s", Route(ORIGIN), {"r": 100})
    answer = httpx.get(url)
    assert answer.status_code == 503
    assert "is not available yet" in answer.text


def test_a_bug_in_a_launch_ends_the_start(bare: Ground) -> None:
    def launch() -> Launch:
        raise KeyError("bug")

    with pytest.raises(StartError, match="bug"):
        bare.runtime.deploy(bare.spec(launch))


def test_a_revision_that_is_starting_can_be_retired(bare: Ground) -> None:
    launched = threading.Event()

    def launch() -> Launch:
        launched.set()
        return Launch(("sleep", "600"), bare.runtime.folder, dict(os.environ))

    failed: list[StartError] = []

    def deploy() -> None:
        try:
            bare.runtime.deploy(bare.spec(launch))
        except StartError as error:
            failed.append(error)

    thread = threading.Thread(target=deploy)
    thread.start()
    assert launched.wait(20)
    bare.runtime.retire("r")
    thread.join(5)
    assert failed


def test_an_address_is_kept(tmp_path: Path) -> None:
    bare = Ground(tmp_path)
    url = bare.runtime.route("s", Route(ORIGIN), {})
    assert httpx.get(url).status_code == 503
    bare.stop()
    bare = Ground(tmp_path)
    other = bare.runtime.route("t", Route(ORIGIN), {})
    assert bare.runtime.route("s", Route(ORIGIN), {}) == url != other
    bare.runtime.close_route("s")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    bare.stop()


def test_only_invokers_where_they_are_checked(bare: Ground) -> None:
    bare.runtime.deploy(bare.spec())
    route = Route(ORIGIN, may_invoke=lambda token: token == "Bearer good")
    url = bare.runtime.route("s", route, {"r": 100})
    assert httpx.get(url).status_code == 403
    assert httpx.get(url, headers={"Authorization": "Bearer good"}).status_code == 200


def test_a_malformed_request_is_a_400(bare: Ground) -> None:
    url = bare.runtime.route("s", Route(ORIGIN), {})
    host, _, port = url.removeprefix("http://").partition(":")

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"nonsense\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 400")


# Lines, traces, settings.


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("plain", {"textPayload": "plain", "severity": "DEFAULT"}),
        ("{not json", {"textPayload": "{not json"}),
        ('["list"]', {"textPayload": '["list"]'}),
        ('{"severity": "warning", "a": 1}', {"jsonPayload": {"a": 1}, "severity": "WARNING"}),
        ('{"severity": 5, "a": 1}', {"jsonPayload": {"a": 1}, "severity": "DEFAULT"}),
        (
            '{"time": "2026-01-02 03:04:05.5+01:00"}',
            {"timestamp": "2026-01-02T02:04:05.500000Z"},
        ),
        ('{"time": "yesterday", "a": 1}', {"jsonPayload": {"a": 1}}),
        ('{"httpRequest": {"status": 200}}', {"httpRequest": {"status": 200}, "jsonPayload": {}}),
    ],
)
def test_a_line_as_an_entry(line: str, entry: Entry) -> None:
    made = line_entry(ORIGIN, "stdout", line)
    assert {key: made.get(key) for key in entry} == entry
    assert made["logName"] == "projects/project/logs/run.googleapis.com%2Fstdout"


def test_both_trace_headers_say_the_same() -> None:
    google = {"x-cloud-trace-context": "0af7651916cd43dd8448eb211c80319c/16;o=1"}
    assert Trace.of(google).headers() == {
        **google,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-0000000000000010-01",
    }
    assert Trace.of({"traceparent": "nonsense"}).trace != Trace.of({}).trace


def test_settings_come_from_the_environment() -> None:
    assert Settings.read({"CLOUD_EMULATOR_IDLE_SECONDS": "2.5"}).idle_seconds == 2.5
    with pytest.raises(ValueError, match="many"):
        Settings.read({"CLOUD_EMULATOR_IDLE_SECONDS": "many"})
