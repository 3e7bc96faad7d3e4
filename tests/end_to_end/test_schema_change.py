"""A column goes, in two releases, while somebody uses it, blocks it and pulls the plug."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest

from infra.cloud import Cloud
from infra.environment import load
from infra.project import Project, find_uv
from infra.release import migrate, schema
from infra.release.history import Release, find
from infra.tasks.opening import Opened
from infra.tasks.releasing import work_on
from tests.conftest import Bake
from tests.end_to_end.clouds import LocalCloud, url_of
from tests.end_to_end.terminal import Terminal
from tests.template.bakes import REPOSITORY, Baked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")

NAME = "changing"
MIGRATION = "db/versions/20260201_0000_forget_the_description.py"
DROP = 'op.drop_column("items", "description")'
INDEX = 'op.create_index("by_description", "items", ["description"])'
SLEEP = 'op.execute("SELECT pg_sleep(3)")'
CONNECT = """
import asyncio, asyncpg, sys
async def connect(port, password):
    return await asyncpg.connect(host="127.0.0.1", port=int(port), user="changing",
        password=password, database="changing", server_settings={"application_name": "a report"})
"""
# Holds the table until its input ends.
HOLD = """
async def main():
    connection = await connect(*sys.argv[1:])
    async with connection.transaction():
        await connection.execute("LOCK TABLE items IN SHARE MODE")
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""
# Ends every connection of a migration, once it is in the middle of it.
PULL = """
async def main():
    connection = await connect(*sys.argv[1:])
    print("ready", flush=True)
    while not await connection.fetchval("SELECT count(*) FROM pg_stat_activity "
            "WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"):
        await asyncio.sleep(0.05)
    await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE '%migrate'")
asyncio.run(main())
"""


