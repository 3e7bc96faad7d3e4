"""The whole of it: the emulator killed and started again, with all that ran on it."""

import sys
from pathlib import Path

import pytest
from google.cloud import run_v2

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
    build_image,
    create_job,
    eventually,
    result,
)
from tests.emulator.test_cloudsql import Sql

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
