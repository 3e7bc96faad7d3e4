"""A service on the local cloud, by the commands its developers use: from nothing to gone."""

import re
import subprocess
import sys
from threading import Thread

import httpx
import pytest

from infra.emulator.postgres import Server
from infra.tasks import local_cloud
from tests.conftest import Bake
from tests.end_to_end.clouds import LocalCloud, counts, url_of
from tests.end_to_end.processes import listens, running
from tests.template.bakes import REPOSITORY, Baked


def add_a_column(service: Baked) -> None:
    """Gives items a price, and writes the migration as a developer does."""
    model = service.folder / "src/models/item_model.py"
    description = "    description: Text | None = Field(default=None, max_length=1000)\n"
    price = "    price: int | None = Field(default=None, ge=0)\n"
    model.write_text(model.read_text().replace(description, description + price))
    with Server(password="for migrations", durable=False) as server:
        name = "autogenerate"
        server.create_database(name)
        variables = {
            "DATABASE__HOST": server.host,
            "DATABASE__PORT": str(server.port),
            "DATABASE__USER": server.user,
            "DATABASE__PASSWORD": server.password,
            "DATABASE__NAME": name,
        }
        alembic = ("alembic", "-c", "db/alembic.ini")
        service.passes(*alembic, "upgrade", "head", **variables)
        revision = ("revision", "--autogenerate", "-m", "add a price")
        service.passes(*alembic, *revision, **variables)


@pytest.mark.long
def test_from_nothing_to_a_service_and_to_nothing(baked: Bake, cloud: LocalCloud) -> None:
    service = baked(service="cloud-story")
    made = counts(cloud.passes(service, "provision"))
    assert made["changed"] > 0
    assert made["failed"] == 0

    cloud.writes()
    again = cloud.passes(service, "provision")
    assert cloud.writes() == []
    assert counts(again)["changed"] == 0
    assert counts(again)["ok"] == made["ok"] + made["changed"]

    nothing = cloud.run(service, "migrate")
    assert nothing.returncode == 1
    assert "nothing was deployed yet" in nothing.stdout

    url = url_of(cloud.passes(service, "deploy"))
    created = httpx.post(f"{url}/items/", json={"name": "kept"}, timeout=60)
    assert created.status_code == 201, created.text
    path = f"/items/{created.json()['data']['id']}"
    assert httpx.get(url + path).json()["data"]["name"] == "kept"

    # What is deployed is each release's, and never provision's.
    assert counts(cloud.passes(service, "provision"))["changed"] == 0
    assert httpx.get(url + path).status_code == 200

    add_a_column(service)
    printed = cloud.passes(service, "deploy")
    assert url_of(printed) == url
    item = httpx.get(url + path, timeout=60).json()["data"]
    assert (item["name"], item["price"]) == ("kept", None)
    assert httpx.patch(url + path, json={"price": 5}).json()["data"]["name"] == "kept"

    back_and_forth(service, cloud)
    break_and_mend(service, cloud, url, path)
    outlive_a_restart(cloud, url, path)

    refuse_and_destroy(service, cloud, url + path)
    assert not listens(int(url.rpartition(":")[2]))
    # The project's APIs stay: others may use them.
    due = counts(cloud.passes(service, "provision", "--check"))
    assert due["changed"] == made["changed"] - 1


def back_and_forth(service: Baked, cloud: LocalCloud) -> None:
    """`invoke migrate`, on what is there already, and on what isn't."""
    head = cloud.passes(service, "migrate")
    assert "migrate to head" in head
    assert re.search(r"pending +none\n +ran +none\n", head), head
    assert "Container called" not in head
    unknown = cloud.run(service, "migrate", "--revision", "no-such-revision")
    assert unknown.returncode == 2
    assert "db/versions has no revision no-such-revision" in unknown.stdout
    assert "Traceback" not in unknown.stdout


