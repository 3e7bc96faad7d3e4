"""Jobs: each execution's tasks run as programs, several at once, tried again when they fail."""

import random
import string
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from google.cloud import run_v2

from infra.emulator import errors, iam, messages, pages
from infra.emulator.cloud import Cloud, Part
from infra.emulator.machine import Machine
from infra.emulator.run import conditions
from infra.emulator.run.documents import (
    EXECUTIONS,
    JOBS,
    TASKS,
    executions_of,
    get_job,
    put_execution,
    put_job,
    put_task,
    tasks_of,
    uid,
)
from infra.emulator.run.launch import Launcher, Owner
from infra.emulator.runtime import Origin, StartError
from infra.emulator.runtime.logs import line_entry
from infra.emulator.runtime.processes import Stream
from infra.emulator.runtime.stops import Stop
from infra.emulator.world import World

_REASON = run_v2.Condition.ExecutionReason
_STATUS = run_v2.ExecutionReference.CompletionStatus
MOST_TASKS_AT_ONCE = 100
SYSTEM_LOG = "run.googleapis.com/varlog/system"
STOPPED = "The emulator was stopped while the execution was running."


@dataclass(frozen=True)
class _Ended:
    """How an attempt ended: its status, and the reason when the program never ran."""

    status: int
    message: str = ""


