"""Cloud Run v2: jobs, their executions and tasks."""

from google.cloud import run_v2
from google.longrunning import operations_pb2  # type: ignore[import-untyped]

from infra.emulator import errors, messages, operations, pages, policies
from infra.emulator.api import Api, Call
from infra.emulator.run import conditions, defaults, documents
from infra.emulator.run.jobs import Jobs
from infra.emulator.run.requests import apply, begin, check_etag, listed, operations_of, stamp

PACKAGE = "google.cloud.run_v2"

api = Api("run", prefix="/run")
api.part(Jobs)
api.client(PACKAGE, "Jobs", "Executions", "Tasks")

type Changes = Call[run_v2.CreateJobRequest] | Call[run_v2.UpdateJobRequest]


@api.method(PACKAGE, "Jobs", "CreateJob", permission="run.jobs.create")
def create_job(call: Call[run_v2.CreateJobRequest]) -> operations_pb2.Operation:
    """A new job; it does not run yet."""
    request = call.request
    defaults.check_id(request.job_id, "job_id")
    name = f"{request.parent}/jobs/{request.job_id}"
    if call.world.get(documents.JOBS, name) is not None:
        raise errors.already_exists(f"Resource '{request.job_id}' already exists.")
    return _create(call, name, request.job, validate_only=request.validate_only)


@api.method(PACKAGE, "Jobs", "GetJob", permission="run.jobs.get")
def get_job(call: Call[run_v2.GetJobRequest]) -> run_v2.Job:
    """One job."""
    return documents.get_job(call.world, call.request.name)


@api.method(PACKAGE, "Jobs", "ListJobs", permission="run.jobs.list")
def list_jobs(call: Call[run_v2.ListJobsRequest]) -> run_v2.ListJobsResponse:
    """The jobs of a region, or of all for the location `-`."""
    found = listed(call.world, documents.JOBS, run_v2.Job, f"{call.request.parent}/jobs/")
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return run_v2.ListJobsResponse(jobs=some, next_page_token=token)


@api.method(PACKAGE, "Jobs", "UpdateJob", permission="run.jobs.update")
def update_job(call: Call[run_v2.UpdateJobRequest]) -> operations_pb2.Operation:
    """Replaces what a job's owner decides on."""
    request = call.request
    name = request.job.name
    if call.world.get(documents.JOBS, name) is None and request.allow_missing:
        call.require("run.jobs.create", name.rpartition("/jobs/")[0])
        defaults.check_id(name.rpartition("/")[2], "job.name")
        return _create(call, name, request.job, validate_only=request.validate_only)
    with call.world.transaction():
        job = documents.get_job(call.world, name)
        check_etag(request.job.etag, job.etag, name)
        apply(job, request.job)
        _check(call, job)
        stamp(call, job, job.generation + 1)
        if not request.validate_only:
            documents.put_job(call.world, job)
    return _start(call, job, validate_only=request.validate_only)


@api.method(PACKAGE, "Jobs", "DeleteJob", permission="run.jobs.delete")
def delete_job(call: Call[run_v2.DeleteJobRequest]) -> operations_pb2.Operation:
    """Ends a job with its executions."""
    prefix = operations_of(call.request.name)
    with call.world.transaction():
        job = documents.get_job(call.world, call.request.name)
        check_etag(call.request.etag, job.etag, job.name)
        if call.request.validate_only:
            return operations.finished(call.world, prefix, job, job)
        before = run_v2.Job(messages.to_pb(job))
        job.delete_time = job.expire_time = call.world.now()
        job.reconciling = True
        documents.put_job(call.world, job)

    def work() -> run_v2.Job:
        call.cloud.part(Jobs).remove(job.name)
        job.reconciling = False
        return job

    def spoil(_: errors.GoogleError) -> None:
        documents.put_job(call.world, before)

    return operations.start(call.world, prefix, job, run_v2.Job, work, spoil=spoil)


@api.method(PACKAGE, "Jobs", "RunJob", permission="run.jobs.run")
def run_job(call: Call[run_v2.RunJobRequest]) -> operations_pb2.Operation:
    """Runs a job; the operation is done when the execution is."""
    request = call.request
    job = documents.get_job(call.world, request.name)
    check_etag(request.etag, job.etag, job.name)
    if "overrides" in request:
        call.require("run.jobs.runWithOverrides", job.name)
        if len(request.overrides.container_overrides) > 1:
            raise errors.unimplemented("overrides of more than one container")
    if job.terminal_condition.state == conditions.FAILED:
        raise errors.precondition(
            f"Job '{job.name.rpartition('/')[2]}' is not ready: {job.terminal_condition.message}"
        )
    part = call.cloud.part(Jobs)
    prefix = operations_of(job.name)
    if request.validate_only:
        return operations.finished(call.world, prefix, run_v2.Execution(), run_v2.Execution())
    job.last_modifier = call.caller.email
    execution = part.begin(job, request.overrides)
    return operations.start(
        call.world,
        prefix,
        execution,
        run_v2.Execution,
        lambda: part.carry_out(execution),
        spoil=lambda error: part.spoil_execution(execution, error),
    )


