"""The whole of it: the emulator killed and started again, and the real service on it."""

import sys
from pathlib import Path

import httpx
import pytest
from google.cloud import run_v2
from google.cloud.devtools import cloudbuild_v1

from tests.conftest import Bake
from tests.emulator.accounts import create_account
from tests.emulator.emulators import Emulator
from tests.emulator.running import (
    BY_REVISION,
    Run,
    alive,
    descendants,
    impatient,
    job_body,
    serving,
)
from tests.emulator.services import (
    REGION,
    archive,
    build_image,
    create_build,
    create_job,
    create_repository,
    docker_build,
    environment,
    eventually,
    grant,
    result,
    upload,
)
from tests.emulator.test_cloudsql import PASSWORD, Sql

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_nothing_outlives_a_killed_emulator_and_all_comes_back(
    own_emulator: Emulator, bare_project: str
) -> None:
    with impatient():
        own_emulator.start().enable_all(bare_project)
    run = Run(own_emulator, bare_project, build_image(own_emulator, bare_project))
    assert not Sql(own_emulator, bare_project).done(Sql(own_emulator, bare_project).insert()).error
    service = run.create("kept", revision="kept-a", scaling={"min_instance_count": 1})
    stubborn = run.create("stubborn", variables={"BEHAVIOUR": "stubborn"})
    changes = run_v2.Service(
        name=service.name,
        template=run.template(revision="kept-b", variables={"B": "1"}),
        traffic=[
            {"type_": BY_REVISION, "revision": "kept-a", "percent": 100},
            {"type_": BY_REVISION, "revision": "kept-b", "tag": "next"},
        ],
    )
    before = result(run.services.update_service(service=changes))
    job = result(
        create_job(
            run.jobs,
            parent=run.parent,
            job_id="work",
            job=job_body(run, SECONDS="600"),
        )
    )
    run.jobs.run_job(name=job.name)
    eventually(lambda: run.logs('jsonPayload.message="working"'))
    assert own_emulator.process is not None
    left = descendants(own_emulator.process.pid)
    assert len(left) >= 8
    own_emulator.kill()
    eventually(lambda: not any(alive(pid) for pid in left), 20)
    own_emulator.start()
    run = Run(own_emulator, bare_project, run.image)
    after = run.get("kept")
    assert after.uri == before.uri
    assert [one.uri for one in after.traffic_statuses] == [
        one.uri for one in before.traffic_statuses
    ]
    assert serving(before.uri) == "kept-a"
    assert serving(before.traffic_statuses[1].uri) == "kept-b"
    assert serving(stubborn.uri)
    execution = next(iter(run.executions.list_executions(parent=job.name)))
    assert not execution.reconciling
    assert execution.failed_count == 1
    left = descendants(own_emulator.process.pid)
    assert own_emulator.stop() == 0
    assert not any(alive(pid) for pid in left)


def test_the_template_is_built_migrated_and_served(
    emulator: Emulator, project: str, baked: Bake
) -> None:
    folder = baked(service="orders").folder
    names = ("pyproject.toml", "uv.lock", "README.md", ".dockerignore")
    paths = [folder / name for name in names]
    paths += [one for top in ("src", "db", "ci") for one in (folder / top).rglob("*")]
    files = {
        str(path.relative_to(folder)): path.read_text()
        for path in paths
        if path.is_file() and path.suffix != ".pyc"
    }
    registry = create_repository(emulator, project, "orders")
    builds = cloudbuild_v1.CloudBuildClient(**emulator.arguments("cloudbuild"))
    steps = [
        docker_build(
            f"{registry}/orders:dependencies", "--target=dependencies", file="ci/Dockerfile"
        ),
        docker_build(f"{registry}/orders:one", file="ci/Dockerfile"),
    ]
    build = result(
        create_build(
            builds,
            parent=f"projects/{project}/locations/{REGION}",
            build={
                "source": upload(emulator, project, archive(files)),
                "steps": steps,
                "images": [f"{registry}/orders:one"],
            },
        )
    )
    run = Run(emulator, project, f"{registry}/orders@{build.results.images[0].digest}")
    sql = Sql(emulator, project)
    sql.create()
    account = create_account(emulator, project, "orders-run")
    grant(emulator, project, "roles/cloudsql.client", f"serviceAccount:{account}")
    connection = f"{project}:europe-west1:db"
    more = {
        "service_account": account,
        "volumes": [{"name": "cloudsql", "cloud_sql_instance": {"instances": [connection]}}],
    }
    variables = {
        "DATABASE__HOST": f"/cloudsql/{connection}",
        "DATABASE__NAME": "orders",
        "DATABASE__USER": "orders",
        "DATABASE__PASSWORD": PASSWORD,
    }
    container = {
        "image": run.image,
        "command": ["alembic"],
        "args": ["-c", "db/alembic.ini", "upgrade", "head"],
        "env": environment(**variables),
    }
    task = {"containers": [container], **more}
    job = result(
        create_job(
            run.jobs, parent=run.parent, job_id="migrate", job={"template": {"template": task}}
        )
    )
    assert result(run.jobs.run_job(name=job.name)).succeeded_count == 1
    probe = {"http_get": {"path": "/health"}, "period_seconds": 3, "failure_threshold": 40}
    service = run.create("orders", container={"startup_probe": probe}, variables=variables, **more)
    made = httpx.post(f"{service.uri}/items/", json={"name": "kept"}, timeout=30)
    assert made.status_code == 201
    found = httpx.get(f"{service.uri}/items/{made.json()['data']['id']}")
    assert found.json()["data"]["name"] == "kept"