class Jobs(Part):
    """Every job of the cloud, and what of it runs."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._machine = cloud.part(Machine)
        self._launcher = Launcher(self._machine)
        self._stops: dict[str, Stop] = {}

    @property
    def world(self) -> World:
        """The emulator's memory."""
        return self.cloud.world

    def start(self) -> None:
        """Ends what a former emulator left running, and did not finish deleting."""
        self._machine.start()
        for body in self.world.list(EXECUTIONS):
            execution = messages.from_json(run_v2.Execution, body)
            if execution.reconciling:
                for task in tasks_of(self.world, execution.name):
                    if not task.completion_time:
                        self._end_task(task, _Ended(1, STOPPED))
                self._complete(execution, STOPPED, cancelled=False)
        for body in self.world.list(JOBS):
            job = messages.from_json(run_v2.Job, body)
            if job.delete_time:
                self.remove(job.name)

    def check(self, job: run_v2.Job) -> run_v2.Job:
        """Carries out a change of a job. Raises the GoogleError its operation ends with."""
        image = job.template.template.containers[0].image
        failure: StartError | None = None
        try:
            self._launcher.check_image(image)
        except StartError as error:
            failure = error
        current = self._reach(job, failure)
        if failure:
            raise conditions.as_google(failure, failure.message)
        return current

    def spoil(self, job: run_v2.Job, error: errors.GoogleError) -> None:
        """Leaves a change of a job as its operation's failure says."""
        self._reach(job, StartError(error.message))

    def _reach(self, job: run_v2.Job, failure: StartError | None) -> run_v2.Job:
        """Writes into a job how a change of it ended, unless there is a later one."""
        with self.world.transaction():
            current = get_job(self.world, job.name)
            if current.generation != job.generation:
                return current
            now = self.world.now()
            state = conditions.FAILED if failure else conditions.SUCCEEDED
            common = conditions.reason_of(failure) if failure else None
            message = failure.message if failure else ""
            current.terminal_condition = conditions.condition("Ready", state, now, message, common)
            current.conditions = [conditions.condition("ResourcesAvailable", state, now)]
            current.observed_generation = current.generation
            current.reconciling = False
            current.etag = pages.etag()
            put_job(self.world, current)
        return current

    # Executions.

    def begin(self, job: run_v2.Job, overrides: run_v2.RunJobRequest.Overrides) -> run_v2.Execution:
        """A new execution of a job, which `carry_out` then runs."""
        short = job.name.rpartition("/")[2]
        letters = "".join(random.choices(string.ascii_lowercase + string.digits, k=4))  # noqa: S311
        name = f"{job.name}/executions/{short}-{random.choice(string.ascii_lowercase)}{letters}"  # noqa: S311
        now = self.world.now()
        template = run_v2.TaskTemplate(messages.to_pb(job.template.template))
        apply_overrides(template, overrides)
        count = overrides.task_count or job.template.task_count
        execution = run_v2.Execution(
            name=name,
            uid=uid(),
            creator=job.last_modifier,
            generation=1,
            labels={**job.template.labels, "run.googleapis.com/job": short},
            annotations=dict(job.template.annotations),
            create_time=now,
            update_time=now,
            launch_stage=job.launch_stage,
            job=short,
            parallelism=job.template.parallelism or min(count, MOST_TASKS_AT_ONCE),
            task_count=count,
            template=template,
            reconciling=True,
            conditions=conditions.all_of(("Completed",), conditions.RECONCILING, now),
            etag=pages.etag(),
        )
        self._stops[name] = Stop()
        with self.world.transaction():
            put_execution(self.world, execution)
            for index in range(count):
                put_task(self.world, self._task(execution, index))
            current = get_job(self.world, job.name)
            current.execution_count += 1
            current.latest_created_execution = run_v2.ExecutionReference(
                name=name.rpartition("/")[2],
                create_time=now,
                completion_status=_STATUS(_STATUS.EXECUTION_RUNNING),
            )
            put_job(self.world, current)
        return execution

    def carry_out(self, execution: run_v2.Execution) -> run_v2.Execution:
        """Runs an execution to its end. Raises GoogleError when it did not succeed."""
        stop = self._stops.setdefault(execution.name, Stop())
        execution.start_time = self.world.now()
        self._count(execution, running=execution.task_count)
        with ThreadPoolExecutor(execution.parallelism) as pool:
            numbers = range(execution.task_count)
            failures = list(pool.map(lambda index: self._run(execution, index, stop), numbers))
        if self.world.closing.is_set():
            raise errors.aborted(STOPPED)
        message = next((text for text in failures if text), "")
        done = self._complete(execution, message, cancelled=stop.told)
        self._stops.pop(execution.name, None)
        if message:
            raise errors.precondition(message)
        return done

    def spoil_execution(self, execution: run_v2.Execution, error: errors.GoogleError) -> None:
        """Ends an execution whose operation fails, before it has run."""
        self._stops.pop(execution.name, None)
        for task in tasks_of(self.world, execution.name):
            self._end_task(task, _Ended(1, error.message))
        self._complete(execution, error.message, cancelled=False)

    def cancel(self, name: str) -> None:
        """Ends an execution's programs."""
        if stop := self._stops.get(name):
            stop.set()

    def remove(self, name: str) -> None:
        """Ends everything of a job, and forgets it."""
        for execution in executions_of(self.world, name):
            self.cancel(execution.name)
        with self.world.transaction():
            for execution in executions_of(self.world, name):
                self.remove_execution(execution.name)
            self.world.delete(JOBS, name)
            iam.delete_policies(self.world, name)

    def remove_execution(self, name: str) -> None:
        """Forgets an execution and its tasks."""
        self.cancel(name)
        with self.world.transaction():
            for task in tasks_of(self.world, name):
                self.world.delete(TASKS, task.name)
            self.world.delete(EXECUTIONS, name)

    def _run(self, execution: run_v2.Execution, index: int, stop: Stop) -> str:
        """Runs a task, again if need be. Returns what went wrong."""
        task = self._task(execution, index)
        template = execution.template
        task.start_time = self.world.now()
        for attempt in range(template.max_retries + 1):
            task.retried = attempt
            ended = self._attempt(execution, index, attempt, stop)
            if ended.status == 0 or stop.told:
                break
        self._end_task(task, ended)
        if stop.told:
            return "The execution was cancelled."
        if ended.status == 0:
            return ""
        why = ended.message or "The container exited with an error."
        return f"Task {task.name.rpartition('/')[2]} failed with message: {why}"

    def _attempt(
        self, execution: run_v2.Execution, index: int, attempt: int, cancelled: Stop
    ) -> _Ended:
        template = execution.template
        origin = origin_of(execution.name, index, attempt)
        own = {
            "CLOUD_RUN_JOB": execution.job,
            "CLOUD_RUN_EXECUTION": execution.name.rpartition("/")[2],
            "CLOUD_RUN_TASK_INDEX": str(index),
            "CLOUD_RUN_TASK_ATTEMPT": str(attempt),
            "CLOUD_RUN_TASK_COUNT": str(execution.task_count),
        }
        runtime = self._machine.runtime
        owner = Owner(execution.name, template.service_account)
        try:
            launch = self._launcher.launch(owner, template.containers[0], template.volumes, own)
        except StartError as failure:
            runtime.logs.write(origin.entry(SYSTEM_LOG, "ERROR", textPayload=failure.message))
            return _Ended(1, failure.message)
        for trouble in launch.troubles:
            runtime.logs.write(origin.entry(SYSTEM_LOG, "ERROR", textPayload=trouble))

        def on_line(stream: Stream, line: str) -> None:
            if line:
                runtime.logs.write(line_entry(origin, stream, line))

        stop = Stop(template.timeout.total_seconds(), cancelled)
        status = runtime.run(
            launch.command,
            folder=launch.folder,
            environment=launch.environment,
            on_line=on_line,
            stop=stop,
            grace=runtime.settings.grace_seconds,
        )
        if stop.late and status == 0:
            status = 1
        severity = "ERROR" if status else "INFO"
        runtime.logs.write(
            origin.entry(SYSTEM_LOG, severity, textPayload=f"Container called exit({status}).")
        )
        runtime.logs.flush()
        if stop.late:
            return _Ended(status, "The configured timeout was reached.")
        if status and launch.troubles:
            return _Ended(status, launch.troubles[0])
        return _Ended(status)

    # What is reported.

    def _task(self, execution: run_v2.Execution, index: int) -> run_v2.Task:
        template, now = execution.template, self.world.now()
        short = execution.name.rpartition("/")[2]
        return run_v2.Task(
            name=f"{execution.name}/tasks/{short}-task{index}",
            uid=uid(),
            generation=1,
            labels=dict(execution.labels),
            create_time=now,
            scheduled_time=now,
            update_time=now,
            job=execution.job,
            execution=short,
            containers=template.containers,
            volumes=template.volumes,
            max_retries=template.max_retries,
            timeout=template.timeout,
            service_account=template.service_account,
            execution_environment=template.execution_environment,
            reconciling=True,
            conditions=conditions.all_of(("Completed",), conditions.RECONCILING, now),
            index=index,
            etag=pages.etag(),
        )

    def _end_task(self, task: run_v2.Task, ended: _Ended) -> None:
        now = self.world.now()
        task.completion_time = task.update_time = now
        task.reconciling = False
        task.observed_generation = 1
        task.last_attempt_result.exit_code = ended.status
        task.last_attempt_result.status.message = ended.message
        state = conditions.FAILED if ended.status else conditions.SUCCEEDED
        task.conditions = [conditions.condition("Completed", state, now, ended.message)]
        if self.world.get(EXECUTIONS, task.name.partition("/tasks/")[0]) is not None:
            put_task(self.world, task)

    def _count(self, execution: run_v2.Execution, *, running: int) -> None:
        execution.running_count = running
        execution.update_time = self.world.now()
        execution.etag = pages.etag()
        with self.world.transaction():
            if self.world.get(EXECUTIONS, execution.name) is not None:
                put_execution(self.world, execution)

    def _complete(
        self, execution: run_v2.Execution, message: str, *, cancelled: bool
    ) -> run_v2.Execution:
        now = self.world.now()
        tasks = tasks_of(self.world, execution.name)
        succeeded = sum(task.last_attempt_result.exit_code == 0 for task in tasks)
        execution.succeeded_count = succeeded
        execution.cancelled_count = execution.task_count - succeeded if cancelled else 0
        execution.failed_count = execution.task_count - succeeded - execution.cancelled_count
        execution.retried_count = sum(task.retried for task in tasks)
        execution.completion_time = now
        execution.reconciling = False
        execution.observed_generation = execution.generation
        state = conditions.FAILED if message else conditions.SUCCEEDED
        completed = conditions.condition("Completed", state, now, message)
        if message:
            completed.execution_reason = _REASON(
                _REASON.CANCELLED if cancelled else _REASON.NON_ZERO_EXIT_CODE
            )
        kinds = ("ResourcesAvailable", "Started")
        execution.conditions = [
            completed,
            *conditions.all_of(kinds, conditions.SUCCEEDED, now),
        ]
        self._count(execution, running=0)
        job_name = execution.name.partition("/executions/")[0]
        status = (
            _STATUS.EXECUTION_CANCELLED
            if cancelled
            else _STATUS.EXECUTION_FAILED
            if message
            else _STATUS.EXECUTION_SUCCEEDED
        )
        with self.world.transaction():
            if self.world.get(JOBS, job_name) is not None:
                job = get_job(self.world, job_name)
                if job.latest_created_execution.name == execution.name.rpartition("/")[2]:
                    job.latest_created_execution.completion_time = now
                    job.latest_created_execution.completion_status = _STATUS(status)
                    put_job(self.world, job)
        return execution


def apply_overrides(
    template: run_v2.TaskTemplate, overrides: run_v2.RunJobRequest.Overrides
) -> None:
    """Puts the arguments and variables of one run over those of the job."""
    if overrides.timeout:
        template.timeout = overrides.timeout
    for override in overrides.container_overrides:
        container = template.containers[0]
        if override.args or override.clear_args:
            container.args = list(override.args)
        own = {one.name: one for one in override.env}
        kept = [one for one in container.env if one.name not in own]
        container.env = [*kept, *own.values()]


def origin_of(execution: str, index: int, attempt: int) -> Origin:
    """Who writes the logs of a task."""
    _, project, _, location, _, job, _, short = execution.split("/")
    labels = {"project_id": project, "location": location, "job_name": job}
    own = {
        "run.googleapis.com/execution_name": short,
        "run.googleapis.com/task_index": str(index),
        "run.googleapis.com/task_attempt": str(attempt),
    }
    return Origin(project, "cloud_run_job", labels, own)