@dataclass(frozen=True)
class Story:
    """A service whose schema changes."""

    service: Baked
    cloud: LocalCloud

    def write(self, *lines: str, more: str = "") -> None:
        """Writes the migration that comes after what the template has."""
        code = "\n    ".join(lines)
        (self.service.folder / MIGRATION).write_text(
            '"""forget the description"""\n\nfrom alembic import op\n\n'
            f'revision = "0003"\ndown_revision = "0002"\n{more}\n\n'
            f"def upgrade() -> None:\n    {code}\n\n\n"
            "def downgrade() -> None:\n"
            '    op.execute("ALTER TABLE items ADD COLUMN description VARCHAR(1000)")\n'
        )

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces text in a file of the service."""
        file = self.service.folder / path
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new), "utf-8")

    def fails(self, *words: str) -> str:
        """A command that must fail, leaving what serves alone. Returns what it said."""
        before = self.serving
        done = self.cloud.run(self.service, *words)
        assert done.returncode == 1, done.stdout
        assert self.serving == before
        return done.stdout

    @property
    def opened(self) -> Opened:
        """The service in its environment."""
        environment = load(self.service.folder, "local")
        cloud = Cloud(environment, self.cloud.host)
        return Opened(Project(self.service.folder), environment, cloud)

    @property
    def schema(self) -> str | None:
        """Where the database is, as the job has it noted."""
        return migrate.current(work_on(self.opened))

    @property
    def releases(self) -> list[Release]:
        """The newest first."""
        return find(work_on(self.opened))

    @property
    def serving(self) -> str:
        """The revision that has all the traffic."""
        (only,) = [each.revision for each in self.releases if each.percent == 100]
        return only

    @contextmanager
    def beside(self, program: str, ready: str) -> Iterator[None]:
        """Somebody else in the database, for the length of the block."""
        names = self.opened.cloud.names
        version = f"{names.secret(names.password_secret)}/versions/latest"
        payload = self.opened.cloud.secrets.access_secret_version(name=version).payload.data
        pid_file = next(self.cloud.state.glob("sql/*/*/data/postmaster.pid"))
        port = pid_file.read_text().splitlines()[3]
        python = [find_uv(), "run", "--quiet", "python", "-c", CONNECT + program]
        with subprocess.Popen(
            [*python, port, payload.decode()],
            cwd=self.service.folder,
            env=dict(self.service.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == ready
            yield
            process.communicate(timeout=60)
        assert process.returncode == 0


@pytest.mark.long
def test_a_column_goes_in_two_releases(baked: Bake, cloud: LocalCloud) -> None:
    story = Story(baked(service=NAME), cloud)
    environment = story.service.folder / "environments/local.yaml"
    settings = 'config:\n  MIGRATIONS__LOCK_SECONDS: "0.5"\n  MIGRATIONS__ATTEMPTS: "2"\n'
    environment.write_text(f"{environment.read_text('utf-8')}\n{settings}")
    cloud.passes(story.service, "provision")
    first = cloud.passes(story.service, "deploy")
    assert "pending: 0002 (add item), expand" in first
    assert "applied 0002: add item" in first
    url = url_of(first)
    assert story.schema == "0002"
    (released,) = story.releases
    columns = schema.columns_of(released.record)
    assert released.record.schema == "0002"
    assert columns is not None
    assert columns["items"]["description"] == "VARCHAR(1000)?"

    refuse_before_the_build(story)
    release_what_no_longer_uses_it(story)
    drop_it_against_all_odds(story, url)
    look_back(story, released)


def refuse_before_the_build(story: Story) -> None:
    """What harms, and what a revision that serves relies on, costs no build."""
    story.write(INDEX)
    refused = story.fails("deploy")
    assert "require-concurrent-index-creation, in 0003" in refused
    assert "CREATE INDEX by_description ON items (description)" in refused
    assert "build the image" not in refused
    assert "upload" not in refused

    story.write(DROP)
    refused = story.fails("deploy")
    assert f"{MIGRATION}: 0003" in refused
    assert story.serving in refused
    assert "it uses items.description" in refused
    assert "build the image" not in refused

    printed = story.cloud.passes(story.service, "migrate", "--sql")
    assert printed.startswith("BEGIN;")
    assert "ALTER TABLE items DROP COLUMN description;" in printed
    assert "CREATE TABLE" not in printed
    assert story.schema == "0002"


def release_what_no_longer_uses_it(story: Story) -> None:
    """The first of the two: the code goes without it, and the migration waits."""
    (story.service.folder / MIGRATION).unlink()
    line = "    description: Text | None = Field(default=None, max_length=1000)\n"
    story.edit("src/models/item_model.py", line, "")
    story.edit("db/alembic.ini", "leaving =\n", "leaving = items.description\n")
    assert "pending" not in story.cloud.passes(story.service, "deploy")
    columns = schema.columns_of(story.releases[0].record)
    assert columns is not None
    assert "description" not in columns["items"]


def drop_it_against_all_odds(story: Story, url: str) -> None:
    """The second: first somebody holds the table, then the database goes away in the middle."""
    story.edit("db/alembic.ini", "leaving = items.description\n", "leaving =\n")
    story.write(DROP, SLEEP)
    with story.beside(HOLD, "held"):
        blocked = story.fails("deploy")
        assert httpx.get(f"{url}/items/", timeout=60).status_code == 200
    assert "pending: 0003 (forget the description), contract" in blocked
    assert "a lock was not to be had in 2 attempts of 0.5 s each" in blocked
    assert re.search(r"pid \d+ \(a report, user changing\), idle in transaction", blocked)
    assert "query: LOCK TABLE items IN SHARE MODE" in blocked
    assert "The service was not touched" in blocked
    assert story.schema == "0002"

    with story.beside(PULL, "ready"):
        lost = story.fails("deploy")
    assert "is built already" in lost
    assert "the connection to the database was lost in the middle of a migration" in lost
    assert httpx.get(f"{url}/items/", timeout=60).status_code == 200

    undo_and_redo(story)
    done = story.cloud.passes(story.service, "deploy")
    assert "is built already" in done
    assert "applied 0003: forget the description" in done
    assert story.schema == story.releases[0].record.schema == "0003"
    assert httpx.post(f"{url}/items/", json={"name": "kept"}, timeout=60).status_code == 201


def undo_and_redo(story: Story) -> None:
    """The next run finishes; while nobody needs it yet, it can be undone, when somebody says so."""
    ran = story.cloud.passes(story.service, "migrate")
    assert re.search(r"before +0002\n +pending +0003\n +ran +0003\n +after +0003\n", ran), ran
    asked = story.cloud.run(story.service, "migrate", "--downgrade", "0002")
    assert asked.returncode == 2
    assert "0003 (forget the description)" in asked.stdout
    assert "there is no terminal to ask at; say --yes" in asked.stdout
    assert story.schema == "0003"
    undo = story.cloud.command(story.service, "migrate", "--downgrade", "-1")
    with Terminal(undo, REPOSITORY, story.cloud.variables) as terminal:
        terminal.wait_for("Type yes to go on:")
        terminal.type("yes\n")
        status, seen = terminal.end()
    assert status == 0, seen
    assert "undone 0003" in seen
    assert story.schema == "0002"


def look_back(story: Story, first: Release) -> None:
    """Who can still run on it, and how it is undone."""
    folder = story.service.folder
    (between,) = schema.stands_between(folder, story.schema, first.record)
    assert str(between) == "0003 (forget the description)"
    assert schema.stands_between(folder, story.schema, story.releases[1].record) == []

    serving = story.serving
    back = story.cloud.run(story.service, "rollback", "--to", first.revision)
    assert back.returncode == 1
    assert f"{first.revision} can't run on the database, which is at 0003" in back.stdout
    assert ": 0003 (forget the description)" in back.stdout
    assert story.serving == serving

    refused = story.cloud.run(story.service, "migrate", "--downgrade", "0002", "--yes")
    assert refused.returncode == 2
    assert f"{story.serving} serves, and needs 0003" in refused.stdout
