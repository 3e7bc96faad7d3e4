"""Who may call the emulator: this user's programs on this machine, and no web page."""

import json
import os
import socket
import stat
import subprocess
import sys
from http.client import HTTPConnection

import pytest

from infra.emulator import guard, owners
from infra.emulator.runtime.hosts import is_local
from tests.emulator.emulators import Emulator
from tests.emulator.postgres.machine import NOBODY, only_root

JOURNAL = "/emulator/journal"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:8080"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": "localhost.attacker.example"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_web_page_is_refused_and_changes_nothing(
    emulator: Emulator, headers: dict[str, str]
) -> None:
    http = emulator.http()
    emulator.forget()
    body = json.dumps({"name": "made-by-a-page"})
    # A form's or a simple request's content type, which a browser sends without asking first.
    answer = http.post(
        "/storage/storage/v1/b?project=local-project",
        content=body,
        headers={"Content-Type": "text/plain", **headers},
    )
    assert answer.status_code == 403
    assert answer.json()["error"]["status"] == "PERMISSION_DENIED"
    assert http.get("/", headers=headers).status_code == 403
    assert not any(call["path"].endswith("/b") for call in emulator.calls())


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "emulator.localhost"])
def test_names_of_this_machine_are_answered(emulator: Emulator, name: str) -> None:
    port = emulator.host.rpartition(":")[2]
    for headers in ({}, {"Origin": f"http://{name}:{port}"}, {"Sec-Fetch-Site": "same-origin"}):
        answer = emulator.http().get("/", headers={"Host": f"{name}:{port}", **headers})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:8080", True),
        ("192.168.1.7", True),
        ("host.docker.internal:80", True),
        ("localhost.", True),
        ("", False),
        ("example.com", False),
        ("notlocalhost", False),
        ("127.0.0.1@example.com", False),
        ("1.2.3.4.example.com:80", False),
    ],
)
def test_a_name_somebody_could_register_is_not_local(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_a_body_that_says_it_is_too_large_is_not_read(emulator: Emulator) -> None:
    connection = HTTPConnection(emulator.host, timeout=20)
    connection.putrequest("POST", "/secretmanager/v1/projects/p/secrets")
    connection.putheader("Content-Length", str(guard.LARGEST + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["error"]["code"] == 413


def test_a_body_that_does_not_end_is_cut_off(emulator: Emulator) -> None:
    host, _, port = emulator.host.partition(":")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(
            b"POST /secretmanager/v1/projects/p/secrets HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        # The emulator may have closed the connection already.
        try:
            for _ in range(guard.LARGEST // 0x100000 + 1):
                client.sendall(chunk)
            said = client.recv(4096)
        except ConnectionError:
            said = b""
    assert said == b"" or said.startswith(b"HTTP/1.1 413 ")
    assert emulator.http().get("/").status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a connection is")
@pytest.mark.parametrize("look", ["asked", "looked up"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_a_connection_has_its_owner_until_it_is_given_up(look: str, host: str) -> None:
    ask = owners._ask if look == "asked" else owners._look_up
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection((host, port))
        accepted, end = listener.accept()
        with accepted:
            assert ask(end, ("127.0.0.1", port)) == owners.Owner(os.geteuid(), there=True)
            # The same ports, from another address of this machine.
            other = ("127.0.0.2", end[1])
            assert ask(other, ("127.0.0.1", port)) in (None, owners.Owner(0, there=False))
            client.close()
            found = owners.owner(end, ("127.0.0.1", port))
            assert found is not None
            assert not found.there


ASK = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""
GIVE_UP = """
import socket, struct, sys
host, _, port = sys.argv[1].removeprefix("http://").partition(":")
client = socket.create_connection((host, int(port)))
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
client.sendall(b"DELETE /emulator/journal HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
client.close()
"""


@only_root
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says whose a connection is")
def test_another_user_of_the_machine_is_refused(own_emulator: Emulator) -> None:
    own_emulator.start()

    def as_nobody(program: str) -> str:
        # Not this Python, which may be where nobody can go.
        command = ["/usr/bin/python3", "-I", "-c", program, f"http://{own_emulator.host}"]
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            env={},
        )
        return done.stdout

    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("no Python that nobody can run")
    own_emulator.http().get("/secretmanager/v1/projects/p/secrets")
    assert "another user" in as_nobody(ASK)
    for _ in range(5):
        as_nobody(GIVE_UP)
    assert own_emulator.calls()
    own_emulator.stop()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOUD_EMULATOR_ANY_USER", "1")
        own_emulator.start()
    assert as_nobody(ASK).strip() == "200"


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_nobody_else_can_read_what_the_emulator_keeps(own_emulator: Emulator) -> None:
    folder = own_emulator.folder
    # As an earlier version left them.
    for path in (folder, folder / "blobs"):
        path.mkdir(0o755)
        path.chmod(0o755)
    (folder / "emulator.log").touch(0o644)
    own_emulator.start()
    own_emulator.enable_all("local-project")
    assert not stat.S_IMODE(folder.stat().st_mode) & 0o066
    for name in ("blobs", "builds", "home", "images"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700, name
    files = [path for path in folder.glob("world.sqlite*")]
    assert len(files) == 3
    for path in (*files, folder / "emulator.log"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.mark.skipif(sys.platform == "win32", reason="modes of POSIX")
def test_a_folder_that_is_not_ours_keeps_its_mode(own_emulator: Emulator) -> None:
    folder = own_emulator.folder
    folder.mkdir(0o755)
    folder.chmod(0o755)
    (folder / "somebody's").touch(0o644)
    own_emulator.start()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "somebody's").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "world.sqlite").stat().st_mode) == 0o600
