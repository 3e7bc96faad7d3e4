"""`invoke dev`: database, migrations and server come up together and go together."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from infra.emulator.postgres import Server
from infra.project import find_uv
from tests.conftest import Bake
from tests.end_to_end.processes import free_port, interrupt, listens, running, wait_for
from tests.template.bakes import Baked

IS_SUPERUSER = """
import asyncio
from sqlalchemy import text
from src.dependencies.config import get_config
from src.dependencies.database import create_engine
async def ask():
    async with create_engine(get_config().database).connect() as connection:
        print((await connection.execute(text("SHOW is_superuser"))).scalar_one())
asyncio.run(ask())
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


@pytest.fixture
def move() -> Iterator[Callable[[Baked], Baked]]:
    """Puts a copy of a service where an unprivileged PostgreSQL may go: pytest's own folders are
    closed to it, and the data would be in a lasting place outside of them."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)

        def copy(service: Baked) -> Baked:
            moved = folder / service.folder.name
            shutil.copytree(service.folder, moved)
            return Baked(moved, service.variables)

        yield copy


@pytest.fixture
def fresh(baked: Bake, move: Callable[[Baked], Baked]) -> Baked:
    """A service that no other test uses."""
    return move(baked())


def ports() -> dict[str, str]:
    """Free ones for the server and the database."""
    return {"PORT": str(free_port()), "DATABASE__PORT": str(free_port())}


def test_it_serves_until_interrupted_and_keeps_its_data(fresh: Baked) -> None:
    chosen = ports()
    url = f"http://127.0.0.1:{chosen['PORT']}"
    variables = {**fresh.variables, **chosen}
    dev = [find_uv(), "run", "invoke", "dev"]
    with running(dev, fresh.folder, variables) as process:
        wait_for(f"{url}/health", process)
        assert httpx.post(f"{url}/items/", json={"name": "kept"}).status_code == 201
        # By hand, from the folder of the migrations, as the README says.
        current = fresh.run("--directory", "db", "alembic", "current", **chosen)
        assert "0002 (head)" in current.stdout
        # Its password is no secret, and a superuser's would be a way into this account.
        answer = fresh.run("python", "-c", IS_SUPERUSER, **chosen)
        assert answer.stdout == "off\n"
        status, output = interrupt(process)
    assert status == 0, output
    assert "PostgreSQL" in output
    assert not listens(int(chosen["PORT"]))
    assert not listens(int(chosen["DATABASE__PORT"]))
    with running(dev, fresh.folder, variables) as process:
        wait_for(f"{url}/health", process)
        items = httpx.get(f"{url}/items/").json()["data"]
        assert [item["name"] for item in items] == ["kept"]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert not listens(int(chosen["PORT"]))
    assert not listens(int(chosen["DATABASE__PORT"]))


def test_a_port_of_another_server_is_left_alone(fresh: Baked) -> None:
    with Server(password="of somebody else", durable=False) as other:
        (fresh.folder / ".env").write_text(f"DATABASE__PORT={other.port}\n")
        url = f"http://127.0.0.1:{(port := free_port())}"
        variables = {**fresh.variables, "PORT": str(port)}
        command = [find_uv(), "run", "invoke", "dev"]
        with running(command, fresh.folder, variables) as process:
            wait_for(f"{url}/health", process)
            status, output = interrupt(process)
        assert status == 0, output
        assert f"Port {other.port} of this machine is another server's" in output
        chosen = (fresh.folder / ".env").read_text().split("DATABASE__PORT=")[-1].strip()
        assert f"is {chosen}: see DATABASE__PORT in .env" in output
        assert other.psql("SELECT count(*) FROM pg_database WHERE datname = 'orders'") == "0"


def test_a_wrong_setting_is_said_and_nothing_starts(baked: Bake) -> None:
    done = baked().run("invoke", "dev", DATABASE__PORT="many")
    assert done.returncode == 2
    assert "config: database.port = 'many'" in done.stdout
    assert "Traceback" not in done.stdout


def test_another_environment_is_not_touched(baked: Bake) -> None:
    done = baked().run("invoke", "dev", ENVIRONMENT="prd", DATABASE__PASSWORD="x")
    assert done.returncode == 2
    assert "the environment is prd, and this migrates and serves local only" in done.stdout


def test_a_port_that_the_environment_names_stays_where_it_is(baked: Bake) -> None:
    service = baked()
    with Server(password="of somebody else", durable=False) as other:
        port = str(other.port)
        done = service.run("invoke", "dev", DATABASE__PORT=port)
    assert done.returncode == 2
    assert f"port {port} of this machine is another server's" in done.stdout
    assert "set DATABASE__PORT to another" in done.stdout
    assert not (service.folder / ".env").exists()


def test_a_server_s_port_that_is_taken_is_named(baked: Bake) -> None:
    with Server(password="has the port", durable=False) as other:
        port = str(other.port)
        done = baked().run("invoke", "dev", PORT=port, DATABASE__PORT=str(free_port()))
    assert done.returncode == 2
    assert f"port {port} is taken: set PORT to another" in done.stdout


def test_a_folder_that_is_no_service_is_said(tmp_path: Path, baked: Bake) -> None:
    done = baked().run("invoke", "dev", "--service", os.fspath(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path} is no project" in done.stdout