policies.serve(api, PACKAGE, "Jobs", "run.jobs", documents.get_job)


@api.method(PACKAGE, "Executions", "GetExecution", permission="run.executions.get")
def get_execution(call: Call[run_v2.GetExecutionRequest]) -> run_v2.Execution:
    """One execution."""
    return documents.get_execution(call.world, call.request.name)


@api.method(PACKAGE, "Executions", "ListExecutions", permission="run.executions.list")
def list_executions(call: Call[run_v2.ListExecutionsRequest]) -> run_v2.ListExecutionsResponse:
    """A job's executions, the newest first; of all jobs for `jobs/-`."""
    found = listed(
        call.world, documents.EXECUTIONS, run_v2.Execution, f"{call.request.parent}/executions/"
    )
    found.sort(key=lambda one: one.create_time, reverse=True)
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return run_v2.ListExecutionsResponse(executions=some, next_page_token=token)


@api.method(PACKAGE, "Executions", "CancelExecution", permission="run.executions.cancel")
def cancel_execution(call: Call[run_v2.CancelExecutionRequest]) -> operations_pb2.Operation:
    """Ends an execution that runs; the operation is done when it has ended."""
    execution = documents.get_execution(call.world, call.request.name)
    check_etag(call.request.etag, execution.etag, execution.name)
    prefix = operations_of(execution.name)
    if not execution.reconciling:
        raise errors.precondition("The execution is not running.")
    if call.request.validate_only:
        return operations.finished(call.world, prefix, execution, execution)
    part = call.cloud.part(Jobs)

    def work() -> run_v2.Execution:
        part.cancel(execution.name)
        while (now := documents.get_execution(call.world, execution.name)).reconciling:
            if not call.world.pause(0.05):
                break
        return now

    return operations.start(call.world, prefix, execution, run_v2.Execution, work)


@api.method(PACKAGE, "Executions", "DeleteExecution", permission="run.executions.delete")
def delete_execution(call: Call[run_v2.DeleteExecutionRequest]) -> operations_pb2.Operation:
    """Forgets an execution, after ending it."""
    execution = documents.get_execution(call.world, call.request.name)
    check_etag(call.request.etag, execution.etag, execution.name)
    prefix = operations_of(execution.name)
    if call.request.validate_only:
        return operations.finished(call.world, prefix, execution, execution)
    part = call.cloud.part(Jobs)

    def work() -> run_v2.Execution:
        part.remove_execution(execution.name)
        execution.delete_time = call.world.now()
        return execution

    return operations.start(call.world, prefix, execution, run_v2.Execution, work)


@api.method(PACKAGE, "Tasks", "GetTask", permission="run.tasks.get")
def get_task(call: Call[run_v2.GetTaskRequest]) -> run_v2.Task:
    """One task."""
    return documents.get_task(call.world, call.request.name)


@api.method(PACKAGE, "Tasks", "ListTasks", permission="run.tasks.list")
def list_tasks(call: Call[run_v2.ListTasksRequest]) -> run_v2.ListTasksResponse:
    """An execution's tasks."""
    found = listed(call.world, documents.TASKS, run_v2.Task, f"{call.request.parent}/tasks/")
    some, token = pages.page(found, call.request.page_size, call.request.page_token)
    return run_v2.ListTasksResponse(tasks=some, next_page_token=token)


def _create(
    call: Changes, name: str, given: run_v2.Job, *, validate_only: bool
) -> operations_pb2.Operation:
    job = run_v2.Job(name=name)
    apply(job, given)
    begin(call, job)
    _check(call, job)
    stamp(call, job, 1)
    if not validate_only:
        call.world.put(documents.JOBS, name, messages.dump(job), expect=0)
    return _start(call, job, validate_only=validate_only)


def _check(call: Changes, job: run_v2.Job) -> None:
    """Fills in what a job leaves out, and refuses what is wrong with it."""
    template = job.template
    defaults.check_labels("job", job.labels, job.annotations)
    defaults.check_labels("job.template", template.labels, template.annotations)
    defaults.check_containers(
        template.template.containers, template.template.volumes, "job.template.template"
    )
    defaults.fill_job(call.world, job)
    project = job.name.split("/")[1]
    account = template.template.service_account
    defaults.check_account(call.world, call.caller, account, project)


def _start(call: Changes, job: run_v2.Job, *, validate_only: bool) -> operations_pb2.Operation:
    prefix = operations_of(job.name)
    if validate_only:
        return operations.finished(call.world, prefix, job, job)
    part = call.cloud.part(Jobs)
    return operations.start(
        call.world,
        prefix,
        job,
        run_v2.Job,
        lambda: part.check(job),
        spoil=lambda error: part.spoil(job, error),
    )
