"""The image's commands as the image runs them: another user's, on file systems that cannot be
written, with no home and no folder for temporary files. Without Docker, so as root on Linux only.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import httpx
import pytest

from infra.emulator.postgres import Server
from tests.template.bakes import Baked
from tests.template.images import stages

USER = 10001
# Folders that only their owner may enter are replaced by open ones that hold what is needed.
OPEN = """
set -eu
mount -t tmpfs -o mode=755 none /mnt
"""
CLOSE = f"""
while read -r _ point _; do
    mount -o remount,bind,ro "$point" 2>/dev/null || :
done < /proc/self/mounts
exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs \\
    --inh-caps -all --bounding-set -all -- "$@"
"""
WRITABLE_ELSEWHERE = ("/", "/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108


def jail(*needed: Path) -> list[str]:
    """What to put before a command: it sees these folders, and can write none."""
    lines = [OPEN]
    for number, path in enumerate(needed):
        lines.append(f"mkdir /mnt/{number}; mount --bind {quote(path)} /mnt/{number}")
    closed = {
        next(iter(shut))
        for path in needed
        if (shut := [each for each in [*path.parents][::-1] if not each.stat().st_mode & 0o001])
    }
    lines += [f"mount -t tmpfs -o mode=755 none {quote(path)}" for path in sorted(closed)]
    for number, path in enumerate(needed):
        lines.append(f"mkdir -p {quote(path)}; mount --bind /mnt/{number} {quote(path)}")
    # From here on the folder is the one that is mounted there.
    lines += ['cd "$PWD"', CLOSE]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines), "jail"]


def quote(path: Path) -> str:
    """The path, for the shell."""
    return shlex.quote(str(path))


def works() -> bool:
    """Whether this machine lets us make file systems read-only for a process."""
    if not all(shutil.which(program) for program in ("unshare", "setpriv")) or os.geteuid() != 0:
        return False
    return subprocess.run([*jail(), "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not works(), reason="needs root and mount namespaces")


@pytest.fixture
def database() -> Iterator[Server]:
    server = Server(password=token_hex(), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def variables(service: Baked, database: Server) -> dict[str, str]:
    """What the image sets, and what Cloud Run and the environment file do."""
    (settings,) = stages(service.folder / "ci/Dockerfile")["image"].all("ENV")
    image = dict(word.split("=", 1) for word in shlex.split(settings))
    binaries = Path(service.variables["UV_PROJECT_ENVIRONMENT"], "bin")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return {
        **image,
        "PATH": f"{binaries}:{os.environ['PATH']}",
        "HOME": "/nonexistent",
        "PORT": port,
        "ENVIRONMENT": "prd",
        "DATABASE__HOST": database.host,
        "DATABASE__PORT": str(database.port),
        "DATABASE__NAME": "postgres",
        "DATABASE__USER": database.user,
        "DATABASE__PASSWORD": database.password,
    }


def test_it_migrates_and_serves_where_nothing_can_be_written(
    service: Baked, variables: dict[str, str]
) -> None:
    service.passes("true")  # installed
    prefix = jail(
        service.folder,
        Path(service.variables["UV_PROJECT_ENVIRONMENT"]),
        Path(sys.base_prefix).resolve(),
    )
    folders = [*WRITABLE_ELSEWHERE, str(service.folder)]
    script = 'for each; do [ ! -e "$each" ] || ! touch "$each/x" 2>/dev/null || exit 1; done; id -u'
    closed = subprocess.run(
        [*prefix, "sh", "-c", script, "sh", *folders],
        cwd=service.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert (closed.returncode, closed.stdout.strip()) == (0, str(USER)), closed.stdout

    migrated = subprocess.run(
        [*prefix, "alembic", "-c", "db/alembic.ini", "upgrade", "head"],
        cwd=service.folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stdout

    with subprocess.Popen(
        [*prefix, "app"],
        cwd=service.folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            log = ""
            for line in process.stdout:
                log += line
                if re.search(r"running on http", line):
                    break
            else:
                pytest.fail(log)
            url = f"http://127.0.0.1:{variables['PORT']}"
            assert httpx.get(f"{url}/health").status_code == 200
            made = httpx.post(f"{url}/items/", json={"name": "written"})
            assert made.status_code == 201
            found = httpx.get(f"{url}/items/{made.json()['data']['id']}")
            assert found.json()["data"]["name"] == "written"
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert re.search(rf"^Uid:\s+{USER}\s+{USER}\s+{USER}\s+{USER}$", status, re.M)
        finally:
            process.kill()
