"""What runs behind the APIs, by itself: Dockerfiles, build contexts, programs, lines, settings."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from infra.emulator.runtime import Launch, Origin, Probe, Route, Runtime, Settings, Spec, StartError
from infra.emulator.runtime.context import Context
from infra.emulator.runtime.dockerfile import DockerfileError, expand, parse, within
from infra.emulator.runtime.dockerplan import BuildRequest
from infra.emulator.runtime.images import Reference
from infra.emulator.runtime.logs import Entry, line_entry
from infra.emulator.runtime.stops import Stop
from infra.emulator.runtime.tools import NoUvError, find_uv
from infra.emulator.runtime.tracing import Trace
from infra.emulator.world import World
from tests.emulator.running import alive, descendants
from tests.emulator.services import FILES, eventually, write

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")

ORIGIN = Origin("project", "cloud_run_revision", {"service_name": "s"})
QUICKLY = Settings(idle_seconds=60, queue_seconds=1, grace_seconds=1, durable=0)
SERVER = """
import http.server, os, sys
print("up", flush=True)
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()
"""


class Ground:
    """A runtime, and the entries it has written."""

    def __init__(self, folder: Path, settings: Settings = QUICKLY) -> None:
        self.entries: list[Entry] = []
        self.world = World(folder / "state")
        self.runtime = Runtime(folder / "state", self.world, self.entries.extend, settings)
        self.runtime.start()

    def stop(self) -> None:
        """Ends everything."""
        self.runtime.stop()
        self.world.close()

    def run(self, *command: str, stop: Stop | None = None) -> tuple[int, list[str]]:
        """What a program printed, and its exit status."""
        lines: list[str] = []
        status = self.runtime.run(
            command,
            folder=self.runtime.folder,
            environment=dict(os.environ),
            on_line=lambda _, line: lines.append(line),
            stop=stop,
            grace=1,
        )
        return status, lines

    def spec(self, launch: Callable[[], Launch] | None = None) -> Spec:
        """A revision that serves files."""

        def serve() -> Launch:
            return Launch((sys.executable, "-c", SERVER), self.runtime.folder, dict(os.environ))

        return Spec("r", ORIGIN, launch or serve, startup=Probe(period=20, timeout=20))


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    ground.stop()


# Dockerfiles and contexts.


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$A-${A}", "1-1"),
        ("${MISSING}", ""),
        ("${MISSING:-word}", "word"),
        ("${A:+word}${MISSING:+word}", "word"),
        (r"\$A", "$A"),
    ],
)
def test_variables_of_a_dockerfile(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_stages_and_their_instructions() -> None:
    file = parse(
        "ARG VERSION=3.13\n"
        "FROM python:${VERSION}-slim AS base\n"
        "RUN one && \\\n# between\n  two\n"
        "from base\n"
        'CMD ["app", "--port", "1"]\n',
        {},
    )
    assert [stage.base for stage in file.stages] == ["python:3.13-slim", "base"]
    assert file.base(file.target(None)) == "python:3.13-slim"
    assert file.stages[0].instructions[0].text.split() == ["one", "&&", "two"]
    assert file.stages[1].instructions[0].items() == ["app", "--port", "1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RUN x", "line 1: RUN before FROM"),
        ("FROM x\nNOPE y", "line 2: unknown instruction: NOPE"),
        ("FROM x\nRUN <<EOF\nEOF", "here-documents"),
        ("FROM x y z w", "FROM takes an image"),
        ("# nothing", "no FROM"),
    ],
)
def test_a_wrong_dockerfile_is_said(text: str, said: str) -> None:
    with pytest.raises(DockerfileError, match=said):
        parse(text, {})


def test_paths_of_an_image() -> None:
    assert within("/app", ".venv") == "/app/.venv"
    assert within("/app", "/x/../y") == "/y"


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("", {".dockerignore", "a.txt", "src/a.py", "src/.env", "src/deep/b.pyc"}),
        ("*\n!src\n**/.env\n**/*.py[cod]", {"src/a.py"}),
        ("src", {".dockerignore", "a.txt"}),
        ("src/*.py\n# comment\n\n/a.txt", {".dockerignore", "src/.env", "src/deep/b.pyc"}),
        ("**\n!src/deep", {"src/deep/b.pyc"}),
    ],
)
def test_what_a_context_leaves_out(tmp_path: Path, ignore: str, kept: set[str]) -> None:
    files = {"a.txt": "", "src/a.py": "", "src/.env": "", "src/deep/b.pyc": ""}
    write(tmp_path, {**files, ".dockerignore": ignore})
    assert set(Context(tmp_path).files) == kept


def test_what_a_copy_selects(tmp_path: Path) -> None:
    context = Context(write(tmp_path, {"LICENSE.md": "", "src/a.py": "", "src/b/c.py": ""}))
    assert list(context.select("LICENSE*")) == [("LICENSE.md", "LICENSE.md")]
    assert list(context.select("./src")) == [("src/a.py", "a.py"), ("src/b/c.py", "b/c.py")]
    assert not list(context.select("missing"))


def test_image_references() -> None:
    one = Reference.parse("europe-west1-docker.pkg.dev/p/r/deep/name:tag")
    assert (one.tag, one.repository) == ("tag", "projects/p/locations/europe-west1/repositories/r")
    other = Reference.parse("localhost:5000/name@sha256:abc")
    assert (other.name, other.digest, other.repository) == (
        "localhost:5000/name",
        "sha256:abc",
        None,
    )


def test_an_image_holds_what_the_last_stage_copies(ground: Ground, tmp_path: Path) -> None:
    folder = write(tmp_path / "source", FILES)
    lines: list[str] = []

    def run(command: list[str], place: Path, environment: Mapping[str, str]) -> int:
        done = subprocess.run(command, cwd=place, env=environment, check=False, capture_output=True)
        return done.returncode

    image = ground.runtime.image_builder.build(BuildRequest(folder), lines.append, run)
    root = ground.runtime.images.root(image)
    assert {path.name for path in root.iterdir()} == {"app", ".complete"}
    assert {path.name for path in (root / "app").iterdir()} == {".venv", "db"}
    assert (root / "app/.venv/bin/app").exists()
    assert not list(root.rglob(".env"))
    assert image.config.command == ("app",)
    assert image.config.port == 8080
    assert image.config.labels == {"revision": "unknown"}
    assert image.config.environment["GREETING"] == "hello there"
    ground.runtime.images.push(Reference.parse("localhost/x:one"), image)
    assert ground.runtime.images.find("localhost/x:one") == image
    assert ground.runtime.images.find(f"localhost/x@{image.digest}") == image
    ground.runtime.images.delete("localhost/x")
    assert ground.runtime.images.find("localhost/x:one") is None
    assert not root.exists()


def test_a_uv_that_answers_127_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "uv"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    find_uv.cache_clear()
    with pytest.raises(NoUvError):
        find_uv()
    find_uv.cache_clear()


# Programs.


def test_a_program_s_lines_and_status(ground: Ground) -> None:
    status, lines = ground.run("sh", "-c", "echo one; printf two >&2; exit 5")
    assert status == 5
    assert sorted(lines) == ["one", "two"]
    assert ground.run("sh", "-c", "kill -9 $$")[0] == 137
    assert ground.run("no-such-program")[0] == 127


def test_a_line_without_an_end_is_cut(ground: Ground) -> None:
    _, lines = ground.run("sh", "-c", "head -c 700000 /dev/zero | tr '\\0' x; echo; echo end")
    assert "".join(lines[:-1]) == "x" * 700_000
    assert lines[-1] == "end"


def test_a_program_is_told_to_end_and_then_killed(ground: Ground) -> None:
    stubborn = "trap '' TERM; echo ready; sleep 60 & while true; do wait; done"
    stop = Stop()
    ended: list[tuple[int, list[str]]] = []
    thread = threading.Thread(
        target=lambda: ended.append(ground.run("sh", "-c", stubborn, stop=stop))
    )
    began = time.monotonic()
    thread.start()
    time.sleep(0.2)
    stop.set()
    thread.join(20)
    assert ended[0][0] == 137
    assert 1 <= time.monotonic() - began < 10


def test_what_a_program_leaves_behind_is_killed(ground: Ground) -> None:
    status, lines = ground.run("sh", "-c", "sleep 600 & echo $!")
    assert status == 0
    eventually(lambda: not alive(int(lines[0])))


def test_a_daemon_that_keeps_the_pipes_holds_up_nobody(ground: Ground) -> None:
    script = "import os, sys, time; os.fork() or (os.setsid(), time.sleep(5)); print('end')"
    began = time.monotonic()
    assert ground.run(sys.executable, "-c", script)[0] == 0
    assert time.monotonic() - began < 4.5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of the death")
def test_a_program_does_not_outlive_a_killed_keeper(ground: Ground) -> None:
    pids: list[str] = []
    script = "echo $PPID; exec sleep 600"

    def on_line(_: object, line: str) -> None:
        pids.append(line)
        os.kill(int(line), signal.SIGKILL)

    status = ground.runtime.run(
        ("sh", "-c", script),
        folder=ground.runtime.folder,
        environment=dict(os.environ),
        on_line=on_line,
    )
    assert (status, len(pids)) == (137, 1)
    assert not descendants(os.getpid())


def test_stops_are_told_or_late() -> None:
    outer = Stop()
    inner = Stop(60, outer)
    assert not inner.is_set()
    outer.set()
    assert inner.told
    assert not inner.late
    assert Stop(-1).late


# Revisions.


def test_many_requests_start_one_instance(ground: Ground) -> None:
    ground.runtime.deploy(ground.spec(), check=False)
    url = ground.runtime.route("s", Route(ORIGIN), {"r": 100})

    async def ask() -> list[int]:
        async with httpx.AsyncClient(timeout=30) as client:
            answers = await asyncio.gather(*(client.get(url) for _ in range(20)))
        return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 20
    assert ground.runtime.instances("r") == 1


def test_a_launch_that_fails_is_a_503(ground: Ground) -> None:
    def launch() -> Launch:
        raise StartError("no secret")

    with pytest.raises(StartError, match="no secret"):
        ground.runtime.deploy(ground.spec(launch))
    ground.runtime.deploy(ground.spec(launch), check=False)
    url = ground.runtime.route("s", Route(ORIGIN), {"r": 100})
    answer = httpx.get(url)
    assert answer.status_code == 503
    assert "is not available yet" in answer.text


def test_a_bug_in_a_launch_ends_the_start(ground: Ground) -> None:
    def launch() -> Launch:
        raise KeyError("bug")

    with pytest.raises(StartError, match="bug"):
        ground.runtime.deploy(ground.spec(launch))


def test_a_revision_that_is_starting_can_be_retired(ground: Ground) -> None:
    def launch() -> Launch:
        return Launch(("sleep", "600"), ground.runtime.folder, dict(os.environ))

    failed: list[StartError] = []

    def deploy() -> None:
        try:
            ground.runtime.deploy(ground.spec(launch))
        except StartError as error:
            failed.append(error)

    thread = threading.Thread(target=deploy)
    thread.start()
    time.sleep(0.2)
    ground.runtime.retire("r")
    thread.join(5)
    assert failed


def test_an_address_is_kept(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    url = ground.runtime.route("s", Route(ORIGIN), {})
    assert httpx.get(url).status_code == 503
    ground.stop()
    ground = Ground(tmp_path)
    other = ground.runtime.route("t", Route(ORIGIN), {})
    assert ground.runtime.route("s", Route(ORIGIN), {}) == url != other
    ground.runtime.close_route("s")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)
    ground.stop()


def test_only_invokers_where_they_are_checked(ground: Ground) -> None:
    ground.runtime.deploy(ground.spec())
    route = Route(ORIGIN, may_invoke=lambda token: token == "Bearer good")
    url = ground.runtime.route("s", route, {"r": 100})
    assert httpx.get(url).status_code == 403
    assert httpx.get(url, headers={"Authorization": "Bearer good"}).status_code == 200


def test_a_malformed_request_is_a_400(ground: Ground) -> None:
    url = ground.runtime.route("s", Route(ORIGIN), {})
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
