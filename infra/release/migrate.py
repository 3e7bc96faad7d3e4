"""The database, brought to a revision by the image that is to be released.

Alembic runs in a Cloud Run job, with the account that may change the schema. Nothing here touches
the service: a migration that fails leaves the traffic where it is.
"""

from collections.abc import Callable
from dataclasses import dataclass

from google.cloud import run_v2

from infra import manifest
from infra.manifest import Manifest
from infra.names import PLACEHOLDER_IMAGE
from infra.release import ReleaseError
from infra.release.conditions import why_not_ready
from infra.release.logs import Line, Log, end_of
from infra.release.record import PREFIX
from infra.resources.base import Work

HEAD = "head"
BASE = "base"
ALEMBIC = ("-c", "db/alembic.ini")
# The job's annotation that keeps where the database is; "base" when it is empty.
SCHEMA = f"{PREFIX}schema"
FIRST_POLL_SECONDS = 0.2
LAST_POLL_SECONDS = 2.0
SLOWER = 1.3
LATE_READS = 3


@dataclass(frozen=True)
class Migrated:
    """A run of the migrations, as its log tells it; None for what that does not."""

    lines: list[Line]
    before: str | None = None
    pending: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    """The revisions that were applied, or with a downgrade undone, in that order."""
    after: str | None = None
    """Where the database is now; "" when it is empty."""

    @classmethod
    def of(cls, lines: list[Line]) -> "Migrated":
        """What the lines tell; nothing when the service's db/env.py tells nothing."""
        told = [each for line in lines if isinstance(each := line.fields.get("migration"), dict)]
        last = {str(each.get("event")): each for each in told}
        before, after = last.get("before", {}), last.get("after", {})
        done = (each for each in told if each.get("event") in {"applied", "undone"})
        return cls(
            lines,
            before.get("revision"),
            tuple(map(str, before.get("pending", ()))),
            tuple(str(each.get("revision")) for each in done),
            after.get("revision"),
        )


def current(work: Work) -> str | None:
    """The revision the database was at after the last run that we know of: "" when it was empty,
    None when we know of none."""
    names = work.cloud.names
    request = run_v2.GetJobRequest(name=names.migrate_job)
    job = work.read(names.migrate_job_name, lambda: work.cloud.run_jobs.get_job(request))
    found = job.annotations.get(SCHEMA) if job else None
    return "" if found == BASE else found


def keep(work: Work, revision: str) -> None:
    """Notes in the job where the database is, for whoever asks later. One that has it is left."""
    job = get_job(work)
    if job.annotations.get(SCHEMA) != (revision or BASE):
        job.annotations[SCHEMA] = revision or BASE
        update(work, job)


def update_job(work: Work, shape: Manifest, image: str) -> None:
    """Gives the job the image and the shape of this release, for this and later migrations."""
    job = get_job(work)
    wanted = manifest.job(shape, image)
    wanted.labels = {**job.labels, **wanted.labels}
    wanted.annotations = {**job.annotations, **wanted.annotations}
    update(work, wanted)


def update(work: Work, job: run_v2.Job) -> None:
    """Changes the job. Raises ReleaseError when it can't run then."""
    doing = f"update the job {work.cloud.names.migrate_job_name}"
    request = run_v2.UpdateJobRequest(job=job)
    done = work.wait(doing, work.call(doing, lambda: work.cloud.run_jobs.update_job(request)))
    if done.terminal_condition.state == run_v2.Condition.State.CONDITION_FAILED:
        why = why_not_ready(done.conditions)
        raise ReleaseError(f"the job {work.cloud.names.migrate_job_name} can't run: {why}")


def deployed_image(work: Work) -> str:
    """The image the job has, which is the one deployed last. Raises ReleaseError when there is
    none yet."""
    image: str = get_job(work).template.template.containers[0].image
    if image.startswith(PLACEHOLDER_IMAGE):
        raise ReleaseError("nothing was deployed yet that could migrate: run invoke deploy")
    return image


def get_job(work: Work) -> run_v2.Job:
    """The job that migrates. Raises ReleaseError when it is not there."""
    names = work.cloud.names
    request = run_v2.GetJobRequest(name=names.migrate_job)
    job = work.read(names.migrate_job_name, lambda: work.cloud.run_jobs.get_job(request))
    if job is None:
        raise ReleaseError(
            f"there is no job {names.migrate_job_name} to migrate with: run invoke provision "
            f"--env {names.environment.name} first"
        )
    return job


def run(work: Work, revision: str, tell: Callable[[str], None], *, down: bool = False) -> Migrated:
    """Brings the database to the revision, or with `down` back to it, and notes where it is.

    Raises ReleaseError with the end of the log.
    """
    command = "downgrade" if down else "upgrade"
    override = run_v2.RunJobRequest.Overrides.ContainerOverride(args=[*ALEMBIC, command, revision])
    request = run_v2.RunJobRequest(
        name=work.cloud.names.migrate_job,
        overrides=run_v2.RunJobRequest.Overrides(container_overrides=[override]),
    )
    operation = work.call("start the migration", lambda: work.cloud.run_jobs.run_job(request))
    started: run_v2.Execution = operation.metadata
    execution = wait(work, started.name, tell)
    migrated = read(work, execution)
    if migrated.after is not None:
        keep(work, migrated.after)
    if execution.succeeded_count < max(execution.task_count, 1):
        link = f"\nThe whole log: {execution.log_uri}" if execution.log_uri else ""
        raise ReleaseError(
            f"the migration to {revision} failed: {why_not_ready(execution.conditions)}\n"
            f"{end_of(migrated.lines)}{link}\nThe service was not touched."
        )
    return migrated


def read(work: Work, execution: run_v2.Execution) -> Migrated:
    """What an execution that has ended says that it did, its last line included, which can be read
    some seconds later than the others."""
    log = log_of(work, execution)
    migrated = Migrated.of(log.settled())
    for _ in range(LATE_READS):
        if migrated.before is None or migrated.after is not None:
            break
        work.retry.pause(LAST_POLL_SECONDS)
        migrated = Migrated.of(log.read())
    return migrated


def wait(work: Work, name: str, tell: Callable[[str], None]) -> run_v2.Execution:
    """The execution when it has ended, well or not; the job's timeout sees to it that it does."""
    request = run_v2.GetExecutionRequest(name=name)
    pause = FIRST_POLL_SECONDS
    while True:
        execution = work.read(
            "the migration", lambda: work.cloud.run_executions.get_execution(request)
        )
        if execution is None:
            raise ReleaseError(f"the migration {name} is gone")
        if execution.completion_time:
            return execution
        tell("running" if execution.running_count else "starting")
        work.retry.pause(pause)
        pause = min(pause * SLOWER, LAST_POLL_SECONDS)


def log_of(work: Work, execution: run_v2.Execution) -> Log:
    """What the execution logs."""
    short = execution.name.rpartition("/")[2]
    return Log(
        work.cloud,
        'resource.type="cloud_run_job" '
        f'AND resource.labels.job_name="{work.cloud.names.migrate_job_name}" '
        f'AND labels."run.googleapis.com/execution_name"="{short}"',
    )