def break_and_mend(service: Baked, cloud: LocalCloud, url: str, path: str) -> None:
    """A release that fails leaves what serves alone, and says why; the next one is well."""
    before = httpx.get(url + path).json()
    main = service.folder / "src/main.py"
    text = main.read_text()
    main.write_text(text + '\nraise RuntimeError("this can not start")\n')
    broken = cloud.run(service, "deploy")
    assert broken.returncode == 1, broken.stdout
    assert "this can not start" in broken.stdout
    assert "The traffic is where it was" in broken.stdout
    assert httpx.get(url + path).json() == before
    main.write_text(text)

    migration = next((service.folder / "db/versions").glob("*add_a_price*"))
    later = migration.with_name("29990101_0000_impossible.py")
    revision = re.search(r'^revision: str = "(\w+)"', migration.read_text(), re.MULTILINE)
    assert revision is not None
    later.write_text(
        "from alembic import op\n\n"
        f'revision = "impossible"\ndown_revision = "{revision[1]}"\n\n\n'
        'def upgrade() -> None:\n    op.execute("SELECT 1 / 0")\n'
    )
    broken = cloud.run(service, "deploy")
    assert broken.returncode == 1, broken.stdout
    assert "division by zero" in broken.stdout
    assert "The service was not touched" in broken.stdout
    assert httpx.get(url + path).json() == before
    later.unlink()
    assert "build the image" in cloud.passes(service, "deploy", "--rebuild")
    assert httpx.get(url + path, timeout=60).json() == before


def outlive_a_restart(cloud: LocalCloud, url: str, path: str) -> None:
    """A local cloud that was stopped has everything again when it is started."""
    before = httpx.get(url + path).json()
    local_cloud.stop(cloud.state)
    assert not listens(int(url.rpartition(":")[2]))
    assert cloud.host
    assert httpx.get(url + path, timeout=60).json() == before


def refuse_and_destroy(service: Baked, cloud: LocalCloud, served: str) -> None:
    """What is protected keeps everything from being deleted; then all of it goes."""
    local = service.folder / "environments/local.yaml"
    text = local.read_text()
    local.write_text(text + "\ndatabase:\n  deletion_protection: true\n")
    assert counts(cloud.passes(service, "provision"))["changed"] == 1
    refused = cloud.run(service, "destroy", "--yes")
    assert refused.returncode == 1, refused.stdout
    assert "deletion_protection: false" in refused.stdout
    assert httpx.get(served).status_code == 200
    local.write_text(text)
    assert counts(cloud.passes(service, "provision"))["changed"] == 1
    assert counts(cloud.passes(service, "destroy", "--yes"))["failed"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")
def test_a_provision_killed_half_way_is_finished_by_the_next(
    baked: Bake, cloud: LocalCloud
) -> None:
    service = baked(service="killed")
    assert cloud.host
    with running(cloud.command(service, "provision"), REPOSITORY, cloud.variables) as process:
        assert process.stdout is not None
        done = 0
        for line in process.stdout:
            done += "created" in line or "changed" in line
            if done == 3:
                break
        process.kill()
    assert done == 3
    # The dead run's lease is over after a minute.
    rest = counts(cloud.passes(service, "provision", "--lock-timeout", "120"))
    assert rest["failed"] == 0
    assert rest["changed"] > 0
    cloud.writes()
    assert counts(cloud.passes(service, "provision"))["changed"] == 0
    assert cloud.writes() == []


def test_two_services_live_side_by_side(baked: Bake, cloud: LocalCloud) -> None:
    services = [baked(service="side-one"), baked(service="side-two")]
    assert cloud.host
    urls: dict[str, str] = {}

    def bring_up(service: Baked) -> None:
        cloud.passes(service, "provision")
        urls[service.folder.name] = url_of(cloud.passes(service, "deploy"))

    threads = [Thread(target=bring_up, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(urls.values())) == 2, urls
    for name, url in urls.items():
        created = httpx.post(f"{url}/items/", json={"name": name}, timeout=60)
        assert created.status_code == 201, created.text
    for name, url in urls.items():
        items = httpx.get(f"{url}/items/").json()["data"]
        assert [item["name"] for item in items] == [name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("deploy", "--env", "nowhere"), "there is no environment 'nowhere'"),
        (("migrate", "--env", "nowhere"), "there is no environment 'nowhere'"),
        (("deploy", "--env", "stg"), "gcloud auth application-default login"),
    ],
)
def test_what_can_not_begin_is_said_and_nothing_starts(
    baked: Bake, cloud: LocalCloud, arguments: tuple[str, ...], said: str
) -> None:
    done = cloud.run(baked(), *arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert local_cloud.find_running(cloud.state) is None


def test_an_emulator_that_does_not_answer_is_said(baked: Bake, cloud: LocalCloud) -> None:
    nobody = LocalCloud(cloud.state)
    command = nobody.command(baked(), "deploy")
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**nobody.variables, local_cloud.HOST_VARIABLE: "127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "no emulator answers at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_was_not_provisioned_can_not_be_released(baked: Bake, cloud: LocalCloud) -> None:
    done = cloud.run(baked(), "deploy")
    assert done.returncode == 1, done.stdout
    assert "run invoke provision --env local first" in done.stdout
    assert not (cloud.state / "images").exists() or not any((cloud.state / "images").iterdir())
