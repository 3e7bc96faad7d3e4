"""Jobs and their executions, through Cloud Run's own client."""

import sys
from collections.abc import Callable, Iterator

import pytest
from google.api_core import exceptions
from google.cloud import run_v2

from tests.emulator.running import (
    FAILED,
    SUCCEEDED,
    Run,
    job_body,
    local_cloud,
)
from tests.emulator.services import (
    create_job,
    environment,
    eventually,
    failure,
    result,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of a process group")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with local_cloud(tmp_path_factory.mktemp("run")) as run:
        yield run


@pytest.fixture
def make_job(run: Run) -> Callable[..., run_v2.Job]:
    def make(name: str, *arguments: str, **variables: str) -> run_v2.Job:
        body = job_body(run, *arguments, **variables)
        made: run_v2.Job = result(create_job(run.jobs, parent=run.parent, job_id=name, job=body))
        return made

    return make


def test_a_job_runs_with_overrides(run: Run, make_job: Callable[..., run_v2.Job]) -> None:
    job = make_job("overridden", "usual", EXTRA="usual")
    assert job.terminal_condition.state == SUCCEEDED
    assert job.template.template.timeout.seconds == 600
    usual = result(run.jobs.run_job(name=job.name))
    assert usual.succeeded_count == 1
    override = {"args": ["special"], "env": environment(EXTRA="special")}
    overrides = {"container_overrides": [override], "task_count": 2}
    request = {"name": job.name, "overrides": overrides}
    special = result(run.jobs.run_job(request=request))
    assert special.succeeded_count == special.task_count == 2
    found = [
        (one["jsonPayload"]["index"], one["jsonPayload"]["arguments"], one["jsonPayload"]["extra"])
        for one in run.logs('resource.type="cloud_run_job" AND resource.labels.job_name=overridden')
        if "jsonPayload" in one
    ]
    assert found[0] == ("0", ["usual"], "usual")
    assert sorted(found[1:]) == [("0", ["special"], "special"), ("1", ["special"], "special")]
    again = run.jobs.get_job(name=job.name)
    assert again.execution_count == 2
    assert again.latest_created_execution.name == special.name.rpartition("/")[2]
    executions = list(run.executions.list_executions(parent=job.name))
    assert [one.name for one in executions] == [special.name, usual.name]
    tasks = list(run.tasks.list_tasks(parent=special.name))
    assert [(task.index, task.last_attempt_result.exit_code) for task in tasks] == [(0, 0), (1, 0)]


def test_a_failing_task_is_tried_again(run: Run, make_job: Callable[..., run_v2.Job]) -> None:
    once = make_job("once", FAIL="0")
    done = result(run.jobs.run_job(name=once.name))
    assert (done.succeeded_count, done.retried_count) == (1, 1)
    always = make_job("always", "always")
    error = failure(run.jobs.run_job(name=always.name))
    assert "-task0 failed with message: The container exited with an error." in str(error)
    execution = next(iter(run.executions.list_executions(parent=always.name)))
    completed = execution.conditions[0]
    assert (completed.type_, completed.state) == ("Completed", FAILED)
    assert completed.execution_reason == run_v2.Condition.ExecutionReason.NON_ZERO_EXIT_CODE
    task = next(iter(run.tasks.list_tasks(parent=execution.name)))
    assert task.last_attempt_result.exit_code == 7


def test_an_execution_is_cancelled(run: Run, make_job: Callable[..., run_v2.Job]) -> None:
    job = make_job("cancelled", SECONDS="600")
    operation = run.jobs.run_job(name=job.name)
    name = operation.metadata.name
    eventually(
        lambda: run.logs('resource.labels.job_name="cancelled" AND jsonPayload.message="working"')
    )
    assert run.executions.get_execution(name=name).running_count == 1
    cancelled = result(run.executions.cancel_execution(name=name))
    assert cancelled.cancelled_count == 1
    assert failure(operation) is not None
    with pytest.raises(exceptions.BadRequest):
        run.executions.cancel_execution(name=name)
    result(run.jobs.delete_job(name=job.name))
    with pytest.raises(exceptions.NotFound):
        run.executions.get_execution(name=name)


def test_a_job_of_an_image_that_is_not_there_is_not_ready(run: Run) -> None:
    body = job_body(run)
    body["template"]["template"]["containers"][0]["image"] = "no/such:image"
    operation = create_job(run.jobs, parent=run.parent, job_id="imageless", job=body)
    assert "Image 'no/such:image' not found." in str(failure(operation))
    with pytest.raises(exceptions.BadRequest, match="not ready"):
        run.jobs.run_job(name=f"{run.parent}/jobs/imageless")
